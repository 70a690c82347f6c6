"""A section judged by its distance to what a network has learnt of it: one bank for its source and target.

The bank holds the clips that the network learnt, which score themselves at zero; reference scores come from clips that
it has never heard.
"""

from __future__ import annotations

import numpy as np

from asd_agent.bundle.manifest import FramePooling
from asd_agent.calibrate.bank import fit_bank
from asd_agent.calibrate.condition import (
    PROVISIONAL_BELOW,
    Calibrated,
    DomainData,
    borrowed,
    cross_fit,
    judge_of,
    standardisation,
)
from asd_agent.calibrate.settings import Arrays, DensitySettings, ModelOutputs


def calibrate_bank(
    learnt: ModelOutputs | None,
    held_out: DomainData,
    target: DomainData | None,
    settings: DensitySettings,
    pooling: FramePooling,
    *,
    learnt_target: ModelOutputs | None = None,
    own_domain: bool = False,
    seed: int = 0,
) -> tuple[Calibrated, Calibrated | None]:
    """Fit one member's bank for a section.

    Args:
        learnt: Of source clips that the member was trained on, shape (clips, rows, dimensions); None where nothing
            was trained: then held-out clips form the bank, and those of a fold are judged without it.
        held_out: Of source clips that it was not trained on.
        target: Of target clips that it was not trained on, if there are any.
        settings: With `density: bank`.
        pooling: From rows to a score.
        learnt_target: Model outputs of target clips that it was trained on. Their own scores are no measure: without
            others, an unheard clip of the target is taken to score as an unheard one of the source does.
        own_domain: Whether a domain is compared with its own items alone, not with those of both.
        seed: Of the choice of centres.

    Returns:
        The source's and the target's, the latter None without target clips. Their scorers are the same but for
        `own_domain`.

    Raises:
        DataError: Fewer than two recordings held out where nothing was learnt.
    """
    x = np.asarray(held_out.outputs)
    near = x[:0] if target is None else np.asarray(target.outputs)
    known = x[:0] if learnt_target is None else np.asarray(learnt_target)
    judge = judge_of(settings, pooling)

    def bank(source: ModelOutputs, few: ModelOutputs, *, of_target: bool = False) -> Arrays:
        items = known if len(known) else few
        if own_domain:
            return fit_bank([items if of_target and len(items) else source], settings, seed)
        return fit_bank([source, items], settings, seed)

    if learnt is None:
        own = x
        reference, between = cross_fit(held_out, lambda clips: bank(clips, near), judge)
    else:
        own, fitted = np.asarray(learnt), bank(np.asarray(learnt), near)
        reference = judge(x, fitted)
        between = judge(np.asarray(held_out.between), fitted) if len(held_out.between) else np.empty(0)
    source = Calibrated(bank(own, near), reference, standardisation(reference), between)
    if not len(near) and not len(known):
        return source, None
    whole = bank(own, near, of_target=True)
    if not len(near):
        return source, Calibrated(whole, reference, source.standardisation, between)
    if len(known):
        assert target is not None
        unheard = judge(near, whole)
        more = judge(np.asarray(target.between), whole) if len(target.between) else np.empty(0)
        return source, Calibrated(whole, unheard, standardisation(unheard), more)
    if len(near) < PROVISIONAL_BELOW:
        left_out = [judge(near[[i]], bank(own, np.delete(near, i, axis=0), of_target=True)) for i in range(len(near))]
        return source, borrowed(whole, np.concatenate(left_out), source)
    assert target is not None
    unseen, unseen_between = cross_fit(target, lambda clips: bank(own, clips, of_target=True), judge)
    return source, Calibrated(whole, unseen, standardisation(unseen), unseen_between)
