"""From data sets and recipes to one bundle a machine and seed: plans are carried out, bundles are exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asd_agent.bundle import Bundle
from asd_trainer.data.dataset import DataSet
from asd_trainer.engine.progress import StageProgress
from asd_trainer.jobs import JobStatus, run_jobs
from asd_trainer.jobs.descriptions import split_folder
from asd_trainer.jobs.executor import OnStatus
from asd_trainer.jobs.launch import Launcher
from asd_trainer.jobs.plan import Plan, make_plan
from asd_trainer.jobs.runs import Run, publish_bundle, publish_evaluation
from asd_trainer.jobs.store import folder_of
from asd_trainer.recipes.recipe import Recipe


def carry_out(plan: Plan, *, workers: int | Launcher = 1, on_status: OnStatus | None = None) -> list[Run]:
    """Run the jobs of a plan that are not done. Finished runs are published even when other jobs fail.

    Args:
        plan: Plan.
        workers: Processes at a time, or what starts jobs elsewhere.
        on_status: Called twice a second with the state of every job.

    Returns:
        The runs.

    Raises:
        JobsFailedError: Jobs failed; the others are done.
    """
    for split in plan.splits:
        split.store(split_folder(plan.out))
    try:
        run_jobs(plan.jobs, plan.out, workers=workers, on_status=on_status)
    finally:
        for one in plan.runs:
            if folder_of(plan.out, one.run.job).result() is not None:
                publish_bundle(one.run, dict(one.settings), plan.out)
                if one.evaluation is not None:
                    publish_evaluation(one.run, folder_of(plan.out, one.evaluation))
    return [one.run for one in plan.runs]


def train_machine(
    data: DataSet, machine: str, recipe: Recipe, seed: int, out: Path, progress: StageProgress | None = None
) -> Run:
    """Train one machine: members, scorers, thresholds, bundle. An interrupted call resumes, a finished one returns.

    Raises:
        DataError: The data set does not permit it.
        JobsFailedError: A job failed.
    """
    plan = make_plan([data], [recipe], [seed], out, machines=[machine], progress=progress)
    (run,) = carry_out(plan, on_status=report_steps(progress) if progress else None)
    return run


def report_steps(progress: StageProgress) -> OnStatus:
    """Return an observer that reports the steps of running jobs as stages."""

    def on_status(statuses: Sequence[JobStatus]) -> None:
        for s in statuses:
            if s.state == "running" and s.step is not None and s.total is not None:
                progress(f"{s.name}: steps", s.step, s.total)

    return on_status


def export_run(run: Run, out: Path, metrics: dict[str, Any] | None = None) -> Bundle:
    """Copy a run's bundle to where the agent takes it from, with its metrics, once its golden windows pass.

    Raises:
        BundleError: The run's bundle is damaged or does not give its own golden scores.
    """
    from asd_agent.bundle.arrays import load_arrays
    from asd_agent.bundle.bundle import write_bundle
    from asd_agent.bundle.files import GOLDEN, SCORERS
    from asd_agent.inference.provider_check import check_golden
    from asd_agent.inference.scorer import BundleScorer

    bundle = Bundle.open(run.bundle)
    check_golden(BundleScorer(bundle))
    manifest = bundle.manifest.model_copy(update={"metrics": metrics or {}, "name": out.name})
    arrays = {name: load_arrays(bundle.path / name) for name in (SCORERS, GOLDEN)}
    graphs = {name: bundle.path / name for name in bundle.manifest.files if name not in arrays}
    return write_bundle(out, manifest, arrays, graphs)
