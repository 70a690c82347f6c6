"""Clips that a member's scorers are fitted to: those it has not learnt, of one condition or of the machine."""

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.manifest import Member, Provenance
from asd_agent.calibrate import DensitySettings
from asd_agent.calibrate.compose import ThresholdSettings
from asd_agent.calibrate.density import fit_density
from asd_agent.errors import DataError
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.inference.densities import anomaly_scores
from asd_agent.inference.members import WindowFeatures, load_member
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.families.expert_plan import ExpertPlan
from asd_trainer.fit.bundle import Fitter
from asd_trainer.fit.scorers import MemberScorers
from rigs.bundles import normal_clips

SPEC = FeatureSpec(n_mels=16)
SOURCE = {s: normal_clips(s, "source", 8, n) for n, s in enumerate(("00", "01"))}
TARGET = {"00": normal_clips("00", "target", 3, 7)}


def plan(**more) -> ExpertPlan:
    members = [Member(id=f"m-{i}", kind="mel_statistics", features=SPEC) for i in range(2)]
    return ExpertPlan("mel", members, DensitySettings(density="mahalanobis"), **more)


def held_out(*numbers: int) -> frozenset[str]:
    return frozenset(w.names[n] for w in SOURCE.values() for n in numbers)


def fitted(using: ExpertPlan, number: int = 0):
    return MemberScorers("hum", {}, Sessions()).fit(using, number, SOURCE, TARGET)


def test_each_member_has_reference_scores_of_what_it_has_not_learnt():
    using = plan(held_out=[held_out(0, 1, 2), held_out(3, 4, 6)])
    for number, rows in enumerate(([0, 1, 2], [3, 4, 6])):
        found = fitted(using, number)["01", "source"]
        assert np.flatnonzero(np.isfinite(found.reference)).tolist() == rows


def test_a_density_fitted_to_all_clips_still_takes_its_reference_from_unlearnt_ones():
    """By hand: a density of the learnt clips and the unlearnt ones of the other folds judges those of one fold."""
    settings = DensitySettings(density="mahalanobis")
    using = plan(held_out=[held_out(0, 1, 2), held_out(3, 4)], fitted_to="all")
    found = fitted(using)["01", "source"]
    assert np.flatnonzero(np.isfinite(found.reference)).tolist() == [0, 1, 2]
    windows = WindowFeatures(SOURCE["01"].floats())
    output = load_member(using.members[0], Path(), {}, {}, Sessions())(windows, ["01"] * 8)
    np.testing.assert_allclose(found.scorer["mean"], fit_density(output, settings)["mean"], rtol=1e-6)
    learnt = [3, 4, 5, 6, 7]
    for row, others in ((0, [1, 2]), (1, [0, 2]), (2, [0, 1])):
        scorer = fit_density(output[learnt + others], settings)
        assert found.reference[row] == pytest.approx(anomaly_scores(output[row], "mahalanobis", scorer)[0], rel=1e-5)
    alone = fitted(plan(held_out=[held_out(0, 1, 2), held_out(3, 4)]))["01", "source"]
    assert not np.allclose(alone.scorer["mean"], found.scorer["mean"])


def test_a_section_that_a_member_has_learnt_whole_is_named():
    with pytest.raises(DataError, match="section 00 of hum has 1 normal recordings that member m-1 has not learnt"):
        fitted(plan(held_out=[held_out(0, 1), held_out(3)]), 1)


def test_one_scorer_for_the_machine_is_the_same_everywhere_and_a_target_that_was_learnt_borrows_the_source():
    found = fitted(plan(scorers="machine", knows_target=True))
    assert set(found) == {("00", "source"), ("01", "source"), ("00", "target")}
    assert all(c.scorer is found["00", "source"].scorer for c in found.values())
    assert len({c.standardisation.mean for c in found.values()}) == 1
    np.testing.assert_array_equal(found["00", "target"].reference, found["00", "source"].reference)


def test_a_target_that_was_not_learnt_enters_the_machines_scorer():
    means = [fitted(plan(scorers="machine", knows_target=knows))["00", "source"].scorer["mean"] for knows in (0, 1)]
    assert not np.allclose(*means)


def test_a_bundle_of_rotating_folds_is_calibrated_on_every_clip_and_gives_its_golden_scores(tmp_path):
    using = plan(held_out=[held_out(0, 1, 2, 3), held_out(4, 5, 6)], chosen={"target": ["m-1"]})
    fitter = Fitter("hum", [using], ThresholdSettings())
    fitter.fit(SOURCE, TARGET)
    made = datetime(2025, 1, 1, tzinfo=timezone.utc)
    provenance = Provenance(created=made, recipe="test", recipe_settings={}, data_digest="0" * 64, seed=0, versions={})
    bundle = fitter.write(tmp_path / "hum", "hum", provenance)
    source, target = bundle.manifest.condition("00", "source"), bundle.manifest.condition("00", "target")
    assert source is not None
    assert target is not None
    assert len(bundle.scorers[source.reference]) == 7
    assert [u.member for u in source.experts[0].members] == ["m-0", "m-1"]
    assert [u.member for u in target.experts[0].members] == ["m-1"]
    assert len(bundle.scorers[target.reference]) == 3
    assert check_golden(BundleScorer(bundle)) < 1e-9
