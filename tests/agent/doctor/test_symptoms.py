"""Each symptom of docs/troubleshooting.md is provoked, and `check` or the doctor names it and its remedy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rigs.microphone import VirtualMicrophone
from rigs.symptoms import broker, files, machine, sound
from rigs.symptoms.box import Box

PAGE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"
TABLE = {**broker.SYMPTOMS, **sound.SYMPTOMS, **files.SYMPTOMS, **machine.SYMPTOMS}


@pytest.fixture(scope="module")
def symptom_microphone() -> Iterator[VirtualMicrophone]:
    """A microphone, once for all."""
    with VirtualMicrophone() as microphone:
        yield microphone


@pytest.mark.rig
@pytest.mark.parametrize("name", TABLE)
def test_each_symptom_is_named_with_its_remedy(
    name: str, bundle_path: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    symptom = TABLE[name]
    found = symptom.provoke(Box(tmp_path, bundle_path, request, monkeypatch))
    fitting = [f for f in found if f.where == symptom.where and symptom.what in f.what]
    assert fitting, f"not named: {found}"
    assert symptom.remedy in f"{fitting[0].what}. {fitting[0].remedy}"
    assert fitting[0].level == symptom.level


@pytest.mark.rig
def test_a_box_that_is_well_has_no_problem(
    bundle_path: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    box = Box(tmp_path, bundle_path, request, monkeypatch)
    with broker.Broker(tmp_path / "broker", tls=True) as there:
        broker._reach(box, there)
        names = ["configuration", "software", "service", "permissions", "disk", "outbox", "clock", "heat", "sound"]
        found = box.doctor(*names, "broker")
    assert [str(f) for f in found if f.level == "problem"] == []
    assert {f.where for f in found} >= {"broker name", "broker TCP", "broker TLS", "broker login", "broker publish"}


def test_the_page_has_a_row_for_each_symptom_and_for_nothing_else():
    rows = [
        line.split("|")[1].strip() for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")
    ]
    assert sorted(r for r in rows if r not in {"symptom", "---"}) == sorted(TABLE)


def test_each_symptom_has_words_for_its_remedy():
    assert [name for name, s in TABLE.items() if not s.what or not s.remedy] == []
