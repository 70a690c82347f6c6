"""Windows of several sections and domains scored together get what each would get alone."""

from __future__ import annotations

import numpy as np
import pytest

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.demo.assets import demo_bundle, demo_recording
from asd_agent.errors import BundleError
from asd_agent.inference.scorer import BundleScorer, WindowScore

WINDOW = 160_000
ASKED = [("00", "source"), ("01", "source"), ("01", "auto"), ("00", "target"), ("00", "auto"), ("01", "source")]


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """Healthy and faulty sound in turn."""
    sound = read_clip(demo_recording()).samples
    return np.stack([sound[s * 16_000 :][:WINDOW] for s in (0, 140, 20, 150, 250, 60)])


def one_by_one(scorer: BundleScorer, windows: np.ndarray) -> list[WindowScore]:
    return [scorer.score(w[None], s, d, explained="all")[0] for w, (s, d) in zip(windows, ASKED, strict=True)]


def equal(together: list[WindowScore], alone: list[WindowScore], tolerance: float) -> None:
    assert [(t.section, t.domain, t.threshold) for t in together] == [(a.section, a.domain, a.threshold) for a in alone]
    assert [t.explanation for t in together] == [a.explanation for a in alone]
    for t, a in zip(together, alone, strict=True):
        assert t.score == pytest.approx(a.score, abs=tolerance)
        assert t.experts == pytest.approx(a.experts, abs=tolerance)
        assert t.members == pytest.approx(a.members, abs=tolerance)


def test_each_window_is_judged_by_its_own_section_and_domain(windows: np.ndarray):
    scorer = BundleScorer(Bundle.open(demo_bundle()))
    alone = one_by_one(scorer, windows)
    assert len({round(a.score, 3) for a in alone}) == len(alone)
    equal(scorer.score_each(windows, ASKED, explained="all"), alone, tolerance=1e-9)


@pytest.mark.parametrize("at_once", [4, 16])
def test_a_network_that_takes_many_windows_in_one_call_gives_the_same(
    windows: np.ndarray, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    scorer = BundleScorer(Bundle.open(demo_bundle()))
    alone = one_by_one(scorer, windows)
    monkeypatch.setattr("asd_agent.inference.members.windows_at_once", lambda _session: at_once)
    batched = BundleScorer(Bundle.open(demo_bundle()))
    tolerance = batched.bundle.manifest.tolerance
    equal(batched.score_each(windows, ASKED, explained="all"), alone, tolerance)


def test_a_section_that_is_not_there_and_windows_without_one_are_refused(windows: np.ndarray):
    scorer = BundleScorer(Bundle.open(demo_bundle()))
    with pytest.raises(BundleError, match="has no section '07'"):
        scorer.score_each(windows[:2], [("00", "source"), ("07", "source")])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        scorer.score_each(windows[:2], [("00", "source")])
