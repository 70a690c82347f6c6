"""The process that does one job: `python -m asd_trainer.jobs.worker FOLDER`.

It ends when its standard input closes, which happens when whoever started it dies, and on SIGINT or SIGTERM: a
training writes a checkpoint first.
"""

from __future__ import annotations

import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError
from asd_trainer.engine.interruption import exit_on_signals
from asd_trainer.jobs.launch import GRACE_SECONDS
from asd_trainer.jobs.store import JobFolder, Result, folder_of

DONE, FAILED, BUSY = 0, 1, 75
PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """Context of a job's function, besides its arguments.

    Attributes:
        folder: For its files; those of an interrupted attempt are still there.
        dependencies: Results of the jobs that it depends on, by name.
        progress: To be called with step, steps in all, loss and seconds left.
    """

    folder: Path
    dependencies: Mapping[str, Result]
    progress: Callable[[int, int, float, float], None]


def work(folder: JobFolder) -> int:
    """Do the job that a folder describes, unless it is done or another process is at it.

    Returns:
        DONE, FAILED (failed.json holds the reason) or BUSY.
    """
    with folder.locked() as mine:
        if not mine:
            return BUSY
        if folder.read("result") is not None:
            return DONE
        folder.begin()
        started = time.monotonic()
        try:
            value = _call(folder)
            seconds = time.monotonic() - started
            folder.write("result", {"value": value, "seconds": round(seconds, 3)})
        except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
            traceback.print_exc()
            what = str(error) if isinstance(error, AsdError) else f"{type(error).__name__}: {error}"
            folder.write("failed", {"error": what.replace("\n", " "), "traceback": traceback.format_exc()})
            return FAILED
        return DONE


def _call(folder: JobFolder) -> Any:
    job = folder.read("job")
    if job is None:
        raise AsdError(f"{folder.path}: holds no job", "Start jobs with `run_jobs`.")
    dependencies = {}
    for name, digest in job["depends_on"].items():
        result = folder_of(folder.path.parent.parent, digest).result()
        if result is None:
            raise AsdError(f"job {job['name']} needs {name}, which is not done", "Run the whole graph.")
        dependencies[name] = result
    module, _, function = job["run"].partition(":")
    run = getattr(importlib.import_module(module), function)
    task = Task(folder.files, dependencies, _Reporter(folder))
    return run(task, **job["arguments"], **job["paths"])


class _Reporter:
    """Writes progress.json, at most once a second."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder, self._last = folder, -math.inf

    def __call__(self, step: int, total: int, loss: float, seconds_left: float) -> None:
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS and step < total:
            return
        self._last = now
        finite = loss if math.isfinite(loss) else None
        self._folder.write(
            "progress", {"step": step, "total": total, "loss": finite, "seconds_left": round(seconds_left, 1)}
        )


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock this thread would hold when the interpreter ends
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(FAILED)


if __name__ == "__main__":
    exit_on_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(work(JobFolder(Path(sys.argv[1]))))
