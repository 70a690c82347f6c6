"""Windows through a bundle: the same numbers again, whatever else is in the batch."""

from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle import Bundle
from asd_agent.errors import BundleError
from asd_agent.inference.provider_check import check_golden
from asd_agent.inference.scorer import BundleScorer, score_long
from rigs.bundles import RATE, hum


@pytest.fixture(scope="module")
def scorer(bundle_path: Path) -> BundleScorer:
    return BundleScorer(Bundle.open(bundle_path))


def test_golden_windows_give_their_scores(scorer: BundleScorer):
    assert check_golden(scorer) < 1e-6


def test_golden_scores_that_differ_are_refused(scorer: BundleScorer, monkeypatch: pytest.MonkeyPatch):
    golden = scorer.bundle.golden()
    golden["scores"] = golden["scores"] + 1.0
    monkeypatch.setattr(Bundle, "golden", lambda _self: golden)
    with pytest.raises(BundleError, match="golden window 0"):
        check_golden(scorer)


def test_a_fault_scores_above_its_threshold_and_normal_sound_below(scorer: BundleScorer):
    windows = np.stack([hum(10, 901), hum(10, 902, knocks=True)])
    normal, faulty = scorer.score(windows, "00", "source")
    assert normal.score < normal.threshold
    assert faulty.score > faulty.threshold + 5


def test_a_window_scores_the_same_alone_and_in_a_batch(scorer: BundleScorer):
    windows = np.stack([hum(10, seed) for seed in range(910, 914)])
    together = [s.score for s in scorer.score(windows, "00", "source")]
    alone = [scorer.score(w[None], "00", "source")[0].score for w in windows]
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_auto_takes_the_domain_whose_threshold_is_exceeded_less(scorer: BundleScorer):
    shifted = hum(10, 920, pitch=150.0)[None]
    source, target = (scorer.score(shifted, "00", d)[0] for d in ("source", "target"))
    auto = scorer.score(shifted, "00", "auto")[0]
    better = min((source, target), key=lambda s: s.score - s.threshold)
    assert (auto.domain, auto.score) == (better.domain, better.score)


def test_a_long_clip_scores_the_mean_of_its_windows_the_last_flush_with_its_end(scorer: BundleScorer):
    sound = hum(17, 930)
    starts = [0, 5 * RATE, 7 * RATE]
    wanted = np.mean([scorer.score(sound[s : s + 10 * RATE][None], "00", "source")[0].score for s in starts])
    assert score_long(scorer, sound, "00", "source").score == pytest.approx(wanted)


def test_the_explanation_names_the_band_of_the_knocks(scorer: BundleScorer):
    (got,) = scorer.score(hum(10, 940, knocks=True)[None], "00", "source", explained="all")
    assert got.explanation is not None
    assert any(low <= 3500 and high >= 2500 for low, high in got.explanation.bands_hz)


def test_where_only_the_unusual_is_told_a_usual_window_costs_no_explanation(scorer: BundleScorer):
    windows = np.stack([hum(10, 941), hum(10, 940, knocks=True)])
    usual, faulty = scorer.score(windows, "00", "source", explained="unusual")
    assert usual.explanation is None
    assert faulty.explanation == scorer.score(windows[1:], "00", "source", explained="all")[0].explanation
    assert faulty.explanation is not None


def test_windows_of_another_length_are_refused(scorer: BundleScorer):
    with pytest.raises(ValueError, match="wanted"):
        scorer.score(np.zeros((1, 100), np.float32), "00", "source")


def test_a_long_clip_under_auto_counts_the_windows_of_one_domain_alone(scorer: BundleScorer):
    """Its beginning sounds like the source, the longer rest like the target: two scales that do not compare."""
    sound = np.concatenate([hum(15, 940), hum(45, 941, pitch=150.0)])
    starts = [*range(0, len(sound) - 10 * RATE + 1, 5 * RATE)]
    alone = [scorer.score(sound[s : s + 10 * RATE][None], "00", "auto")[0] for s in starts]
    assert {s.domain for s in alone} == {"source", "target"}
    found = score_long(scorer, sound, "00", "auto")
    target = [s for s in alone if s.domain == "target"]
    assert len(target) > len(alone) / 2
    assert found.domain == "target"
    assert found.threshold == target[0].threshold
    assert found.score == pytest.approx(np.mean([s.score for s in target]))
