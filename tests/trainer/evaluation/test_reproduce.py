"""A bundle is trained again from its own description."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import load_arrays
from asd_agent.bundle.bundle import write_bundle
from asd_agent.bundle.files import GOLDEN, SCORERS
from asd_trainer.cli import main
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.reproduce import compare
from asd_trainer.jobs.train import export_run, train_machine
from asd_trainer.recipes.load import load_recipe
from rigs.clips import write_data_set
from rigs.command import call


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and a bundle trained on it."""
    place = tmp_path_factory.mktemp("reproduce")
    data = write_data_set(place / "data", train_source=8, train_target=2, test=1)
    export_run(train_machine(scan(data), "fan", load_recipe("tiny"), 3, place / "runs"), place / "fan")
    return place


def reproduce(*arguments: object) -> subprocess.CompletedProcess[str]:
    return call(main, "reproduce", *arguments)


def test_a_bundle_trained_again_is_equal_byte_by_byte(place):
    done = reproduce(place / "fan", "--data", place / "data", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["same"], said["other_files"], said["score_difference"], said["versions"]) == (True, [], 0.0, {})
    assert "members/ae-0.onnx" in said["same_files"]


def test_other_clips_are_refused_before_anything_is_trained(place, tmp_path):
    data = shutil.copytree(place / "data", tmp_path / "data")
    next((data / "fan" / "train").glob("*_source_*")).unlink()
    done = reproduce(place / "fan", "--data", data)
    assert done.returncode == 1
    assert "are not those of" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_threshold_that_was_changed_by_hand_is_found(place, tmp_path):
    bundle = Bundle.open(place / "fan")
    document = bundle.manifest.model_dump(mode="json")
    document["conditions"][0]["threshold"]["raise_level"] += 0.5
    changed = type(bundle.manifest).model_validate(document)
    arrays = {name: load_arrays(bundle.path / name) for name in (SCORERS, GOLDEN)}
    graphs = {name: bundle.path / name for name in bundle.manifest.files if name not in arrays}
    found = compare(write_bundle(tmp_path / "fan", changed, arrays, graphs), bundle)
    assert not found.same
    assert found.threshold_difference == pytest.approx(0.5)
    assert found.score_difference == 0.0
