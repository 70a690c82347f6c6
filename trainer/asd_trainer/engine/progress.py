"""Progress of long work: what is called as it advances, and bars on a terminal."""

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
"""Called with the name of a stage, the number of items that are done, and the number of all."""
StepProgress = Callable[[int, int, float, float], None]
"""Called with the step, the number of steps, the loss and the seconds left: after each step, but on CUDA only after
those steps whose losses are read."""


@contextmanager
def progress_bars(title: str) -> Iterator[StageProgress]:
    """Give a function that draws progress on stderr, one bar a stage; it draws nothing where stderr is no terminal.

    A stage is named by the words before the first colon.
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
