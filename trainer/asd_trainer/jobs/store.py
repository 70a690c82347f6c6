"""A job's folder, OUT/jobs/<digest>/: what it is, who works on it, what came out.

`job.json` is written first and `result.json` last. Whoever works on a job holds its `lock`, which the operating system
takes back from a process that dies, however it dies.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asd_agent.whole_files import write_json

State = Literal["pending", "running", "done", "failed"]


@dataclass(frozen=True)
class Result:
    """Result of a job.

    Attributes:
        value: What its function returned.
        folder: The files that it left.
    """

    value: Any
    folder: Path


@dataclass(frozen=True)
class JobStatus:
    """State of a job.

    Attributes:
        pid: Process that works or last worked on it.
        attempts: How often it was begun; a pending job with attempts was interrupted and will go on.
        step: Steps done, and `total`, `loss` and `seconds_left` with it, where the job reports them.
        seconds: How long it took, when done.
        error: Why it failed, in one line.
    """

    name: str
    kind: str
    digest: str
    state: State
    pid: int | None = None
    attempts: int = 0
    step: int | None = None
    total: int | None = None
    loss: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    error: str | None = None


class JobFolder:
    """One job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files, self.log = path / "files", path / "log.txt"

    @property
    def digest(self) -> str:
        """Digest of the job."""
        return self.path.name

    def describe(self, description: dict[str, Any]) -> None:
        """Write job.json."""
        self.files.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "job.json", description)

    def read(self, name: str) -> dict[str, Any] | None:
        """One of the folder's JSON documents (job, attempt, progress, failed, result), None where it is not there."""
        try:
            value: dict[str, Any] = json.loads((self.path / f"{name}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return value

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Write one of the folder's JSON documents."""
        write_json(self.path / f"{name}.json", value)

    def begin(self) -> None:
        """Count an attempt by this process and forget an earlier failure."""
        attempts = (self.read("attempt") or {"attempts": 0})["attempts"]
        self.write("attempt", {"attempts": attempts + 1, "pid": os.getpid()})
        for name in ("failed", "progress"):
            (self.path / f"{name}.json").unlink(missing_ok=True)

    def result(self) -> Result | None:
        """The result, None where the job is not done."""
        content = self.read("result")
        return None if content is None else Result(content["value"], self.files)

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the job for this block; gives False where another process holds it."""
        with (self.path / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def in_work(self) -> bool:
        """True while a living process holds the job."""
        try:
            handle = (self.path / "lock").open("r")
        except FileNotFoundError:
            return False
        with handle:
            try:
                # Shared, for an instant: a worker that wants the job just then finds it busy and comes back.
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def status(self) -> JobStatus | None:
        """State of the job; None before it is described."""
        job = self.read("job")
        if job is None:
            return None
        attempt = self.read("attempt") or {}
        failed, done = self.read("failed"), self.read("result")
        state: State = "pending"
        progress: dict[str, Any] = {}
        if done is not None:
            state = "done"
        elif self.in_work():
            state, progress = "running", self.read("progress") or {}
        elif failed is not None:
            state = "failed"
        return JobStatus(
            name=job["name"],
            kind=job["kind"],
            digest=self.digest,
            state=state,
            pid=attempt.get("pid"),
            attempts=attempt.get("attempts", 0),
            seconds=None if done is None else done["seconds"],
            error=failed["error"] if failed is not None and state == "failed" else None,
            **progress,
        )


def folder_of(out: Path, digest: str) -> JobFolder:
    """The folder of a job under OUT."""
    return JobFolder(out / "jobs" / digest)


def status(out: Path, of: Collection[str] | None = None) -> list[JobStatus]:
    """Return the states of the jobs under OUT, by name.

    Args:
        out: The folder given to `run_jobs`.
        of: Digests of those wanted; without them also the jobs of earlier recipes and data are shown.
    """
    folders = [path for path in (out / "jobs").glob("*") if path.is_dir() and (of is None or path.name in of)]
    found = [JobFolder(path).status() for path in folders]
    return sorted((s for s in found if s is not None), key=lambda s: (s.name, s.digest))
