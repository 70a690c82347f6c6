"""Reference scores in a bundle, and those that an earlier exporter overwrote.

Earlier versions wrote a member's raw reference scores and its expert's standardised ones under one key where both had
one name (`level`, `mel_statistics`, `indicators`); the expert's came second and stayed. Scores of windows do not use
the member's array, so such a bundle scores as it should. Calibration uses it, and must not trust it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import ExpertUse, MemberUse, Standardisation
from asd_agent.errors import BundleError

Float = npt.NDArray[np.float64]
EXPORT_AGAIN = "Export the bundle again with this version of asd-trainer."
TOLERANCE = 1e-6
"""Tolerance of mean and spread, in spreads: both were computed from the same array in float64."""


LEAST_SPREAD = 1e-6
"""Share of the mean that fitting puts in place of a spread of zero."""


@dataclass(frozen=True)
class Overwritten:
    """A member's reference scores that its expert's have replaced.

    Attributes:
        section: Two digits.
        domain: `source`, `target` or `site`.
        member: Id of the member.
    """

    section: str
    domain: str
    member: str

    def __str__(self) -> str:
        return f"section {self.section}, {self.domain}: {self.member}"


def overwritten_references(bundle: Bundle) -> list[Overwritten]:
    """List the members whose array of raw reference scores holds their expert's standardised ones."""
    return [
        Overwritten(condition.section, condition.domain, use.member)
        for condition in bundle.manifest.conditions
        for expert in condition.experts
        for use in expert.members
        if _is_overwritten(bundle, expert, use)
    ]


def overwritten_text(found: list[Overwritten]) -> str:
    """Return one sentence that names the damaged arrays."""
    named = "; ".join(str(one) for one in found[:4]) + ("; …" if len(found) > 4 else "")
    return f"reference scores of {len(found)} detectors hold standardised scores in place of raw ones ({named})"


def raw_reference(bundle: Bundle, expert: ExpertUse, use: MemberUse) -> Float:
    """Return a member's raw reference scores, sorted, shape (clips,).

    An overwritten array is not used as it is. With one member the expert's score is the member's z-score, so that the
    raw scores follow from the expert's array and the member's own standardisation.

    Raises:
        BundleError: The array was overwritten and cannot be recovered.
    """
    stored = np.asarray(bundle.scorers[use.reference], dtype=np.float64)
    if not _is_overwritten(bundle, expert, use):
        return stored
    if len(expert.members) > 1 or not _fits(stored, expert.standardisation):
        raise BundleError(f"{bundle.path}: reference scores of {use.member!r} are lost", EXPORT_AGAIN)
    return use.standardisation.mean + use.standardisation.std * stored


def _is_overwritten(bundle: Bundle, expert: ExpertUse, use: MemberUse) -> bool:
    shared = use.reference == expert.reference
    return shared and not _fits(np.asarray(bundle.scorers[use.reference], dtype=np.float64), use.standardisation)


def _fits(scores: Float, by: Standardisation) -> bool:
    """Return whether an array has the mean and the spread that it was standardised by."""
    mean = float(np.mean(scores))
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else by.std
    spread = max(spread, LEAST_SPREAD * max(1.0, abs(mean)))
    return abs(mean - by.mean) <= TOLERANCE * by.std and abs(spread / by.std - 1.0) <= TOLERANCE
