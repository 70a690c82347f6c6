"""Transductive scores: standardised over the test clips as in the paper, only for comparison with its table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE, full_window, read_clip
from asd_agent.bundle.manifest import Condition, MemberUse
from asd_agent.calibrate.condition import standardisation
from asd_agent.inference.densities import anomaly_scores, doubts
from asd_agent.inference.ensemble import ensemble_score
from asd_agent.inference.members import WindowFeatures
from asd_agent.inference.scorer import BundleScorer, WindowScore
from asd_agent.inference.scorer_arrays import scorer_arrays
from asd_trainer.data.layout import Clip

EQUATION_7 = ("posterior_distance", "logit_distance")
"""Densities with statistics that the paper takes from the test clips."""

Float = npt.NDArray[np.float64]


def transductive_scores(
    scorer: BundleScorer, clips: Sequence[Clip], scores: Sequence[WindowScore], condition: Condition
) -> list[float]:
    """Return the scores of the clips of a cell with d' of Eq. 7, members and experts standardised over these clips.

    Args:
        scorer: Scorer of the bundle.
        clips: Clips of one section and domain.
        scores: Streaming scores of these clips.
        condition: Section and domain of the clips.

    Returns:
        One score for each clip.
    """
    experts: list[Float] = []
    for expert in condition.experts:
        raw = np.array([_raw(scorer, use, clips, scores, condition) for use in expert.members])
        experts.append(
            ensemble_score(raw, [standardisation(r) for r in raw], [np.sort(r) for r in raw], expert.combination)
        )
    stacked = np.stack(experts)
    found = ensemble_score(
        stacked, [standardisation(e) for e in stacked], [np.sort(e) for e in stacked], condition.combination
    )
    return [float(value) for value in found]


def same_ranking(condition: Condition) -> bool:
    """Return True where transductive scores rank the clips of a cell as streaming ones do, by construction.

    That is so for one member whose score does not itself depend on the test clips: standardisation is monotone. AUC and
    pAUC of such a cell are equal, and their equality shows nothing.
    """
    members = [use for expert in condition.experts for use in expert.members]
    return len(members) == 1 and members[0].density not in EQUATION_7


def _raw(
    scorer: BundleScorer,
    use: MemberUse,
    clips: Sequence[Clip],
    scores: Sequence[WindowScore],
    condition: Condition,
) -> Float:
    """Return the scores of a member; distances of a classifier are standardised over the clips."""
    if use.density not in EQUATION_7:
        return np.array([s.members[use.member] for s in scores])
    size = scorer.bundle.manifest.window_samples
    signals = (read_clip(clip.path, seconds=size / SAMPLE_RATE).samples for clip in clips)
    windows = np.stack([full_window(c.path, s, size) for c, s in zip(clips, signals, strict=True)])
    outputs = np.concatenate(
        [scorer.infer(WindowFeatures(windows[i : i + 1]), use.member, condition.section) for i in range(len(windows))]
    )[:, :, :2].mean(axis=1, dtype=np.float64)
    own = scorer_arrays(scorer.bundle.scorers, use.scorer)
    spread = standardisation(outputs[:, 1])
    over_cell = {**own, "distance_mean": np.array([spread.mean]), "distance_std": np.array([spread.std])}
    if use.density == "logit_distance":
        of_doubts = standardisation(doubts(outputs))
        over_cell |= {"doubt_mean": np.array([of_doubts.mean]), "doubt_std": np.array([of_doubts.std])}
    return anomaly_scores(outputs, use.density, over_cell)
