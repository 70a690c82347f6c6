"""Where jobs run: what a launcher is, and the one that starts a process of this machine for each."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Protocol

from asd_trainer.jobs.store import JobFolder


class Running(Protocol):
    """A job at work somewhere."""

    def poll(self) -> int | None:
        """Its exit code, negative where it was killed; None while it works."""

    def end(self) -> None:
        """Kill it; returns when it is gone."""


class Launcher(Protocol):
    """Starts jobs."""

    @property
    def slots(self) -> int:
        """How many it takes at a time."""

    def start(self, folder: JobFolder) -> Running:
        """Start the job that a folder describes."""


class Processes:
    """Processes of this machine, which share its cores among them.

    Args:
        workers: At a time.
    """

    def __init__(self, workers: int) -> None:
        self.slots = workers

    def start(self, folder: JobFolder) -> Running:
        """Start the job that a folder describes."""
        return LocalProcess(folder, max(1, len(os.sched_getaffinity(0)) // max(1, self.slots)))


KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
"""By default glibc gives the large arrays of each step back to the system, which has to clear them again for the next:
a fifth of a classifier's processor time."""


class LocalProcess:
    """A worker on this machine; it ends with whoever started it.

    Args:
        folder: Of its job.
        threads: That its libraries may use.
    """

    def __init__(self, folder: JobFolder, threads: int) -> None:
        environment = {
            **KEPT_MEMORY,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
        }
        with folder.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "asd_trainer.jobs.worker", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def poll(self) -> int | None:
        """Its exit code, negative where it was killed; None while it works."""
        return self._process.poll()

    def end(self) -> None:
        """Kill it; returns when it is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait()
