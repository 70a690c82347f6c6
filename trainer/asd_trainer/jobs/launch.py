"""Launchers of jobs: the protocol, and the launcher that starts a local process for each job."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from asd_agent.parallel import CORES
from asd_trainer.jobs.store import JobFolder


class Running(Protocol):
    """A job at work somewhere."""

    def poll(self) -> int | None:
        """Return the exit code, negative where it was killed; None while it works."""

    def end(self) -> None:
        """Kill it; returns when it is gone."""


class Launcher(Protocol):
    """Starts jobs."""

    @property
    def slots(self) -> int:
        """Number of jobs at a time."""

    def start(self, folder: JobFolder) -> Running:
        """Start the job that a folder describes."""


GRACE_SECONDS = 10.0
"""Time for the current step of a training and its checkpoint, after which a worker is killed."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Numbers or UUIDs of the GPUs that a process may see, with commas between them; all of them where it is not set."""
_DRIVER = (Path("/proc/driver/nvidia"), Path("/dev/dxg"))
"""One of them is there wherever CUDA is, the second on Windows' Linux."""


def gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    if VISIBLE in environment:
        named = [name.strip() for name in environment[VISIBLE].split(",")]
        hidden = next((i for i, name in enumerate(named) if name in {"", "-1"}), len(named))  # CUDA reads no further
        return named[:hidden]
    if not any(path.exists() for path in _DRIVER):
        return []
    import torch  # seconds to import

    return [str(number) for number in range(torch.cuda.device_count())]


def gpu_of_each(workers: int, devices: Sequence[str]) -> list[dict[str, str]]:
    """Return the GPU variables of each worker's environment: one GPU for each, in turn; none without GPUs.

    With more workers than GPUs several share one, as many on each as the numbers allow.
    """
    return [{VISIBLE: devices[number % len(devices)]} if devices else {} for number in range(workers)]


class Processes:
    """Processes of this machine, which share its cores and GPUs among them.

    Args:
        workers: At a time.
        devices: GPUs; those of this process where they are not given.
    """

    def __init__(self, workers: int, devices: Sequence[str] | None = None) -> None:
        self.slots = workers
        self._gpu = gpu_of_each(workers, gpus() if devices is None else devices)
        self._at_work: dict[int, LocalProcess] = {}

    def start(self, folder: JobFolder) -> Running:
        """Start the job that a folder describes, on the GPU of a worker that is free."""
        self._at_work = {slot: process for slot, process in self._at_work.items() if process.poll() is None}
        slot = next(slot for slot in range(self.slots) if slot not in self._at_work)
        threads = max(1, len(os.sched_getaffinity(0)) // self.slots)
        self._at_work[slot] = process = LocalProcess(folder, threads, self._gpu[slot])
        return process


KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(8 << 30)}
"""By default glibc gives the large arrays of each step back to the system, which has to clear them again for the next:
a fifth of a classifier's processor time."""


class LocalProcess:
    """A worker on this machine; it ends with whoever started it.

    Args:
        folder: Of its job.
        threads: That its libraries may use.
        more: Of its environment.
    """

    def __init__(self, folder: JobFolder, threads: int, more: Mapping[str, str] | None = None) -> None:
        environment = {
            **KEPT_MEMORY,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", CORES), str(threads)),
            **(more or {}),
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
        """Return the exit code, negative where it was killed; None while it works."""
        return self._process.poll()

    def end(self) -> None:
        """Kill it; returns when it is gone."""
        self._process.terminate()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self) -> int:
        """Return the exit code."""
        return self._process.wait()
