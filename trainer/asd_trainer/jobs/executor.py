"""Runs a graph of jobs, a process each, and goes on where an earlier run was interrupted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.errors import AsdError
from asd_trainer.jobs.graph import Job, dependents, digests
from asd_trainer.jobs.launch import Launcher, Processes, Running
from asd_trainer.jobs.store import JobFolder, JobStatus, Result, folder_of
from asd_trainer.jobs.worker import BUSY, DONE, work

OnStatus = Callable[[Sequence[JobStatus]], None]
POLL_SECONDS = 0.05
STATUS_SECONDS = 0.5


class JobsFailedError(AsdError):
    """Jobs failed; all that did not depend on them are done."""


def run_jobs(
    jobs: Sequence[Job], out: Path, *, workers: int | Launcher = 1, on_status: OnStatus | None = None
) -> dict[str, Result]:
    """Run all jobs of a graph that are not done yet.

    A job that fails or whose worker is killed is tried again up to its number of retries; independent jobs go on.
    Calling again after a failure, a kill or a power cut runs what is missing and nothing else.

    Args:
        jobs: The graph.
        out: Folder of results; each job has OUT/jobs/<digest>/.
        workers: Processes at a time, which share the cores among them; 0 runs the jobs in this process. Or what
            starts them elsewhere.
        on_status: Called twice a second with where every job stands.

    Returns:
        Each job's result by its name.

    Raises:
        GraphError: The jobs make no graph.
        JobsFailedError: With the name, reason and log of each job that failed.
    """
    launcher = None if workers == 0 else Processes(workers) if isinstance(workers, int) else workers
    run = _Run(list(jobs), digests(jobs), out, launcher)
    run.describe()
    last = -STATUS_SECONDS
    try:
        while run.advance():
            now = time.monotonic()
            if on_status is not None and now - last >= STATUS_SECONDS:
                last = now
                on_status(run.statuses())
            if run.waiting:
                time.sleep(POLL_SECONDS)
    finally:
        run.stop()
    if on_status is not None:
        on_status(run.statuses())
    return run.results()


def discard(jobs: Sequence[Job], out: Path, names: Iterable[str]) -> None:
    """Remove the results of the named jobs and of all that depend on them, so that the next run does them anew.

    Raises:
        AsdError: One of them is running.
    """
    found = digests(jobs)
    for name in sorted(dependents(jobs, names) & set(found)):
        folder = folder_of(out, found[name])
        if not folder.path.exists():
            continue
        with folder.locked() as mine:
            if not mine:
                raise AsdError(f"job {name} is running", "Stop it first.")
            shutil.rmtree(folder.path)


@dataclass
class _Run:
    """One call of `run_jobs`; `waiting` is true while all that is left is held by another process."""

    jobs: list[Job]
    digests: dict[str, str]
    out: Path
    launcher: Launcher | None
    processes: dict[str, Running] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    waiting: bool = False

    def folder(self, name: str) -> JobFolder:
        return folder_of(self.out, self.digests[name])

    def describe(self) -> None:
        """Write what there is to do, so that anyone can see it before it begins."""
        for job in self.jobs:
            folder = self.folder(job.name)
            if folder.read("result") is not None:
                self.done.add(job.name)
                continue
            folder.describe(
                {
                    "name": job.name,
                    "kind": job.kind,
                    "run": job.run,
                    "arguments": dict(job.arguments),
                    "inputs": dict(job.inputs),
                    "paths": dict(job.paths),
                    "depends_on": {name: self.digests[name] for name in job.depends_on},
                }
            )

    def advance(self) -> bool:
        """Take note of what has ended and start what can start; False when nothing is left that could."""
        self.waiting = False
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is not None:
                del self.processes[name]
                self._ended(name, code)
        for job in filter(self._ready, self.jobs):
            folder = self.folder(job.name)
            if folder.in_work():  # by another run, whose result will do
                self.waiting = True
            elif self.launcher is None:
                self._ended(job.name, work(folder))
                break
            elif len(self.processes) < self.launcher.slots:
                self.processes[job.name] = self.launcher.start(folder)
        self.waiting = self.waiting or bool(self.processes)
        return self.waiting or any(self._ready(job) for job in self.jobs)

    def stop(self) -> None:
        """End the workers that still run; what they had done so far is kept for the next run."""
        for process in self.processes.values():
            process.end()

    def results(self) -> dict[str, Result]:
        if self.failed:
            raise JobsFailedError(
                "; ".join(f"job {name} failed: {self._reason(name)}" for name in sorted(self.failed)),
                "Logs: " + ", ".join(str(self.folder(name).log) for name in sorted(self.failed)) + ".",
            )
        found = {job.name: self.folder(job.name).result() for job in self.jobs}
        return {name: result for name, result in found.items() if result is not None}

    def statuses(self) -> list[JobStatus]:
        found = [self.folder(job.name).status() for job in self.jobs]
        return [s for s in found if s is not None]

    def _ready(self, job: Job) -> bool:
        settled = job.name in self.done or job.name in self.failed or job.name in self.processes
        return not settled and all(name in self.done for name in job.depends_on)

    def _ended(self, name: str, code: int) -> None:
        if code == DONE:
            self.done.add(name)
            return
        if code == BUSY:  # another run was quicker; ask again
            return
        folder = self.folder(name)
        if folder.read("failed") is None:
            how = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            folder.write("failed", {"error": f"its worker was {how}", "traceback": ""})
        self.tries[name] = self.tries.get(name, 0) + 1
        retries = next(job.retries for job in self.jobs if job.name == name)
        if self.tries[name] > retries:
            self.failed.add(name)

    def _reason(self, name: str) -> str:
        return str((self.folder(name).read("failed") or {"error": "unknown"})["error"])
