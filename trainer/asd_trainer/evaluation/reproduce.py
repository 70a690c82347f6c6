"""Reproduction of a bundle: it is trained again from its recipe, seed and data, and both are compared."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle import Bundle
from asd_agent.errors import DataError
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import scan
from asd_trainer.engine.progress import StageProgress
from asd_trainer.jobs.executor import OnStatus
from asd_trainer.jobs.plan import make_plan
from asd_trainer.jobs.train import carry_out
from asd_trainer.recipes.recipe import Recipe


@dataclass(frozen=True)
class Reproduction:
    """Differences between a bundle and its reproduction.

    Attributes:
        again: Folder of the reproduced bundle.
        same_files: Files that are equal byte by byte.
        other_files: Files that differ, or that one of both lacks.
        versions: Libraries whose versions differ: name to (then, now).
        score_difference: Largest difference of the score of a golden window, in standard deviations of normal scores.
        threshold_difference: Largest difference of a raise level, in the same unit.
        tolerance: Allowed difference of a golden score on another box, from the manifest.
    """

    again: str
    same_files: tuple[str, ...]
    other_files: tuple[str, ...]
    versions: dict[str, tuple[str, str]]
    score_difference: float
    threshold_difference: float
    tolerance: float

    @property
    def same(self) -> bool:
        """True if scores and raise levels agree within the tolerance."""
        return max(self.score_difference, self.threshold_difference) <= self.tolerance

    def document(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {"schema": 1, "same": self.same, **asdict(self)}


def reproduce(
    path: Path, data: Path, out: Path, *, progress: StageProgress | None = None, on_status: OnStatus | None = None
) -> Reproduction:
    """Train a bundle again and compare both.

    Args:
        path: Folder of the bundle.
        data: Data set that it was trained on.
        out: Folder of runs. Finished jobs in it are not trained again, so give an empty folder for a full check.
        progress: Called for clips whose digests are computed.
        on_status: Called with the states of the jobs.

    Raises:
        BundleError: The bundle is damaged.
        DataError: The clips are not those that it was trained on.
        JobsFailedError: The training failed.
    """
    bundle = Bundle.open(path)
    made = bundle.manifest.provenance
    recipe = Recipe.model_validate(made.recipe_settings)
    plan = make_plan([scan(data)], [recipe], [made.seed], out, machines=[bundle.manifest.machine], progress=progress)
    (planned,) = plan.runs
    if planned.run.data_digest != made.data_digest:
        raise DataError(
            f"{data}: the training clips of {bundle.manifest.machine} are not those of {path} "
            f"({planned.run.data_digest[:12]} instead of {made.data_digest[:12]})",
            "Give the data set that the bundle was trained on, whole and unchanged.",
        )
    (run,) = carry_out(plan, on_status=on_status)
    return compare(bundle, Bundle.open(run.bundle))


def compare(bundle: Bundle, again: Bundle) -> Reproduction:
    """Compare two bundles of one recipe, seed and data set."""
    mine, other = bundle.manifest, again.manifest
    same = tuple(sorted(n for n, digest in mine.files.items() if other.files.get(n) == digest))
    then, now = mine.provenance.versions, other.provenance.versions
    golden, scorer = bundle.golden(), BundleScorer(again)
    scores = [
        scorer.score(window[None].astype(np.float32) / 32768.0, str(section), str(domain))[0].score
        for window, section, domain in zip(golden["windows"], golden["sections"], golden["domains"], strict=True)
    ]
    levels = {(c.section, c.domain): c.threshold.raise_level for c in other.conditions}
    return Reproduction(
        again=str(again.path),
        same_files=same,
        other_files=tuple(sorted((mine.files.keys() | other.files.keys()) - set(same))),
        versions={n: (then.get(n, ""), now.get(n, "")) for n in then | now if then.get(n) != now.get(n)},
        score_difference=float(np.max(np.abs(np.array(scores) - golden["scores"]))),
        threshold_difference=max(
            abs(c.threshold.raise_level - levels.get((c.section, c.domain), np.inf)) for c in mine.conditions
        ),
        tolerance=mine.tolerance,
    )
