"""The official baselines from clips to the agent's scores, and members that labels choose."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.features.log_mel import log_mel
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluations_of
from asd_trainer.evaluation.table.comparison import make_table
from asd_trainer.evaluation.table.text import markdown
from asd_trainer.families.dense_autoencoder.training import load_dense
from asd_trainer.families.section_classifier.training import load_sections
from asd_trainer.jobs import digests
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.jobs.train import carry_out
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set

DENSE = {
    "kind": "dense_autoencoder",
    "width": 16,
    "depth": 1,
    "training": {"epochs": 2, "batch": 256, "learning_rate": 1e-3},
}
SECTION = {"kind": "section_classifier", "training": {"epochs": 1, "batch": 64, "learning_rate": 1e-3}}
FEATURES = {"n_fft": 1024, "hop_length": 1024, "n_mels": 32}


def recipe(name: str, expert: dict[str, object]) -> Recipe:
    return Recipe.model_validate({"name": name, "features": FEATURES, "experts": [expert], "device": "cpu"})


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Two baselines and a pool that labels choose from, trained and evaluated."""
    place = tmp_path_factory.mktemp("baselines")
    write_data_set(place / "data")
    recipes = [recipe("dense", DENSE), recipe("sections", SECTION)]
    recipes.append(recipe("pool", {**DENSE, "members": 4}).choosing_by_labels(3))
    made = make_plan([scan(place / "data")], recipes, [0], place / "runs", evaluations=True)
    carry_out(made, workers=2)
    return made


def bundle(plan: Plan, name: str) -> Bundle:
    return Bundle.open(next(one.run.bundle for one in plan.runs if one.run.recipe == name))


@pytest.mark.parametrize(
    ("name", "member", "load"), [("dense", "dense-0", load_dense), ("sections", "sections-0", load_sections)]
)
def test_the_agent_gives_the_official_score_of_torchs_network(plan, name, member, load):
    digest = digests(plan.jobs)[f"{name}/seed-0/fan/{member}"]
    model = load(plan.out / "jobs" / digest / "files" / "final.pt")
    clip = next(plan.runs[0].run.data.glob("fan/source_test/section_01_*_anomaly_0000.wav"))
    sound = read_clip(clip).samples
    spec = recipe(name, DENSE).features
    inputs = [torch.from_numpy(log_mel(sound, spec))[None], torch.tensor([1.0])][: len(model.inputs)]
    with torch.no_grad():
        wanted = float(model(*inputs).mean())
    scorer = BundleScorer(bundle(plan, name))
    for domain in ("source", "target"):
        assert scorer.score(sound[None], "01", domain)[0].members[member] == pytest.approx(wanted, rel=1e-4)


def test_a_baseline_has_one_scale_for_all_its_conditions(plan):
    conditions = bundle(plan, "dense").manifest.conditions
    assert len(conditions) == 4
    assert len({c.experts[0].members[0].standardisation for c in conditions}) == 1


def test_the_bundle_and_the_table_say_what_labels_chose(plan):
    manifest = bundle(plan, "pool-by-labels-3").manifest
    assert manifest.provenance.chosen_by_labels == ["00", "01"]
    digest = digests(plan.jobs)["pool-by-labels-3/seed-0/fan/pool-evaluation"]
    measured = json.loads((plan.out / "jobs" / digest / "result.json").read_text())["value"]["members"]
    for domain in ("source", "target"):
        quality = {
            m: 4 / sum(1 / max(v, 1e-12) for section in ("00", "01") for v in measured[f"{section}/{domain}"][m])
            for m in (f"dense-{i}" for i in range(4))
        }
        best = sorted(quality, key=lambda m: -quality[m])[:3]
        condition = manifest.condition("00", domain)
        assert condition is not None
        assert sorted(u.member for u in condition.experts[0].members) == sorted(best)
    done, missing = evaluations_of(plan)
    assert not missing
    table = make_table(done)
    assert {r.recipe: r.chosen_by_labels for r in table.rows}["pool-by-labels-3"] == ("00", "01")
    assert [r.chosen_by_labels for r in table.rows if r.recipe == "dense"] == [()]
    assert "| pool-by-labels-3 ‡ |" in markdown(table)
    assert "chosen by the labelled anomalies of sections 00, 01" in markdown(table)


def test_test_clips_choose_nothing_by_default(plan):
    assert bundle(plan, "dense").manifest.provenance.chosen_by_labels == []
    assert Path(bundle(plan, "dense").path).is_dir()
    assert np.isfinite([c.threshold.raise_level for c in bundle(plan, "sections").manifest.conditions]).all()
