"""Lines for the journal carry their level and no time; repeated lines are limited and counted."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent.service.logs import SAME_PLACE, SAME_TEXT, WINDOW_SECONDS, JournalFormatter, RepeatLimit, to_journal


class Scene:
    """A logger of its own with the filter under test, and the time at hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.out = io.StringIO()
        self.log = logging.getLogger(f"scene-{id(self)}")
        self.log.propagate = False
        handler = logging.StreamHandler(self.out)
        handler.addFilter(RepeatLimit(lambda: self.now))
        self.log.addHandler(handler)

    def say(self, text: str, *args: object, times: int = 1) -> None:
        for _ in range(times):
            self.log.warning(text, *args)  # one place in the code

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


@pytest.fixture
def scene() -> Iterator[Scene]:
    return Scene()


def test_one_text_is_said_a_few_times_a_minute_and_the_rest_is_counted(scene: Scene):
    scene.say("broker %s is gone", "b", times=100)
    assert scene.lines == ["broker b is gone"] * (SAME_TEXT - 1) + [
        "broker b is gone (more like it within a minute are not)"
    ]
    scene.now = WINDOW_SECONDS
    scene.say("broker %s is gone", "b")
    assert scene.lines[SAME_TEXT:] == [f"broker b is gone ({100 - SAME_TEXT} like it were not logged)"]


def test_another_text_is_said_while_one_is_held_back(scene: Scene):
    scene.say("one", times=50)
    scene.say("two")
    assert scene.lines[-1] == "two"


def test_a_place_that_says_something_new_each_time_is_limited_too(scene: Scene):
    for number in range(1000):
        scene.say("command %d refused", number)
    assert len(scene.lines) == SAME_PLACE
    scene.now = WINDOW_SECONDS
    scene.say("command %d refused", 1000)
    assert scene.lines[-1] == f"command 1000 refused ({1000 - SAME_PLACE} like it were not logged)"


def test_a_flood_of_new_texts_does_not_grow_the_memory():
    limit = RepeatLimit(lambda: 0.0)
    for number in range(5000):
        limit.filter(logging.LogRecord("scene", logging.INFO, "", 1, str(number), (), None))
    assert len(limit._allowances) <= 1000


@pytest.mark.parametrize(
    ("level", "mark"),
    [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
)
def test_each_line_for_the_journal_carries_its_level(level: int, mark: int):
    record = logging.LogRecord("scene", level, "", 1, "one\ntwo", (), None)
    assert JournalFormatter("%(message)s").format(record) == f"<{mark}>one\n<{mark}>two"


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path):
    with (tmp_path / "a").open("w") as a, (tmp_path / "b").open("w") as b:
        status = os.fstat(a.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert to_journal(a, environment)
        assert not to_journal(b, environment)  # a stderr that was sent elsewhere within the service
        assert not to_journal(a, {})
    assert not to_journal(io.StringIO(), environment)


def test_a_process_whose_stderr_is_the_journal_writes_marks_and_no_times(tmp_path: Path):
    code = "import logging; from asd_agent.commands.console import log_to_stderr as s; s(20); logging.info('listening')"
    with (tmp_path / "journal").open("w") as stream:
        status = os.fstat(stream.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        subprocess.run([sys.executable, "-c", code], stderr=stream, env=environment, check=True)
    assert (tmp_path / "journal").read_text() == "<6>listening\n"
