"""Reference scores that no fit has seen, and domains with three clips."""

import numpy as np
import pytest

from asd_agent.bundle.manifest import FramePooling
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import folds
from asd_agent.errors import DataError

SETTINGS = DensitySettings(density="mahalanobis")


def data(clips: int, dimensions: int = 20, seed: int = 0, offset: float = 0.0) -> DomainData:
    x = np.random.default_rng(seed).normal(size=(clips, 1, dimensions)) + offset
    return DomainData(x, [f"r{i}" for i in range(clips)])


def test_a_recording_is_never_on_both_sides_of_a_fold():
    recordings = ["a", "b", "a", "c", "b", "d"]
    for held_out in folds(recordings):
        inside = {recordings[i] for i in held_out}
        outside = {r for i, r in enumerate(recordings) if i not in held_out}
        assert not inside & outside
    assert sorted(np.concatenate(folds(recordings))) == list(range(6))


def test_one_recording_is_refused():
    with pytest.raises(DataError, match="at least two recordings"):
        calibrate_source(DomainData(np.zeros((5, 1, 3)), ["r"] * 5), SETTINGS, FramePooling())


def test_reference_scores_speak_for_fresh_clips_although_few_were_fitted():
    # With 30 clips in 20 dimensions a fit's own clips score far lower than fresh ones.
    got = calibrate_source(data(30), SETTINGS, FramePooling())
    fresh = data(400, seed=1).outputs[:, 0]
    deviation = fresh - got.scorer["mean"]
    scores = np.sqrt(np.einsum("nd,de,ne->n", deviation, got.scorer["precision"], deviation))
    assert np.median(got.reference) == pytest.approx(np.median(scores), rel=0.1)


def test_three_clips_give_a_location_and_borrow_the_spread():
    source = calibrate_source(data(200), SETTINGS, FramePooling())
    target = calibrate_target(data(3, seed=2, offset=5.0), source, SETTINGS, FramePooling())
    assert target.standardisation.std == pytest.approx(source.standardisation.std * np.sqrt(4 / 3))
    np.testing.assert_allclose(target.scorer["mean"] - source.scorer["mean"], 5.0, atol=2.0)
    assert len(target.reference) == 200
    assert target.reference.mean() == pytest.approx(target.standardisation.mean)
