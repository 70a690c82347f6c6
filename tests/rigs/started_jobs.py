"""Jobs of the page that are not run: a test sees what would have been."""

from __future__ import annotations

from collections.abc import Callable

from asd_agent.gateway.jobs import BoxJob, JobRunner


class StartedJobs(JobRunner):
    """Remembers the newest job and its arguments; it counts as done at once."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments: list[str] = []

    def start(self, job: BoxJob, arguments: list[str], prepare: Callable[[], None]) -> None:
        """See `JobRunner`."""
        prepare()
        job.state = "done"
        self.arguments = arguments
        self.show(job)

    def show(self, job: BoxJob) -> None:
        """Have this job as the newest."""
        self._job = job
