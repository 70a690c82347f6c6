"""Classifiers from clips to the agent's scores: a network a section, tuned to the target, judged by Eq. 7 or a bank."""

from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.errors import ConfigError
from asd_agent.features.log_mel import log_mel
from asd_agent.inference.densities import LEAST_POSTERIOR
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluations_of
from asd_trainer.families.classifier.family import LEFT_OUT
from asd_trainer.families.classifier.section_training import folds_of
from asd_trainer.families.classifier.training import load_classifier
from asd_trainer.jobs import digests
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.jobs.train import carry_out
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.report.gather import gather
from rigs.clips import write_data_set

CLASSIFIER = {
    "kind": "classifier",
    "network": {"backbone": "test_resnet", "frames": 64, "embedding": 8},  # the smallest that timm has
    "outliers": {"sources": ["sections"]},
    "training": {"steps": 4, "batch": 8},
    "tuning": {"steps": 2, "target_items": 2},
}
FEATURES = {"n_fft": 2048, "hop_length": 2500, "n_mels": 32}


def recipe(name: str, **changes: object) -> Recipe:
    expert = {**CLASSIFIER, **changes}
    return Recipe.model_validate({"name": name, "features": FEATURES, "experts": [expert], "device": "cpu"})


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A classifier a section, and one with a bank, trained and evaluated."""
    place = tmp_path_factory.mktemp("classifiers")
    write_data_set(place / "data", train_source=5, test=1)
    banked = recipe("banked", density={"density": "bank", "first": 2}, tuning=None)
    made = make_plan([scan(place / "data")], [recipe("bc"), banked], [0], place / "runs", evaluations=True)
    carry_out(made, workers=2)
    return made


def bundle(plan: Plan, name: str) -> Bundle:
    return Bundle.open(next(one.run.bundle for one in plan.runs if one.run.recipe == name))


def files(plan: Plan, job: str) -> Path:
    return plan.out / "jobs" / digests(plan.jobs)[job] / "files"


def equation_7(opened: Bundle, scorer: str, p: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Eq. 7 with γ = 0.5 by hand: the doubt as a logit, both terms standardised by held-out normal clips."""
    p = np.clip(p.astype(np.float64), LEAST_POSTERIOR, 1 - LEAST_POSTERIOR)
    terms = {"doubt": np.log1p(-p) - np.log(p), "distance": d.astype(np.float64)}
    standardised = [
        (term - opened.scorers[f"{scorer}/{name}_mean"].item()) / opened.scorers[f"{scorer}/{name}_std"].item()
        for name, term in terms.items()
    ]
    return 0.5 * standardised[0] + 0.5 * standardised[1]


def test_each_section_and_domain_is_judged_by_its_own_networks_and_no_other(plan):
    manifest = bundle(plan, "bc").manifest
    for section in ("00", "01"):
        for domain in ("source", "target"):
            condition = manifest.condition(section, domain)
            assert condition is not None
            (expert,) = condition.experts
            assert [u.member for u in expert.members] == [f"bc-0-{section}-{domain}"]
            assert condition.provisional == (domain == "target")


@pytest.mark.parametrize(("domain", "checkpoint"), [("source", "source"), ("target", "target")])
def test_the_agent_gives_equation_7_of_torchs_network(plan, domain, checkpoint):
    opened = bundle(plan, "bc")
    model = load_classifier(files(plan, "bc/seed-0/fan/bc-0-01") / checkpoint / "final.pt")
    clip = next(plan.runs[0].run.data.glob(f"fan/{domain}_test/section_01_*_anomaly_0000.wav"))
    sound = read_clip(clip).samples
    with torch.no_grad():
        p, d, _ = model(torch.from_numpy(log_mel(sound, recipe("x").features))[None])
    condition = opened.manifest.condition("01", domain)
    assert condition is not None
    use = condition.experts[0].members[0]
    wanted = equation_7(opened, use.scorer, p.numpy(), d.numpy())
    found = BundleScorer(opened).score(sound[None], "01", domain, explained="all")[0]
    assert found.members[f"bc-0-01-{domain}"] == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    assert found.explanation is not None
    assert found.explanation.text == "unlike this section's sound"


def test_a_targets_location_comes_of_networks_that_were_not_tuned_to_the_clip(plan):
    """Three clips, three more tunings; the spread is the source clips' under the tuned network, widened."""
    folder = files(plan, "bc/seed-0/fan/bc-0-00")
    seen = np.load(folder / LEFT_OUT)
    assert seen.shape == (3, 1, 2 + 8)
    assert sorted(p.name for p in folder.glob("without-*")) == ["without-0", "without-1", "without-2"]
    opened = bundle(plan, "bc")
    condition = opened.manifest.condition("00", "target")
    assert condition is not None
    use = condition.experts[0].members[0]
    left_out = equation_7(opened, use.scorer, seen[:, 0, 0], seen[:, 0, 1])
    assert use.standardisation.mean == pytest.approx(left_out.mean(), rel=1e-5)


def test_a_bank_holds_what_was_learnt_and_the_target_and_nothing_is_tuned(plan):
    opened = bundle(plan, "banked")
    for section in ("00", "01"):
        for domain in ("source", "target"):
            condition = opened.manifest.condition(section, domain)
            assert condition is not None
            (use,) = condition.experts[0].members
            assert use.member == f"bc-0-{section}-source"
            assert opened.scorers[f"{use.scorer}/bank"].shape == (5 - 2 + 3, 8)  # two of five are held out


def test_golden_windows_pass_and_everything_is_evaluated(plan):
    for name in ("bc", "banked"):
        assert check_golden(BundleScorer(bundle(plan, name))) <= 1e-6
    done, missing = evaluations_of(plan)
    assert len(done) == 2
    assert not missing


def test_the_report_draws_each_stage_of_each_sections_network_under_a_name_of_its_own(plan):
    done, _ = evaluations_of(plan)
    (tuned,) = [e for e in done if e.run.recipe == "bc"]
    names = [curve.member for curve in gather(tuned).curves]
    stages = [
        f"network {n}, section {s}, {stage}" for n, s in enumerate(("00", "01")) for stage in ("source", "target")
    ]
    assert names == stages


def test_what_the_data_do_not_permit_is_noted_and_a_missing_folder_refused(tmp_path):
    write_data_set(tmp_path / "data", train_source=5, train_target=0, test=1)
    for path in (tmp_path / "data").rglob("section_01_*"):
        path.unlink()
    data = scan(tmp_path / "data")
    notes = make_plan([data], [recipe("bc")], [0], tmp_path / "runs").notes
    assert len(notes) == 2
    assert "nothing but section 00 of fan" in notes[0]
    assert "its own normal clips, transformed, serve as pseudo-anomalies" in notes[0]
    assert "section 00 of fan has no target clips: nothing is tuned to them" in notes[1]
    lost = recipe("bc", outliers={"sources": ["folder"], "folder": str(tmp_path / "gone")})
    with pytest.raises(ConfigError, match="gone: the folder of pseudo-anomalies is not there"):
        make_plan([data], [lost], [0], tmp_path / "runs")


def test_clips_of_one_recording_are_left_out_together(tmp_path):
    write_data_set(tmp_path, train_source=5, train_target=4, test=0)
    clips = [c for c in scan(tmp_path).clips if (c.section, c.domain) == ("00", "target")]
    assert [list(f) for f in folds_of(clips, 3)] == [[0, 3], [1], [2]]
    assert [list(f) for f in folds_of(clips[:1], 3)] == [[0]]
