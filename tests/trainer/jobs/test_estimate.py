"""Hours of a plan, from a few steps of each different network."""

import json

import pytest
from typer.testing import CliRunner

from asd_trainer.cli import app
from asd_trainer.data.dataset import scan
from asd_trainer.families.timing import STEPS
from asd_trainer.jobs.estimate import estimate
from asd_trainer.jobs.plan import make_plan
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set

TINY = {"kind": "autoencoder", "members": 2, "network": {"blocks": 1, "units": 8, "heads": 2, "feedforward": 8}}
DENSE = {
    "kind": "dense_autoencoder",
    "width": 8,
    "depth": 1,
    "training": {"epochs": 2, "batch": 64, "learning_rate": 1e-3},
}
FEATURES = {"n_fft": 1024, "hop_length": 2000, "n_mels": 16}


def recipe(*experts: dict[str, object]) -> Recipe:
    return Recipe.model_validate({"name": "r", "features": FEATURES, "experts": list(experts), "device": "cpu"})


def test_steps_of_each_different_network_are_measured_once_and_multiplied(tmp_path):
    data = scan(write_data_set(tmp_path / "data", train_source=5, test=0))
    plan = make_plan([data], [recipe(TINY, DENSE)], [0], tmp_path / "runs")
    measured: list[str] = []
    found = estimate(plan, lambda _: True, measured.append)
    assert len(measured) == len(found.step_seconds) == 2  # two members of one kind are one network
    assert sorted(found.seconds) == ["r/seed-0/fan/ae-0", "r/seed-0/fan/ae-1", "r/seed-0/fan/dense-0"]
    ae, dense = (next(v for k, v in found.step_seconds.items() if k.startswith(kind)) for kind in ("auto", "dense"))
    assert found.seconds["r/seed-0/fan/ae-0"] == pytest.approx(50_000 * ae)
    # 12 clips are learnt, 81 frames give 77 stacks of 5: 924 stacks are 15 batches of 64, twice
    assert found.seconds["r/seed-0/fan/dense-0"] == pytest.approx(2 * 15 * dense)
    assert found.hours == pytest.approx(sum(found.seconds.values()) / 3600)
    assert STEPS >= 3


def test_the_dry_run_tells_hours_beside_sizes_and_counts_nothing_that_is_done(tmp_path):
    write_data_set(tmp_path / "data", train_source=5, test=0)
    file = tmp_path / "r.yaml"
    file.write_text(json.dumps(recipe(DENSE).model_dump(mode="json")))
    asked = ["train", str(tmp_path / "data"), "--recipe", str(file), "--out", str(tmp_path / "runs"), "--dry-run"]
    said = json.loads(CliRunner().invoke(app, [*asked, "--hours", "--json"]).stdout)
    (network,) = [job for job in said["jobs"] if job["kind"] == "network"]
    assert network["size"]["hours"] >= 0
    assert said["hours"] > 0
    assert "CPU" in said["device"] or said["device"]
    plain = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert "hours" not in plain
