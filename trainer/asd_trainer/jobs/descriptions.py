"""Descriptions of jobs: what decides a training, a bundle and an evaluation, and where their inputs are.

The digest of a job covers what decides its result: settings, digests of clips, and code. The places of files decide
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle.manifest import ARITHMETIC_VERSION, SCHEMA_VERSION
from asd_trainer.data.split import DataSplit
from asd_trainer.families.base import MemberJob, MemberRequest
from asd_trainer.families.registry import code_digest, family_of
from asd_trainer.jobs import Job
from asd_trainer.jobs.machine_clips import MachineClips
from asd_trainer.jobs.runs import JOBS
from asd_trainer.recipes.recipe import Recipe

ARITHMETIC = 1
"""Raised when the same inputs give another network, bundle or evaluation than before."""
METRICS_VERSION = 2
"""Raised when the same scores give other metrics or intervals. 2: recordings are resampled, not clips."""
MEMBER, BUNDLE, EVALUATION = "network", "bundle", "evaluation"
"""Kinds of jobs."""
SPLITS = "splits"
"""Folder of stored splits, beside the jobs in RUNS."""


@dataclass(frozen=True)
class RunInputs:
    """One machine by one recipe from one seed.

    Attributes:
        name: Name of the run, its folder in RUNS.
        clips: Clips of the machine.
        recipe: Recipe.
        seed: Seed of the run.
        split: Clips and folds.
        split_file: Place of the stored split.
    """

    name: Path
    clips: MachineClips
    recipe: Recipe
    seed: int
    split: DataSplit
    split_file: Path

    @property
    def data_digest(self) -> str:
        """Digest of all clips that the bundle comes from: the machine's, or those of the whole data set."""
        whole = any(family_of(e.kind).whole_data_set for e in self.recipe.experts)
        return self.clips.digest("data_set" if whole else "machine")

    @property
    def paths(self) -> dict[str, str]:
        """Places of the data set and of its split."""
        return {"data": str(self.clips.root), "split": str(self.split_file)}


def member_job(run: RunInputs, request: MemberRequest[Any], planned: MemberJob[Any]) -> Job:
    """Return the job of one training."""
    kind = planned.expert.kind
    whole = family_of(kind).whole_data_set
    return Job(
        name=f"{run.name.parent if whole else run.name}/{planned.name}",
        kind=MEMBER,
        run="asd_trainer.jobs.bodies:train_member",
        arguments={
            "machine": "" if whole else run.clips.machine,
            "expert": planned.expert.model_dump(mode="json"),
            "execution": run.recipe.execution.model_dump(mode="json"),
            "held_out": run.recipe.held_out.model_dump(mode="json"),
            "seed": run.seed,
            "fold": request.fold,
            "member_seed": request.named.member_seed(run.seed, request.number),
            **planned.arguments,
        },
        inputs={
            "data": {clips: run.clips.digest(clips) for clips in planned.clips},
            "code": _code_version(kind),
            **planned.inputs,
        },
        paths={**run.paths, **{key: str(path) for key, path in planned.paths.items()}},
    )


def bundle_job(run: RunInputs, name: str, recipe: Recipe, seed: int, needs: Sequence[str]) -> Job:
    """Return the job that fits scorers and writes a bundle, from the trainings that it needs."""
    code = _code_version(*(e.kind for e in recipe.experts))
    return Job(
        name=f"{run.name}/{name}",
        kind=BUNDLE,
        run="asd_trainer.jobs.bodies:fit_bundle",
        arguments={
            "machine": run.clips.machine,
            "recipe": recipe.model_dump(mode="json"),
            "seed": seed,
            "data_digest": run.data_digest,
        },
        inputs={"code": {**code, "scores": ARITHMETIC_VERSION, "bundle": SCHEMA_VERSION}},
        paths=run.paths,
        depends_on=tuple(needs),
    )


def evaluation_job(name: str, clips: MachineClips, split_file: Path, bundle: str) -> Job:
    """Return the job that scores a machine's test clips with the bundle of another job."""
    return Job(
        name=name,
        kind=EVALUATION,
        run="asd_trainer.evaluation.score:evaluate_bundle",
        arguments={"machine": clips.machine},
        inputs={"data": clips.testing_digest(), "code": {**_code_version(), "metrics": METRICS_VERSION}},
        paths={"data": str(clips.root), "split": str(split_file)},
        depends_on=(bundle,),
    )


def choice_job(run: RunInputs, pool: str) -> Job:
    """Return the job by which labels choose among the members of a bundle that holds all of them."""
    job = evaluation_job(f"{run.name}/pool-{EVALUATION}", run.clips, run.split_file, pool)
    return replace(
        job,
        run="asd_trainer.evaluation.selection_by_labels:choose_members",
        arguments={**job.arguments, "recipe": run.recipe.model_dump(mode="json")},
    )


def split_folder(out: Path) -> Path:
    """Return the folder of stored splits in RUNS."""
    return out.resolve() / JOBS / SPLITS


def _code_version(*kinds: str) -> dict[str, Any]:
    """Code that decides a job's result: this package's version, and the code of somebody's own families."""
    families = {kind: [family_of(kind).arithmetic, code_digest(kind)] for kind in sorted(set(kinds))}
    return {"asd": version("asd-edge"), "arithmetic": ARITHMETIC, "families": families}
