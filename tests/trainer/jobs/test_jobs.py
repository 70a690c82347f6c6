"""Jobs: what is done stays done, what is killed goes on, what fails is reported."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rich.console import Console

from asd_trainer.jobs import GraphError, Job, JobsFailedError, Task, digests, discard, run_jobs, select, status
from asd_trainer.jobs.launch import Processes, gpu_of_each, gpus
from asd_trainer.jobs.screen import duration, picture, seconds_left
from asd_trainer.jobs.store import JobStatus, folder_of
from rigs.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("job_processes")
HERE = f"trainer.jobs.{Path(__file__).stem}"
"""As a job's process finds this module: the folder of all tests is on its path."""


# What the jobs of these tests run; each leaves a line for every time it was really called.


def write_number(task: Task, number: int, record: str) -> int:
    with Path(record).open("a") as f:
        f.write(f"number {number}\n")
    (task.folder / "number.txt").write_text(str(number))
    return number


def add(task: Task, record: str) -> dict[str, int]:
    with Path(record).open("a") as f:
        f.write("add\n")
    from_files = sum(int((r.folder / "number.txt").read_text()) for r in task.dependencies.values())
    return {"values": sum(r.value for r in task.dependencies.values()), "files": from_files}


def fail_until(task: Task, times: int) -> int:
    attempts = task.folder / "attempts.txt"
    so_far = len(attempts.read_text()) if attempts.exists() else 0
    attempts.write_text("x" * (so_far + 1))
    if so_far < times:
        raise RuntimeError(f"attempt {so_far + 1} went wrong")
    return so_far + 1


def count_and_die_once(task: Task, total: int) -> int:
    """Counts in a file, and is killed the first time it is half way."""
    place = task.folder / "count.txt"
    first = int(place.read_text()) if place.exists() else 0
    for step in range(first + 1, total + 1):
        place.write_text(str(step))
        task.progress(step, total, 1.0 / step, total - step)
        if first == 0 and step == total // 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return first


def threads(task: Task) -> str:
    return os.environ["OMP_NUM_THREADS"]


def hold(task: Task) -> None:
    """Works until its starter dies."""
    task.progress(3, 10, 0.5, 7.0)
    print("holding", flush=True)
    signal.pause()


def sum_of_two(record: Path) -> list[Job]:
    numbers = [
        Job(f"number/{i}", "number", f"{HERE}:write_number", {"number": i}, paths={"record": str(record)})
        for i in (2, 3)
    ]
    total = Job("sum", "sum", f"{HERE}:add", paths={"record": str(record)}, depends_on=("number/2", "number/3"))
    return [total, *numbers]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_job_gets_the_values_and_files_of_those_it_depends_on(tmp_path, workers):
    results = run_jobs(sum_of_two(tmp_path / "record"), tmp_path / "out", workers=workers)
    assert results["sum"].value == {"values": 5, "files": 5}
    assert {s.state for s in status(tmp_path / "out")} == {"done"}


def test_what_is_done_is_not_done_again_and_a_change_redoes_only_what_depends_on_it(tmp_path):
    record, out = tmp_path / "record", tmp_path / "out"
    jobs = sum_of_two(record)
    run_jobs(jobs, out, workers=0)
    run_jobs(jobs, out, workers=0)
    assert sorted(record.read_text().splitlines()) == ["add", "number 2", "number 3"]
    changed = [Job(**{**vars(j), "arguments": {"number": 7}}) if j.name == "number/3" else j for j in jobs]
    assert run_jobs(changed, out, workers=0)["sum"].value["values"] == 9
    assert sorted(record.read_text().splitlines()) == ["add", "add", "number 2", "number 3", "number 7"]


def test_discarding_a_result_redoes_it_and_its_dependents(tmp_path):
    record, out = tmp_path / "record", tmp_path / "out"
    jobs = sum_of_two(record)
    run_jobs(jobs, out, workers=0)
    discard(jobs, out, ["number/2"])
    states = {s.name: s.state for s in status(out)}
    assert states == {"number/3": "done"}
    run_jobs(jobs, out, workers=0)
    assert sorted(record.read_text().splitlines()) == ["add", "add", "number 2", "number 2", "number 3"]


def test_moving_the_data_changes_no_digest_but_new_data_does():
    def job(path: str, data: str) -> Job:
        return Job("a", "kind", "m:f", inputs={"data": data}, paths={"data": path})

    assert digests([job("/here", "1")]) == digests([job("/there", "1")])
    assert digests([job("/here", "1")]) != digests([job("/here", "2")])


def test_selecting_a_job_takes_what_it_needs_and_no_more(tmp_path):
    jobs = sum_of_two(tmp_path)
    assert {j.name for j in select(jobs, ["number/2"])} == {"number/2"}
    assert {j.name for j in select(jobs, ["sum"])} == {"sum", "number/2", "number/3"}
    with pytest.raises(GraphError, match="no job is called nmber"):
        select(jobs, ["nmber"])


