"""The real writer: whole folders or none, within bounds, whatever the disk does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.ring import Gap
from asd_agent.bundle import Bundle
from asd_agent.clock import SystemClock
from asd_agent.config.model import EvidenceSettings
from asd_agent.evidence import writer as module
from asd_agent.evidence.store import ACKNOWLEDGED, CLIP, PICTURE, RECORD, folder_bytes, list_evidence, sweep_unfinished
from asd_agent.evidence.writer import EvidenceWriter, WriteOutcome
from asd_agent.inference.scorer import BundleScorer
from asd_agent.whole_files import put
from rigs.bundles import RATE, hum
from rigs.evidence import make_job
from rigs.waiting import PATIENCE


@pytest.fixture(scope="module")
def scorer(bundle_path) -> BundleScorer:
    return BundleScorer(Bundle.open(bundle_path))


@pytest.fixture(autouse=True)
def as_nice_as_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a nicer thread would get a turn once a second."""
    monkeypatch.setattr(module, "_NICENESS", os.getpriority(os.PRIO_PROCESS, 0))


class Rig:
    """A keeper whose outcomes can be waited for."""

    def __init__(self, folder: Path, *, free: Callable[[], int] | None = None, **settings: float) -> None:
        self.folder = folder
        self._news = threading.Event()
        self.outcomes: list[WriteOutcome] = []
        settings = {"free_megabytes": 0.0, **settings}
        self.keeper = EvidenceWriter(folder, EvidenceSettings(**settings), SystemClock(), self._news, free)

    def __enter__(self):
        self.keeper.start()
        return self

    def __exit__(self, *_):
        assert self.keeper.stop(PATIENCE)

    def wait(self, count: int) -> list[WriteOutcome]:
        until = time.monotonic() + PATIENCE
        while len(self.outcomes) < count:
            self._news.wait(1.0)
            self._news.clear()
            self.outcomes += self.keeper.take()
            assert time.monotonic() < until, self.outcomes
        return self.outcomes

    def bytes(self) -> int:
        return sum(folder_bytes(h.path) for h in list_evidence(self.folder))


