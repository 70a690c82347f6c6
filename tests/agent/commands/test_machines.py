"""asd-agent machines: machines beside agent.yaml, whole or not at all."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.cli import main
from asd_agent.config.added import FILE_NAME
from asd_agent.control_client import SOCKET_NAME
from asd_agent.service.control import ControlServer
from rigs.command import call

OWN = """\
agent: {name: box}
sources: {mic: {kind: microphone, device: "hw:CARD=A", channels: [0, 1]}}
monitors: {fan: {source: mic, bundle: fan}}
paths: {state: state, bundles: bundles}
"""


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """agent.yaml of a box on which no service runs."""
    path = tmp_path / "agent.yaml"
    path.write_text(OWN)
    (tmp_path / "state").mkdir()
    return path


@pytest.fixture
def service(box: Path) -> Iterator[list[dict[str, Any]]]:
    """A service that answers the next request with the first of these answers; all of them a reload."""
    answers: list[dict[str, Any]] = []
    wake, over = threading.Event(), threading.Event()
    server = ControlServer(box.parent / "state" / SOCKET_NAME, wake)
    server.start()

    def serve() -> None:
        while not over.is_set():
            wake.wait()
            wake.clear()
            for request in server.take():
                assert request.document == {"command": "reload"}
                request.reply(answers.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield answers
    over.set()
    wake.set()
    thread.join()
    server.stop()


def machines(box: Path, *arguments: object) -> Any:
    """Result of a subcommand that succeeds."""
    done = call(main, "machines", *arguments, "-c", box, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(box: Path, *arguments: object) -> str:
    """Message of one that does not."""
    done = call(main, "machines", *arguments, "-c", box, "--json")
    assert done.returncode in {1, 2, 78}
    return done.stderr


def added(box: Path) -> Any:
    """Content of the file of added machines."""
    return yaml.safe_load((box.parent / "state" / FILE_NAME).read_text())


def test_a_machine_is_added_taken_out_and_brought_back(box: Path, made_bundle: Path):
    own = box.read_bytes()
    assert machines(box, "add", "press", "--bundle", made_bundle, "--device", "hw:CARD=B") == {
        "schema": 1, "monitor": "press", "source": "press-mic", "bundle": "press", "reloaded": "",
    }  # fmt: skip
    assert added(box)["sources"] == {"press-mic": {"kind": "microphone", "channels": [0], "device": "hw:CARD=B"}}
    assert (box.parent / "bundles" / "press" / "manifest.json").is_file()
    # A second machine at the other channel of a device that a source opens already.
    assert (
        machines(box, "add", "pump", "--bundle", made_bundle, "--device", "hw:CARD=A", "--channel", 1)["source"]
        == "mic"
    )
    assert [m["monitor"] for m in machines(box, "list")["machines"]] == ["press", "pump"]
    machines(box, "remove", "press")
    assert set(added(box)["monitors"]) == {"pump"}
    assert added(box)["sources"] == {}
    machines(box, "undo")
    assert set(added(box)["monitors"]) == {"press", "pump"}
    machines(box, "undo")
    assert set(added(box)["monitors"]) == {"pump"}
    assert box.read_bytes() == own


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fan", "--device", "hw:CARD=B"), "there is a monitor 'fan' already"),
        (("a b", "--device", "hw:CARD=B"), "may hold only letters"),
        (("press",), "no microphone is given"),
        (("press", "--device", "hw:CARD=B", "--source", "mic"), "no microphone is given, or two"),
        (("press", "--device", "hw:CARD=A", "--channel", 5), "opens hw:CARD=A without channel 5"),
        (("press", "--device", "hw:0"), "an index"),
        (("press", "--source", "nothing"), "there is no source 'nothing'"),
        (("press", "--source", "mic", "--section", "77"), "no section '77'"),
        (("press", "--source", "mic", "--section", "7"), "is no section"),
        (("p" * 101, "--source", "mic"), "at most 100 characters"),
    ],
)
def test_what_cannot_be_watched_changes_nothing(box: Path, made_bundle: Path, arguments: tuple[Any, ...], said: str):
    name, *options = arguments
    assert said in refusal(box, "add", name, "--bundle", made_bundle, *options)
    assert not (box.parent / "state" / FILE_NAME).exists()


def test_a_damaged_bundle_changes_nothing(box: Path, made_bundle: Path, tmp_path: Path):
    broken = Path(shutil.copytree(made_bundle, tmp_path / "broken"))
    (broken / "scorers.npz").write_bytes(b"x")
    assert "scorers.npz" in refusal(box, "add", "press", "--bundle", broken, "--device", "hw:CARD=B")
    assert not (box.parent / "state" / FILE_NAME).exists()


def test_a_service_that_refuses_leaves_the_former_machines(box: Path, made_bundle: Path, service: list[dict[str, Any]]):
    service += [{"text": "monitor press added"}, {"error": "the microphone is no microphone"}]
    assert machines(box, "add", "press", "--bundle", made_bundle, "--device", "hw:CARD=B")["reloaded"]
    before = (box.parent / "state" / FILE_NAME).read_bytes()
    assert "the microphone is no microphone" in refusal(
        box, "add", "pump", "--bundle", made_bundle, "--device", "hw:CARD=C"
    )
    assert (box.parent / "state" / FILE_NAME).read_bytes() == before


def test_only_what_was_added_is_taken_out(box: Path):
    assert "It is in" in refusal(box, "remove", "fan")
    assert "See `machines list`" in refusal(box, "remove", "nothing")
    assert "no machine was added or taken out yet" in refusal(box, "undo")
    done = call(main, "machines", "list", "-c", box)
    assert "no machine was added" in done.stdout
