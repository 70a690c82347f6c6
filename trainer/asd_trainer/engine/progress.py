"""Progress of long work: its callbacks, bars on a terminal, and one line a minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
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

from asd_trainer.text import duration

StageProgress = Callable[[str, int, int], None]
"""Called with the name of a stage, the number of its items that are done, and their total."""
StepProgress = Callable[[int, int, float, float], None]
"""Called with the step, the number of steps, the loss and the seconds left. It is called after each step; on CUDA only
after steps whose losses are read."""


LINE_SECONDS = 60.0
"""Seconds between two lines where stderr is not a terminal, as in a log."""


@contextmanager
def progress_bars(
    title: str, line_seconds: float = LINE_SECONDS, *, announced: bool = False
) -> Iterator[StageProgress]:
    """Yield a progress callback: a bar for each stage on a terminal, one line a minute elsewhere.

    A terminal shows a moving bar from the start, before the first stage is reported. The part of the name of a stage
    before the first colon identifies its bar.

    Args:
        title: First word of each bar and line.
        line_seconds: Seconds between two lines where stderr is not a terminal.
        announced: Write a first line at once, for work that takes minutes.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with progress_lines(title, line_seconds, announced=announced) as lines:
            yield lines
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        starting: TaskID | None = bars.add_task(f"{title}, starting", total=None)
        stages: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            nonlocal starting
            if starting is not None:
                bars.remove_task(starting)
                starting = None
            key = stage.split(": ", maxsplit=1)[0]
            if key not in stages:
                stages[key] = bars.add_task("", total=total)
            bars.update(stages[key], completed=done, total=total, description=f"{title}, {stage}")

        yield report


@contextmanager
def progress_lines(title: str, seconds: float = LINE_SECONDS, *, announced: bool = False) -> Iterator[StageProgress]:
    """Yield a progress callback that is written as one line on stderr every so many seconds.

    A thread writes them, so that a line comes also while a long step reports nothing. Work that is shorter than the
    interval writes no line, unless it is announced: then a line comes at the start and at the first report.
    """
    started = time.monotonic()
    latest = "starting"
    ended = threading.Event()

    def report(stage: str, done: int, total: int) -> None:
        nonlocal latest, announced
        latest = f"{stage} {done} of {total}"
        if announced:
            announced = False
            line(latest)

    def line(text: str) -> None:
        sys.stderr.write(f"{title}: {text}\n")
        sys.stderr.flush()

    def write() -> None:
        while not ended.wait(seconds):
            line(f"{latest}, after {duration(time.monotonic() - started)}")

    if announced:
        line(latest)
    thread = threading.Thread(target=write, name="progress lines", daemon=True)
    thread.start()
    try:
        yield report
    finally:
        ended.set()
        thread.join()
