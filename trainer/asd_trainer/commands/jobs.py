"""asd-trainer jobs: state of the jobs of earlier and running commands. Also options that commands with jobs share."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from asd_agent.commands.console import print_json
from asd_agent.errors import DataError
from asd_trainer.engine.progress import StageProgress, progress_lines
from asd_trainer.text import counted, duration

if TYPE_CHECKING:
    from asd_trainer.jobs.estimate import Estimate
    from asd_trainer.jobs.executor import OnStatus
    from asd_trainer.jobs.launch import Launcher
    from asd_trainer.jobs.plan import Plan
    from asd_trainer.jobs.store import JobStatus

Workers = Annotated[int, typer.Option(help="Processes at a time; they share cores and GPUs.", min=1)]
OnCluster = Annotated[
    str | None, typer.Option("--cluster", help="Run the jobs on this Ray cluster, such as 10.0.0.5:6379, not here.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List every job with its size and do nothing else.")]
Hours = Annotated[
    bool,
    typer.Option(
        "--hours", help="With --dry-run: measure a few steps of each network on this machine and estimate the time."
    ),
]


def jobs(
    runs: Annotated[Path, typer.Argument(help="Folder of runs.")] = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """List the jobs of a folder of runs with their progress, also while they run.

    Example: asd-trainer jobs runs
    """
    from dataclasses import asdict

    from asd_trainer.jobs import status
    from asd_trainer.jobs.screen import seconds_left, status_table

    found = status(runs)
    if not found:
        raise DataError(f"{runs}: has no jobs", "Train first: asd-trainer train DATA --recipe quick --out RUNS.")
    running = sum(s.state == "running" for s in found)
    left = seconds_left(found, max(running, 1))
    if json:
        print_json({"schema": 1, "jobs": [asdict(s) for s in found], "seconds_left": left})
        return
    _console().print(status_table(found))
    done = sum(s.state == "done" for s in found)
    ahead = f", {duration(left)} left" if left and running else ""
    sys.stdout.write(f"{done} of {len(found)} done, {running} running{ahead}\n")


@contextmanager
def job_display(workers: int, cluster: str | None = None) -> Iterator[tuple[int | Launcher, OnStatus | None]]:
    """Yield the launcher of the jobs and an observer that shows them on stderr: live on a terminal, else by lines."""
    from asd_trainer.jobs.screen import JobScreen

    with ExitStack() as ends:
        launcher: int | Launcher = workers
        if cluster is not None:
            from asd_trainer.jobs.cluster import Cluster

            launcher = ends.enter_context(closing(Cluster(cluster)))
        console = Console(stderr=True)
        slots = launcher if isinstance(launcher, int) else launcher.slots
        if console.is_terminal:
            screen = ends.enter_context(JobScreen(console, slots))
            screen(())  # an empty bar, before the first job is described
            yield launcher, screen
        else:
            lines = ends.enter_context(progress_lines("jobs", announced=True))
            yield launcher, lambda statuses: _report_jobs(lines, statuses, slots)


def _report_jobs(report: StageProgress, statuses: Sequence[JobStatus], workers: int) -> None:
    """Report the jobs as one stage, with those that run and the time left."""
    from asd_trainer.jobs.screen import seconds_left

    running = [
        f"{s.name} {s.step}/{s.total}" if s.step is not None else s.name for s in statuses if s.state == "running"
    ]
    failed = sum(s.state == "failed" for s in statuses)
    left = seconds_left(statuses, workers)
    parts = [
        f"{duration(left)} left" if left is not None else "",
        f"{failed} failed" if failed else "",
        f"running {', '.join(running)}" if running else "",
    ]
    report("; ".join([*filter(None, parts), "done"]), sum(s.state == "done" for s in statuses), len(statuses))


def print_plan(plan: Plan, *, hours: bool = False, json: bool) -> None:
    """Print a plan: each job, its size, its state and, if asked for, its estimated time on this machine."""
    from asd_trainer.jobs import digests
    from asd_trainer.jobs.store import folder_of

    found = digests(plan.jobs)
    rows: list[dict[str, Any]] = []
    for job in plan.jobs:
        status = folder_of(plan.out, found[job.name]).status()
        state = status.state if status else "pending"
        rows.append({"name": job.name, "kind": job.kind, "state": state, "size": dict(plan.sizes[job.name])})
    guess = _estimate(plan, rows) if hours else None
    if json:
        measured = {} if guess is None else {"hours": guess.hours, "device": guess.device, "steps": guess.step_seconds}
        print_json({"schema": 1, "jobs": rows} | measured)
        return
    table = Table("job", "kind", "size", "state")
    for row in rows:
        size = ", ".join(_size(what, n) for what, n in row["size"].items())
        table.add_row(row["name"], row["kind"], size, row["state"])
    _console().print(table)
    sys.stdout.write(f"{counted(len(rows), 'job')}, {sum(r['state'] == 'done' for r in rows)} of them done\n")
    if guess is not None:
        for what, seconds in guess.step_seconds.items():
            sys.stdout.write(f"{seconds:.3g} s a step: {what}\n")
        sys.stdout.write(
            f"about {duration(3600 * guess.hours)} of networks one after another on {guess.device}, from a few steps "
            "of each; bundles and evaluations are not counted\n"
        )


def _size(what: str, number: float) -> str:
    """Return one size of a job as text, such as `8000 steps`."""
    return duration(3600 * number) if what == "hours" else f"{number} {what}"


def _estimate(plan: Plan, rows: list[dict[str, Any]]) -> Estimate:
    """Estimate the time, and add it to each row."""
    from asd_trainer.jobs.estimate import estimate

    states = {row["name"]: row["state"] for row in rows}
    with Console(stderr=True).status("measuring") as status:
        pending = [job.name for job in plan.jobs if states[job.name] != "done"]
        found = estimate(plan, lambda job: job.name in pending, lambda what: status.update(f"measuring: {what}"))
    for row in rows:
        if row["name"] in found.seconds:
            row["size"]["hours"] = round(found.seconds[row["name"]] / 3600, 3)
    return found


def print_notes(plan: Plan) -> None:
    """Print on standard error where the plan departs from the recipes."""
    for note in plan.notes:
        sys.stderr.write(f"note: {note}\n")


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 150)