@pytest.mark.parametrize(
    ("jobs", "text"),
    [
        ([Job("a", "k", "m:f"), Job("a", "k", "m:g")], "two jobs are called a"),
        ([Job("a", "k", "m:f", depends_on=("b",))], "depends on b"),
        ([Job("a", "k", "m:f", depends_on=("b",)), Job("b", "k", "m:f", depends_on=("a",))], "depend on each other"),
        ([Job("a", "k", "m:f", {"x": object()})], "job a: arguments or inputs are not JSON"),
    ],
)
def test_jobs_that_make_no_graph_are_refused(jobs, text):
    with pytest.raises(GraphError, match=text):
        digests(jobs)


@pytest.mark.parametrize(("times", "retries", "works"), [(1, 1, True), (2, 1, False), (2, 2, True)])
def test_a_failing_job_is_tried_again_as_often_as_it_says(tmp_path, times, retries, works):
    job = Job("a", "k", f"{HERE}:fail_until", {"times": times}, retries=retries)
    if works:
        assert run_jobs([job], tmp_path, workers=0)["a"].value == times + 1
        return
    with pytest.raises(JobsFailedError, match="job a failed: RuntimeError: attempt 2 went wrong"):
        run_jobs([job], tmp_path, workers=0)


def test_others_go_on_when_a_job_fails_and_the_next_run_takes_it_up_again(tmp_path):
    bad = Job("bad", "k", f"{HERE}:fail_until", {"times": 1}, retries=0)
    child = Job("child", "k", f"{HERE}:add", paths={"record": str(tmp_path / "r")}, depends_on=("bad",))
    good = Job("good", "k", f"{HERE}:write_number", {"number": 1}, paths={"record": str(tmp_path / "r")})
    with pytest.raises(JobsFailedError, match=r"job bad failed.*log\.txt"):
        run_jobs([bad, child, good], tmp_path, workers=1)
    found = {s.name: s for s in status(tmp_path)}
    assert {n: s.state for n, s in found.items()} == {"bad": "failed", "child": "pending", "good": "done"}
    assert found["bad"].error == "RuntimeError: attempt 1 went wrong"
    assert "Traceback" in folder_of(tmp_path, found["bad"].digest).log.read_text()
    assert run_jobs([bad], tmp_path, workers=0)["bad"].value == 2


def test_a_killed_worker_is_replaced_and_its_job_goes_on_where_it_stood(tmp_path):
    job = Job("long", "k", f"{HERE}:count_and_die_once", {"total": 10}, retries=1)
    assert run_jobs([job], tmp_path, workers=1)["long"].value == 5
    (found,) = status(tmp_path)
    assert (found.state, found.attempts) == ("done", 2)


def test_a_worker_that_keeps_dying_is_a_failure_that_names_the_signal(tmp_path):
    job = Job("long", "k", f"{HERE}:count_and_die_once", {"total": 10}, retries=0)
    with pytest.raises(JobsFailedError, match="job long failed: its worker was killed by signal 9"):
        run_jobs([job], tmp_path, workers=1)


def gpu(task: Task) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def wait_with_gpu(task: Task, gate: str) -> str | None:
    """Goes on when something is written to the gate, a named pipe."""
    Path(gate).read_text()
    return gpu(task)


def test_workers_share_the_gpus_in_turn():
    assert gpu_of_each(3, []) == [{}, {}, {}]
    named = [e["CUDA_VISIBLE_DEVICES"] for e in gpu_of_each(5, ["0", "GPU-1f"])]
    assert named == ["0", "GPU-1f", "0", "GPU-1f", "0"]
    assert gpu_of_each(1, ["3", "5"]) == [{"CUDA_VISIBLE_DEVICES": "3"}]


@pytest.mark.parametrize(
    ("said", "found"), [("2,0", ["2", "0"]), ("GPU-8a, GPU-9b", ["GPU-8a", "GPU-9b"]), ("", []), ("1,-1,2", ["1"])]
)
def test_gpus_are_those_that_the_environment_shows(said, found):
    assert gpus({"CUDA_VISIBLE_DEVICES": said}) == found


def test_jobs_that_run_at_a_time_have_gpus_of_their_own_and_a_later_one_has_what_is_free(tmp_path):
    """The first job holds on with GPU 4 until the second and the third, one after another, have had GPU 7."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    held = Job("held", "k", f"{HERE}:wait_with_gpu", paths={"gate": str(gate)})
    others = [Job(f"other/{i}", "k", f"{HERE}:gpu", {}, {"n": i}) for i in range(2)]
    opened = threading.Event()

    def watch(found: Sequence[JobStatus]) -> None:
        if [s.state for s in found] == ["running", "done", "done"] and not opened.is_set():
            opened.set()
            gate.write_text("open")

    results = run_jobs([held, *others], tmp_path / "out", workers=Processes(2, ["4", "7"]), on_status=watch)
    assert results["held"].value == "4"
    assert [results[j.name].value for j in others] == ["7", "7"]


def test_workers_share_the_cores(tmp_path):
    cores = len(os.sched_getaffinity(0))
    results = run_jobs([Job("a", "k", f"{HERE}:threads")], tmp_path, workers=2)
    assert results["a"].value == str(max(1, cores // 2))


def start_holding_runner(out: Path) -> "subprocess.Popen[str]":
    """A run whose only job holds on, in a process of its own; returns once the job reports progress."""
    program = f"""
