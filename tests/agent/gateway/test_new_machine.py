"""Preparation of a new machine: what is asked for is checked, and nothing is in use before it is added."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from asd_agent.config.file import load_config
from asd_agent.errors import AsdError
from asd_agent.gateway import new_machine
from asd_agent.gateway.jobs import BoxJob
from asd_agent.gateway.new_machine import NewMachine
from rigs.bundles import hum, write_wav
from rigs.started_jobs import StartedJobs
from rigs.waiting import wait_until

OWN = """\
agent: {name: box}
sources: {mic: {kind: microphone, device: "hw:CARD=A"}}
monitors: {fan: {source: mic, bundle: fan}}
paths: {state: state, bundles: bundles}
web: {}
"""


class Prepared:
    """A box and its new machine."""

    def __init__(self, folder: Path) -> None:
        (folder / "agent.yaml").write_text(OWN)
        (folder / "state").mkdir()
        self.state, self.jobs = folder / "state", StartedJobs()
        self.machine = NewMachine(load_config(folder / "agent.yaml"), folder / "agent.yaml", self.jobs)

    def choose(self, **fields: Any) -> None:
        """Choose, with what a good request has."""
        self.machine.choose({"by": "carl", "name": "press", "machine": "press", "device": "hw:CARD=B", **fields})

    def clips(self, count: int) -> None:
        """Clips that were recorded."""
        for number in range(count):
            name = f"section_00_source_train_normal_{number:04d}_rec_20270115T0800b0s0.wav"
            write_wav(self.state / "new-machine" / "sound" / "press" / "train" / name, hum(0.1, number))


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A box on which nothing is prepared."""
    return Prepared(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"by": " "},
        {"name": "../x"},
        {"name": None},
        {"name": "fan"},
        {"machine": "a b"},
        {"device": None},
        {"device": "hw:0"},
        {"device": "x" * 1001},
        {"source": "mic"},
        {"device": None, "source": "nothing"},
        {"device": None, "source": "mic", "channel": 3},
        {"channel": -1},
        {"more": [1] * 10, "channel": "x"},
    ],
)
def test_a_choice_that_cannot_be_is_refused(prepared: Prepared, fields: dict[str, Any]):
    with pytest.raises((ValueError, AsdError)):
        prepared.choose(**fields)
    assert prepared.machine.state({}).document["draft"] is None


def test_each_step_needs_the_one_before(prepared: Prepared, made_bundle: Path):
    machine, by = prepared.machine, {"by": "carl"}
    for step in (machine.record, machine.learn, machine.add):
        with pytest.raises(AsdError, match="no machine is being added"):
            step({**by, "minutes": 20})
    prepared.choose()
    with pytest.raises(AsdError, match="fewer than 10"):
        machine.learn(by)
    machine.record({**by, "minutes": 20})
    assert "--device=hw:CARD=B" in prepared.jobs.arguments
    prepared.clips(10)
    assert machine.state({}).document["clips"] == 10
    with pytest.raises(AsdError, match="no bundle is learnt"):
        machine.add(by)
    machine.learn({**by, "alarms_per_day": 2})
    assert prepared.jobs.arguments[-2:] == ["--alarms-per-day", "2"]
    learnt = prepared.state / "new-machine" / "learnt" / "press"
    shutil.copytree(made_bundle, learnt)
    found = machine.state({}).document["learnt"]
    assert found["level"] > 0
    assert "a day" in found["rate"]
    assert found["provisional"] is None
    machine.add(by)
    assert prepared.jobs.arguments[-3:] == ["--device=hw:CARD=B", "--", "press"]
    # More sound makes the bundle old.
    machine.record({**by, "minutes": 30})
    assert not learnt.exists()
    machine.discard(by)
    assert not (prepared.state / "new-machine").exists()


def test_a_source_of_the_configuration_is_heard_through_the_service(prepared: Prepared):
    prepared.choose(device=None, source="mic")
    prepared.machine.record({"by": "carl", "minutes": 5})
    assert "--source=mic" in prepared.jobs.arguments
    assert "-c" in prepared.jobs.arguments


def test_a_full_disk_refuses_a_recording(prepared: Prepared, monkeypatch: pytest.MonkeyPatch):
    prepared.choose()
    monkeypatch.setattr(new_machine, "FREE_BYTES", 1 << 60)
    with pytest.raises(AsdError, match="the disk is nearly full"):
        prepared.machine.record({"by": "carl", "minutes": 5})


def test_a_running_job_keeps_its_machine(prepared: Prepared):
    prepared.choose()
    prepared.jobs.show(BoxJob("record", "press", "carl", 60.0))
    with pytest.raises(AsdError, match="a job is running"):
        prepared.choose(name="other")
    with pytest.raises(AsdError, match="a job is running"):
        prepared.machine.discard({"by": "otto"})
    assert prepared.machine.state({}).document["draft"]["name"] == "press"


def test_a_machine_that_was_added_is_prepared_no_longer(prepared: Prepared):
    prepared.choose()
    (prepared.state / "new-machine" / "draft.json").write_text('{"name": "fan", "machine": "fan", "source": "mic"}')
    assert prepared.machine.state({}).document["draft"] is None
    wait_until(lambda: not (prepared.state / "new-machine").exists(), "the sound stays")


@pytest.mark.parametrize(
    "fields", [{}, {"source": "nothing"}, {"source": "../x"}, {"device": ["x"]}, {"device": "d", "channel": -1}]
)
def test_a_level_is_that_of_a_microphone_that_is_named(prepared: Prepared, fields: dict[str, Any]):
    with pytest.raises(ValueError, match=r"'|source"):
        prepared.machine.settings_of(fields)
