"""An ensemble pruned from the command line, down to the scores on the box."""

import json
from pathlib import Path

import numpy as np
import pytest

from asd_agent.audio.files import read_clip
from asd_agent.bench import Effort
from asd_agent.bundle import Bundle
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.cli import main
from asd_trainer.data.dataset import scan
from asd_trainer.fit.pruning_order import Order
from asd_trainer.jobs.pruning import member_costs
from asd_trainer.jobs.runs import Run
from asd_trainer.jobs.train import train_machine
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set
from rigs.command import call

RECIPE = {
    "name": "pool",
    "features": {"n_fft": 1024, "hop_length": 1024, "n_mels": 32},
    "experts": [
        {
            "kind": "dense_autoencoder",
            "members": 3,
            "width": 16,
            "depth": 1,
            "training": {"epochs": 1, "batch": 256, "learning_rate": 1e-3},
            "combination": {"method": "maximum"},  # so that all members hold out the same fold of few clips
        },
        {"kind": "indicators"},
    ],
    "held_out": {"folds": 2},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("pruned")
    write_data_set(place / "data", train_source=24, test=1)
    return train_machine(scan(place / "data"), "fan", Recipe.model_validate(RECIPE), 0, place / "runs")


def export(run: Run, out: Path, *arguments: object) -> dict:
    runs = run.folder.parents[2]
    done = call(main, "export", runs, "--recipe", "pool", "--out", out, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["bundles"]
    return row


def scores(bundle: Bundle, clip: Path) -> tuple[float, dict[str, float]]:
    got = BundleScorer(bundle).score(read_clip(clip).samples[None, :160_000], "00", "source")[0]
    return got.score, got.members


def test_a_pruned_bundle_holds_what_it_keeps_and_judges_like_one_of_these_members(run, tmp_path):
    row = export(run, tmp_path / "two", "--members", 2)
    kept, left_out = row["pruned"]["kept"], row["pruned"]["left_out"]
    assert sorted([*kept, *left_out]) == ["dense-0", "dense-1", "dense-2", "indicators"]
    whole, pruned = Bundle.open(run.bundle), Bundle.open(tmp_path / "two" / "fan")
    assert sorted(m.id for m in pruned.manifest.members) == sorted(kept)
    assert pruned.manifest.metrics["pruned"] == row["pruned"]
    assert pruned.manifest.provenance.recipe_settings["prune"] == {"members": 2, "agreement": None}
    clip = next(run.data.glob("fan/source_test/section_00_*_anomaly_0000.wav"))
    (_, members), (score, of_kept) = scores(whole, clip), scores(pruned, clip)
    assert of_kept == {m: members[m] for m in kept}  # the same networks and scorers
    condition = pruned.manifest.condition("00", "source")
    reference = pruned.scorers[condition.reference]
    assert len(reference) == 12  # the threshold is fitted anew to what is kept
    assert np.isfinite(score)


def test_smaller_sets_are_parts_of_larger_ones_and_what_is_there_is_found_again(run, tmp_path):
    one, two = (export(run, tmp_path / str(n), "--members", n)["pruned"]["kept"] for n in (1, 2))
    assert two[:1] == one
    again = export(run, tmp_path / "again", "--members", 1)
    assert again["digest"] == export(run, tmp_path / "1", "--members", 1)["digest"]
    everyone = export(run, tmp_path / "all", "--agreement", 1.0)
    assert everyone["pruned"]["agreement"] == 1.0


def test_a_budget_of_time_keeps_as_many_as_it_allows(run, tmp_path):
    row = export(run, tmp_path / "rich", "--budget-ms", 10_000)
    assert row["pruned"]["left_out"] == []
    costs = member_costs(run, Order(("dense-0", "indicators"), (0.9, 1.0), 24), Effort(seconds=0.2))
    assert 0 < costs.of(["dense-0"]) < costs.of(["dense-0", "indicators"])
    done = call(main, "export", run.folder.parents[2], "--recipe", "pool", "--budget-ms", 0.01, "--out", tmp_path / "x")
    assert done.returncode == 1
    assert "a window costs" in done.stderr
    assert "Give at least --budget-ms" in done.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--members", 9], 1, "9 members cannot be kept of 4"),
        (["--members", 1, "--agreement", 0.9], 2, "Give one of them"),
    ],
)
def test_a_pruning_that_cannot_be_is_said_in_one_line(run, tmp_path, arguments, code, text):
    done = call(main, "export", run.folder.parents[2], "--recipe", "pool", "--out", tmp_path / "x", *arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert not (tmp_path / "x").exists()
