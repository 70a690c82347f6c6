"""Jobs of the page: one process at a time, its messages, its result, and its end."""

from __future__ import annotations

import sys

import pytest

from asd_agent.errors import AsdError
from asd_agent.gateway import jobs
from asd_agent.gateway.jobs import LINES_KEPT, BoxJob, JobRunner
from rigs.waiting import wait_until


def ended(script: str) -> BoxJob:
    """The job of a script, once it has ended."""
    runner, job = (
        JobRunner(lambda arguments: [sys.executable, "-c", *arguments]),
        BoxJob("calibrate", "m", "anna", 30.0),
    )
    runner.start(job, [script], lambda: None)
    wait_until(lambda: job.state != "running", "the job does not end")
    return job


@pytest.mark.parametrize(
    ("script", "state", "last"),
    [
        ("import sys; sys.stderr.write('one\\n\\ntwo\\n'); print('{\"windows\": 3}')", "done", "two"),
        ("print('{}'); raise SystemExit(1)", "done", None),
        ("import sys; sys.exit('asd-agent: no such monitor')", "failed", "asd-agent: no such monitor"),
        ("print('{}'); raise SystemExit(2)", "failed", None),
        ("print('no document')", "failed", None),
        ("print('[1]')", "failed", None),
        ("print('[' * 100_000)", "failed", None),
    ],
)
def test_a_job_ends_with_its_result_or_its_reason(script: str, state: str, last: str | None):
    job = ended(script)
    assert job.state == state
    assert (job.lines[-1] if job.lines else None) == last
    assert job.ended_utc is not None
    assert job.document()["lines"] == list(job.lines)


def test_messages_and_results_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "LARGEST_RESULT", 100)
    job = ended("import sys; sys.stderr.write('x' * 100_000 + '\\n' * 100); print('{\"a\": \"' + 'y' * 200 + '\"}')")
    assert (job.state, job.result) == ("failed", None)
    assert len(job.lines) == LINES_KEPT
    assert max(map(len, job.lines)) <= jobs.LONGEST_LINE


def test_one_job_at_a_time_and_it_can_be_cancelled():
    runner = JobRunner(lambda arguments: [sys.executable, "-c", *arguments])
    with pytest.raises(AsdError, match="no job runs"):
        runner.cancel("anna")
    first, second = BoxJob("calibrate", "m", "anna", 30.0), BoxJob("calibrate", "n", "otto", 30.0)
    runner.start(first, ["import time; time.sleep(600)"], lambda: None)
    with pytest.raises(AsdError, match="anna already runs calibrate for m"):
        runner.start(second, ["print({})"], lambda: pytest.fail("prepared beside a job that runs"))
    runner.cancel("otto")
    wait_until(lambda: first.state == "cancelled", "the job goes on")
    runner.start(second, ["print({})"], lambda: None)
    wait_until(lambda: second.state == "done", "no second job")
    assert runner.newest() is second


def test_a_program_that_cannot_be_started_is_a_reason():
    runner, job = JobRunner(lambda _: ["/nonexistent/program"]), BoxJob("calibrate", "m", "anna", 30.0)
    runner.start(job, [], lambda: None)
    wait_until(lambda: job.state == "failed", "the job does not end")
    assert "cannot be started" in job.lines[-1]
