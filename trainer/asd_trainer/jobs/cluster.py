"""Jobs on many machines, by Ray: the same graph, the same workers, the same results.

The folder of runs and the data must be at the same path on every machine, on a file system that they share and that
knows locks (NFS 4 does).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError, UsageError
from asd_trainer.families.registry import OWN_FAMILIES
from asd_trainer.jobs.launch import LocalProcess, Running
from asd_trainer.jobs.store import JobFolder

_START = "Start one: ray start --head; see docs/cluster.md."
KILLED = -9
"""Message about a job whose machine is gone."""


class Cluster:
    """Starts each job on a machine of a Ray cluster that has room for it.

    Args:
        address: Of the cluster, such as `10.0.0.5:6379`; `auto` for the one that this machine belongs to.
        cpus: Cores of a job.
        jobs_per_gpu: Jobs that share a GPU; without GPUs in the cluster none is asked for.

    Raises:
        UsageError: Ray is not installed.
        AsdError: No cluster answers there.
    """

    def __init__(self, address: str, *, cpus: int = 1, jobs_per_gpu: int = 1) -> None:
        try:
            import ray
        except ImportError as error:
            raise UsageError(
                "Ray is not installed",
                "Install the extra `cluster` of the trainer's source in this environment: docs/cluster.md.",
            ) from error
        self._ray = ray
        _see_that_it_listens(address)
        try:
            path = [p for p in sys.path if p]
            own = {OWN_FAMILIES: os.environ[OWN_FAMILIES]} if OWN_FAMILIES in os.environ else {}
            environment = {"env_vars": {"PYTHONPATH": ":".join(path), **own}}
            ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
            there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        except Exception as error:  # Ray raises many kinds
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise AsdError(f"no Ray cluster answers at {address}: {lines[0]}", _START) from error
        gpus = 1 / jobs_per_gpu if there.get("GPU") else 0
        self.slots = max(1, int(there.get("CPU", 1) // cpus))
        # A job that was lost is tried again by the graph, which counts it, and not by Ray.
        self._work: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_work)
        self._threads = cpus

    def start(self, folder: JobFolder) -> Running:
        """Start the job that a folder describes."""
        return _Remote(self._ray, self._work.remote(str(folder.path.resolve()), self._threads))

    def close(self) -> None:
        """Leave the cluster, which goes on."""
        self._ray.shutdown()


def _see_that_it_listens(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise AsdError(f"no Ray cluster answers at {address}: {error.strerror or error}", _START) from error


class _Remote:
    def __init__(self, ray: Any, reference: Any) -> None:
        self._ray, self._reference = ray, reference

    def poll(self) -> int | None:
        """Return the exit code, or that of a killed process where the worker's machine is gone."""
        ready, _ = self._ray.wait([self._reference], timeout=0)
        if not ready:
            return None
        try:
            return int(self._ray.get(self._reference))
        except self._ray.exceptions.RayError:
            return KILLED

    def end(self) -> None:
        """Kill it; returns when it is gone."""
        self._ray.cancel(self._reference, force=True)
        self._ray.wait([self._reference], timeout=30)


def _work(folder: str, threads: int) -> int:
    """On the other machine: the worker's process, which ends with this one."""
    return LocalProcess(JobFolder(Path(folder)), threads).wait()