import sys
import threading
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from asd_trainer.jobs import Job, run_jobs
def tell(statuses):
    if statuses[0].step is not None:
        print("running", flush=True)
run_jobs([Job("held", "k", "{HERE}:hold")], Path({str(out)!r}), on_status=tell)
"""
    runner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    assert runner.stdout.readline() == "running\n"
    return runner


def test_a_killed_run_takes_its_workers_along_and_leaves_no_job_marked_as_running(tmp_path):
    runner = start_holding_runner(tmp_path)
    (found,) = status(tmp_path)
    assert (found.state, found.step, found.total, found.seconds_left) == ("running", 3, 10, 7.0)
    assert found.pid is not None
    worker = os.pidfd_open(found.pid)
    try:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait(PATIENCE)
        import select as ready

        assert ready.select([worker], [], [], PATIENCE)[0], "the worker outlived its starter"
    finally:
        os.close(worker)
    (found,) = status(tmp_path)
    assert (found.state, found.attempts) == ("pending", 1)


def wait_at_gate(task: Task, gate: str, record: str) -> str:
    """Goes on when something is written to the gate, a named pipe."""
    with Path(record).open("a") as f:
        f.write("called\n")
    task.progress(1, 2, 0.0, 1.0)
    return Path(gate).read_text()


def test_two_runs_of_one_graph_share_the_work(tmp_path):
    gate, record = tmp_path / "gate", tmp_path / "record"
    os.mkfifo(gate)
    out = tmp_path / "out"
    job = Job("gated", "k", f"{HERE}:wait_at_gate", paths={"gate": str(gate), "record": str(record)})
    first_works, second_waits = threading.Event(), threading.Event()

    def when_running(event: threading.Event):
        return lambda found: event.set() if found[0].step == 1 else None

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(run_jobs, [job], out, workers=1, on_status=when_running(first_works))
        assert first_works.wait(PATIENCE)
        second = pool.submit(run_jobs, [job], out, workers=1, on_status=when_running(second_waits))
        assert second_waits.wait(PATIENCE)
        gate.write_text("open")
        assert first.result(PATIENCE)["gated"].value == second.result(PATIENCE)["gated"].value == "open"
    assert record.read_text() == "called\n"


def test_status_of_one_graph_leaves_out_the_jobs_of_earlier_ones(tmp_path):
    jobs = [Job("a", "k", f"{HERE}:fail_until", {"times": 0}, inputs={"data": data}) for data in "12"]
    for job in jobs:
        run_jobs([job], tmp_path, workers=0)
    assert len(status(tmp_path)) == 2
    (found,) = status(tmp_path, of=digests(jobs[:1]).values())
    assert found.digest == digests(jobs[:1])["a"]


def test_a_running_job_can_not_be_discarded(tmp_path):
    runner = start_holding_runner(tmp_path)
    try:
        with pytest.raises(Exception, match="job held is running"):
            discard([Job("held", "k", f"{HERE}:hold")], tmp_path, ["held"])
    finally:
        runner.kill()
        runner.wait(PATIENCE)


def test_the_result_is_the_last_thing_written(tmp_path):
    run_jobs(sum_of_two(tmp_path / "record"), tmp_path, workers=0)
    for found in status(tmp_path):
        folder = folder_of(tmp_path, found.digest)
        written = {p.name: p.stat().st_mtime_ns for p in folder.path.rglob("*") if p.is_file()}
        assert max(written.values()) == written["result.json"]
        assert json.loads((folder.path / "result.json").read_text())["value"] is not None


def test_time_left_is_what_runs_plus_the_usual_time_of_what_waits():
    def job(state, **more):
        return JobStatus("n", more.pop("kind", "k"), "d", state, **more)

    known = [job("done", seconds=10.0), job("done", seconds=20.0), job("running", seconds_left=5.0), job("pending")]
    assert seconds_left(known, workers=2) == pytest.approx((5.0 + 15.0) / 2)
    assert seconds_left([*known, job("pending", kind="other")], workers=2) is None
    assert duration(3725.2) == "1:02:05"


def test_the_screen_shows_running_and_failed_jobs():
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(
        picture(
            [
                JobStatus("fan/ae/0", "train", "d", "running", pid=7, step=30, total=100, seconds_left=70.0),
                JobStatus("fan/ae/1", "train", "d", "failed", error="the loss is not finite"),
                JobStatus("fan/ae/2", "train", "d", "done", seconds=100.0),
            ],
            workers=1,
        )
    )
    text = console.export_text()
    assert "1/3" in text
    assert "30/100" in text
    assert "0:01:10 left" in text
    assert "the loss is not finite" in text
    assert "fan/ae/2" not in text
