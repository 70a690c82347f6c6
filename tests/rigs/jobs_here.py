"""The trainer's jobs in the process of the tests: one of its own takes seconds for its imports alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from asd_trainer.jobs.store import JobFolder
from asd_trainer.jobs.worker import work


@dataclass(frozen=True)
class _Done:
    """A job that has ended.

    Attributes:
        code: Its exit code.
    """

    code: int

    def poll(self) -> int:
        """Return the exit code."""
        return self.code

    def end(self) -> None:
        """Do nothing: it has ended."""


class JobsHere:
    """A launcher in the place of `asd_trainer.jobs.launch.Processes`.

    Args:
        workers: Jobs at a time, at most; one is done after another.
        devices: GPUs, which this process sees anyway.
    """

    def __init__(self, workers: int, devices: Sequence[str] | None = None) -> None:
        self.slots = workers

    def start(self, folder: JobFolder) -> _Done:
        """Do the job that a folder describes, with its output in the log that a process would have."""
        with folder.log.open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            return _Done(work(folder))
