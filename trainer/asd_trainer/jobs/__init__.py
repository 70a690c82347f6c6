"""Training as a graph of independent jobs whose results are found again by what went into them."""

from asd_trainer.jobs.executor import JobsFailedError, discard, run_jobs
from asd_trainer.jobs.graph import GraphError, Job, digests, select
from asd_trainer.jobs.store import JobStatus, Result, status
from asd_trainer.jobs.worker import Task

__all__ = [
    "GraphError",
    "Job",
    "JobStatus",
    "JobsFailedError",
    "Result",
    "Task",
    "digests",
    "discard",
    "run_jobs",
    "select",
    "status",
]
