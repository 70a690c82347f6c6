"""Jobs of the trainer's tests are done in this process, unless a test is about the processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asd_trainer.jobs import executor
from asd_trainer.jobs.launch import Processes
from rigs.jobs_here import JobsHere


@pytest.fixture(autouse=True, scope="session")
def _jobs_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor, "Processes", JobsHere)
        yield


@pytest.fixture
def job_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each job a process of its own, as outside of tests."""
    monkeypatch.setattr(executor, "Processes", Processes)
