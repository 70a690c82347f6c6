"""Progress bars for long work: one a stage, with the time left; plain silence where nobody looks."""

from __future__ import annotations

from collections.abc import Iterator
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

from asd_trainer.data.clip_windows import Progress as Told


@contextmanager
def progress_bars(title: str) -> Iterator[Told]:
    """A function to tell progress to; each stage, the words before the first comma or colon, has a bar of its own."""
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

        def told(stage: str, done: int, total: int) -> None:
            key = stage.split(": ", maxsplit=1)[0]
            if key not in stages:
                stages[key] = bars.add_task("", total=total)
            bars.update(stages[key], completed=done, total=total, description=f"{title}, {stage}")

        yield told
