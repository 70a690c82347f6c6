"""States of the jobs of a run, as a live display and as a table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from asd_trainer.jobs.store import JobStatus


def seconds_left(statuses: Sequence[JobStatus], workers: int) -> float | None:
    """Time until the last job is done, from how long done jobs of the same kinds took.

    Returns:
        Seconds, None while there is a kind of which nothing is known.
    """
    took: dict[str, list[float]] = defaultdict(list)
    for s in statuses:
        if s.seconds is not None:
            took[s.kind].append(s.seconds)
    total = 0.0
    for s in statuses:
        if s.state == "running" and s.seconds_left is not None:
            total += s.seconds_left
        elif s.state in {"running", "pending"}:
            if not took[s.kind]:
                return None
            total += mean(took[s.kind])
    return total / max(workers, 1)


def status_table(statuses: Sequence[JobStatus]) -> Table:
    """One row a job."""
    table = Table("job", "kind", "state", "progress", "time", "remark")
    for s in statuses:
        progress = "" if s.step is None else f"{s.step}/{s.total}"
        time = duration(s.seconds) if s.seconds is not None else _left(s.seconds_left)
        table.add_row(s.name, s.kind, s.state, progress, time, _remark(s))
    return table


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss, empty for None."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{duration(seconds)} left"


def _remark(s: JobStatus) -> str:
    if s.error is not None:
        return s.error
    if s.state == "running":
        return f"pid {s.pid}"
    return f"interrupted, {s.attempts} attempts" if s.state == "pending" and s.attempts else ""


class JobScreen:
    """A live display, to be given to `run_jobs` as `on_status`.

    Args:
        console: Where it is shown.
        workers: Processes at a time, for the time left.
    """

    def __init__(self, console: Console, workers: int) -> None:
        self._workers = workers
        self._live = Live(console=console, refresh_per_second=4)

    def __enter__(self) -> JobScreen:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, statuses: Sequence[JobStatus]) -> None:
        """Show where the jobs stand."""
        self._live.update(picture(statuses, self._workers))


def picture(statuses: Sequence[JobStatus], workers: int) -> Group:
    """A bar for the whole and a row for every job that runs or failed."""
    done = sum(s.state == "done" for s in statuses)
    bar = Progress(TextColumn("jobs"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    bar.add_task(_left(seconds_left(statuses, workers)), total=len(statuses), completed=done)
    shown = [s for s in statuses if s.state in {"running", "failed"}]
    return Group(bar, status_table(shown)) if shown else Group(bar)
