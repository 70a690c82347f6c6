"""Bundles from the page: a file in pieces, whole or refused, installed as a job, and the way back."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from asd_agent.cli import main
from asd_agent.config.file import load_config
from asd_agent.errors import AsdError
from asd_agent.gateway import bundles
from asd_agent.gateway.bundles import LARGEST_PIECE, BundleAnswers
from asd_agent.gateway.jobs import BoxJob
from rigs.command import call
from rigs.started_jobs import StartedJobs

OWN = """\
agent: {name: box}
sources: {mic: {kind: microphone, device: "hw:CARD=A"}}
monitors: {fan: {source: mic, bundle: fan}}
paths: {state: state, bundles: bundles}
web: {}
"""


@pytest.fixture
def box(tmp_path: Path) -> tuple[BundleAnswers, StartedJobs, Path]:
    """Answers of a box without bundles, its jobs, and its folder."""
    (tmp_path / "agent.yaml").write_text(OWN)
    (tmp_path / "state").mkdir()
    jobs = StartedJobs()
    return BundleAnswers(load_config(tmp_path / "agent.yaml"), tmp_path / "agent.yaml", jobs), jobs, tmp_path


def send(answers: BundleAnswers, data: bytes, offset: int = 0) -> None:
    """Send a file from an offset on."""
    for at in range(offset, len(data), LARGEST_PIECE):
        piece = base64.b64encode(data[at : at + LARGEST_PIECE]).decode()
        answers.piece({"by": "carl", "offset": at, "data": piece})


def run(jobs: StartedJobs) -> dict[str, Any]:
    """Result of the job, where no service runs that could reload."""
    done = call(main, *(a for a in jobs.arguments if a != "--reload"))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_file_is_installed_and_the_former_bundle_comes_back(
    box: tuple[BundleAnswers, StartedJobs, Path], made_bundle: Path, tmp_path: Path
):
    answers, jobs, folder = box
    for source in (made_bundle, Path(__file__).parents[3] / "exported_models" / "demo-fan"):
        with tarfile.open(tmp_path / "b.tar", "w") as archive:
            archive.add(source, source.name)
        data = (tmp_path / "b.tar").read_bytes()
        send(answers, data)
        answers.install({"by": "carl", "size": len(data), "name": "fan"})
        assert run(jobs)["monitors"] == ["fan"]
        rows = answers.stored({}).document["bundles"]
        assert not (folder / "state" / "upload").exists()
    assert [(b["active"], b["monitors"], b["has_former"]) for b in rows if b["active"]] == [(True, ["fan"], True)]
    answers.rollback({"by": "carl", "name": "fan"})
    before = next(b["digest"] for b in rows if not b["active"])
    assert run(jobs)["digest"] == before


@pytest.mark.parametrize(
    "fields",
    [
        {"by": ""},
        {"offset": -1},
        {"offset": 7},
        {"offset": bundles.LARGEST_FILE + 1},
        {"data": "no base64!"},
        {"data": "A" * 70_000},
        {"data": None},
    ],
)
def test_a_piece_that_does_not_belong_there_is_refused(
    box: tuple[BundleAnswers, StartedJobs, Path], fields: dict[str, Any]
):
    with pytest.raises((ValueError, AsdError)):
        box[0].piece({"by": "carl", "offset": 0, "data": "QUJD", **fields})


def test_a_file_that_is_not_whole_is_not_installed(box: tuple[BundleAnswers, StartedJobs, Path]):
    answers, jobs, _ = box
    with pytest.raises(AsdError, match="did not arrive whole"):
        answers.install({"by": "carl", "size": 3})
    send(answers, b"ABC")
    with pytest.raises(AsdError, match="did not arrive whole"):
        answers.install({"by": "carl", "size": 4})
    with pytest.raises(ValueError, match="no name"):
        answers.install({"by": "carl", "size": 3, "name": "../x"})
    assert jobs.arguments == []


def test_a_file_is_bounded_and_leaves_the_disk_some_space(
    box: tuple[BundleAnswers, StartedJobs, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundles, "LARGEST_FILE", 4)
    send(box[0], b"ABCD")
    with pytest.raises(AsdError, match="more than 4 bytes"):
        send(box[0], b"ABCDE")
    monkeypatch.setattr(bundles, "FREE_BYTES", 1 << 60)
    with pytest.raises(AsdError, match="nearly full"):
        send(box[0], b"ABC")


def test_a_file_under_installation_is_not_replaced(box: tuple[BundleAnswers, StartedJobs, Path]):
    answers, jobs, _ = box
    jobs.show(BoxJob("install", "fan", "carl", 60.0))
    with pytest.raises(AsdError, match="being installed"):
        send(answers, b"ABC")
