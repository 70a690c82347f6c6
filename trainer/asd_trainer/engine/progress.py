"""Progress of long work: its callback, and progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

StageProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the number of its items that are done, and their total."""
StepProgress = Callable[[int, int, float, float], None]
"""Called with the step, the number of steps, the loss and the seconds left. It is called after each step; on CUDA only
after steps whose losses are read."""


@contextmanager
def progress_bars(title: str) -> Iterator[StageProgress]:
    """Yield a progress callback that draws a bar for each stage on a terminal, and nothing elsewhere.

    The part of the stage's name before the first colon identifies its bar.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            key = stage.split(": ", maxsplit=1)[0]
            if key not in stages:
                stages[key] = bars.add_task("", total=total)
            bars.update(stages[key], completed=done, total=total, description=f"{title}, {stage}")

        yield report