def test_evidence_is_a_clip_a_picture_and_an_account_that_agree(tmp_path, scorer):
    sound = np.round(hum(30, 1, knocks=True) * 32768).astype(np.float32) / 32768
    with Rig(tmp_path / "evidence") as rig:
        rig.keeper.offer(make_job(scorer, "one", sound, gaps=(Gap(1000 + RATE, 1000 + 2 * RATE),)))
        (outcome,) = rig.wait(1)
    folder = rig.folder / "m" / "one"
    assert sorted(p.name for p in folder.iterdir()) == sorted([CLIP, PICTURE, RECORD])
    back, rate = soundfile.read(folder / CLIP, dtype="float32")
    np.testing.assert_array_equal(back, sound)
    account = json.loads((folder / RECORD).read_text())
    assert (account["id"], account["alarm_id"], account["monitor"], rate) == ("one", "alarm-one", "m", RATE)
    assert account["window"] == {"start": 10.0, "end": 20.0}
    assert account["gaps"] == [{"start": 1.0, "end": 2.0}]
    assert [s["end"] for s in account["scores"]] == [10.0, 20.0]
    for entry in (account["clip"], account["picture"]):
        content = (folder / entry["path"]).read_bytes()
        assert (entry["sha256"], entry["bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))
    assert outcome.summary is not None
    assert (outcome.summary.path, outcome.summary.sha256) == ("m/one/clip.flac", account["clip"]["sha256"])
    assert rig.keeper.stats.bytes == folder_bytes(folder)


def test_many_alarms_keep_the_quota_and_the_newest(tmp_path, scorer):
    alarms, quota = 60, 0.5
    sound = hum(0.5, 2)
    with Rig(tmp_path / "evidence", max_megabytes=quota) as rig:
        for i in range(alarms):
            rig.keeper.offer(make_job(scorer, f"e{i:04d}", sound))
            rig.wait(i + 1)
            assert rig.keeper.stats.bytes <= quota * 1e6
        assert rig.bytes() == rig.keeper.stats.bytes
    names = [h.id for h in list_evidence(rig.folder)]
    assert len(names) > 10
    assert names == [f"e{i:04d}" for i in range(alarms - len(names), alarms)]
    assert all(o.summary for o in rig.outcomes)


def test_the_acknowledged_go_first_also_after_a_restart(tmp_path, scorer):
    sound = hum(0.5, 3)
    with Rig(tmp_path / "evidence") as rig:
        rig.keeper.acknowledge("alarm-c")  # before its evidence was written
        for i, name in enumerate("abc"):
            rig.keeper.offer(make_job(scorer, name, sound))
            rig.wait(i + 1)
        rig.keeper.acknowledge("alarm-b")
    assert [h.id for h in list_evidence(rig.folder) if h.acknowledged] == ["b", "c"]
    room = rig.bytes() * 1.01 / 1e6
    with Rig(tmp_path / "evidence", max_megabytes=room) as rig:
        rig.keeper.offer(make_job(scorer, "d", sound))
        rig.keeper.offer(make_job(scorer, "e", sound))
        rig.wait(2)
    assert [h.id for h in list_evidence(rig.folder)] == ["a", "d", "e"]


def test_more_at_once_than_fit_in_memory_are_lost_and_counted(tmp_path, scorer, monkeypatch):
    gate = threading.Event()
    build_files = module.build_files
    monkeypatch.setattr(module, "build_files", lambda *a: (gate.wait(PATIENCE), build_files(*a))[1])
    with Rig(tmp_path / "evidence") as rig:
        for i in range(module.MOST_WAITING + 3):
            rig.keeper.offer(make_job(scorer, f"e{i}", hum(0.5, 4)))
        assert rig.keeper.stats.lost == 3
        gate.set()
        outcomes = rig.wait(module.MOST_WAITING + 3)
    assert sum(o.summary is None for o in outcomes) == 3
    assert len(list_evidence(rig.folder)) == module.MOST_WAITING
    assert rig.keeper.stats.fault == ""


def test_what_a_killed_agent_left_unfinished_is_swept_away(tmp_path, scorer):
    with Rig(tmp_path) as rig:
        rig.keeper.offer(make_job(scorer, "one", hum(0.5, 5)))
        rig.wait(1)
    stage = tmp_path / "m" / ".unfinished-two"
    stage.mkdir()
    (stage / CLIP).write_bytes(b"half")
    assert [h.id for h in list_evidence(tmp_path)] == ["one"]
    assert sweep_unfinished(tmp_path) == [stage]
    assert not stage.exists()


def test_a_damaged_account_is_listed_and_is_the_first_to_go(tmp_path, scorer):
    with Rig(tmp_path) as rig:
        for i, name in enumerate("ab"):
            rig.keeper.offer(make_job(scorer, name, hum(0.5, 6)))
            rig.wait(i + 1)
    (tmp_path / "m" / "b" / RECORD).write_text("{")
    assert [(h.id, h.record is None) for h in list_evidence(tmp_path)] == [("a", False), ("b", True)]
    with Rig(tmp_path, max_megabytes=rig.bytes() * 1.1 / 1e6) as rig:
        rig.keeper.offer(make_job(scorer, "c", hum(0.5, 6)))
        rig.wait(1)
    assert [h.id for h in list_evidence(tmp_path)] == ["a", "c"]


def test_what_is_too_old_goes_by_the_hours_that_the_agent_ran(tmp_path, scorer):
    with Rig(tmp_path) as rig:
        for i, name in enumerate("ab"):
            rig.keeper.offer(make_job(scorer, name, hum(0.5, 6)))
            rig.wait(i + 1)
    account = tmp_path / "m" / "b" / RECORD
    newer = json.loads(account.read_text()) | {"meter_seconds": 91 * 86_400.0}  # the meter must have shown this
    account.write_text(json.dumps(newer))
    with Rig(tmp_path) as rig:
        rig.keeper.offer(make_job(scorer, "c", hum(0.5, 6)))
        rig.wait(1)
    assert [h.id for h in list_evidence(tmp_path)] == ["b", "c"]


def test_put_leaves_nothing_behind_when_it_fails(tmp_path):
    with pytest.raises(OSError):
        put(tmp_path / "m" / "x", {"good": b"1", "no/such/folder": b"2"})
    assert list((tmp_path / "m").iterdir()) == []


def test_a_floor_of_free_space_refuses_and_says_why(tmp_path, scorer):
    with Rig(tmp_path, free_megabytes=1e9) as rig:
        rig.keeper.offer(make_job(scorer, "one", hum(0.5, 7)))
        (outcome,) = rig.wait(1)
    assert outcome.summary is None
    assert "have to stay free" in outcome.reason
    assert list_evidence(tmp_path) == []


def fill(path: Path) -> None:
    """Leave no byte of the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(handle, bytes(4096))
    os.close(handle)


@pytest.mark.rig
@pytest.mark.parametrize(
    ("free", "words"),
    [(None, "have to stay free"), (lambda: 10**9, "No space left")],
    ids=["seen before writing", "found out while writing"],
)
def test_a_full_disk_loses_evidence_counts_it_and_goes_on_when_there_is_room(tmp_path, scorer, free, words):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        filler = disk / "filler"
        with Rig(disk / "evidence", free=free, max_megabytes=0.5) as rig:
            rig.keeper.offer(make_job(scorer, "before", hum(0.5, 8)))
            rig.wait(1)
            fill(filler)
            for i in range(3):
                rig.keeper.offer(make_job(scorer, f"during{i}", hum(2.0, 9)))  # more than the first one's room
            rig.wait(4)
            assert rig.keeper.stats.lost == 3
            assert words in rig.keeper.stats.fault
            filler.unlink()
            rig.keeper.offer(make_job(scorer, "after", hum(0.5, 9)))
            rig.wait(5)
            assert rig.keeper.stats.fault == ""
        assert [h.id for h in list_evidence(disk / "evidence")] == ["after", "before"]
        assert not any(ACKNOWLEDGED in p.name or p.name.startswith(".") for p in (disk / "evidence").rglob("*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
