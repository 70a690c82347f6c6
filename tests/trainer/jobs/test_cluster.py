"""A Ray cluster of two nodes does what the processes of one machine do, and outlives one of its nodes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_agent.errors import AsdError
from asd_trainer.jobs import Job, Task, run_jobs, status
from asd_trainer.jobs.cluster import Cluster
from rigs.waiting import wait_until

pytestmark = pytest.mark.usefixtures("job_processes")
HERE = f"trainer.jobs.{Path(__file__).stem}"


def square(task: Task, number: int) -> int:
    (task.folder / "number.txt").write_text(str(number))
    return number * number


def add(task: Task) -> int:
    return sum(r.value + int((r.folder / "number.txt").read_text()) for r in task.dependencies.values())


def quick(task: Task, record: str, number: int) -> int:
    with Path(record).open("a") as f:
        f.write(f"quick {number}\n")
    return number


def patient(task: Task, record: str, number: int) -> int:
    """Goes on when it may."""
    with Path(record).open("a") as f:
        f.write(f"patient {number}\n")
    go = Path(record).with_name("go")
    while not go.exists():
        time.sleep(0.02)
    return number


def small_graph() -> list[Job]:
    squares = [Job(f"square/{i}", "square", f"{HERE}:square", {"number": i}) for i in range(4)]
    return [*squares, Job("sum", "sum", f"{HERE}:add", depends_on=tuple(j.name for j in squares))]


@pytest.fixture
def nodes() -> Iterator[Any]:
    """Two nodes of one core each."""
    from ray.cluster_utils import Cluster as RayNodes

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    found = RayNodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    found.second = found.add_node(num_cpus=1)
    yield found
    found.shutdown()


@pytest.fixture
def cluster(nodes: Any) -> Iterator[Cluster]:
    found = Cluster(nodes.address)
    yield found
    found.close()


def test_a_graph_gives_what_it_gives_here_and_a_lost_node_costs_only_what_ran_on_it(cluster, nodes, tmp_path):
    assert cluster.slots == 2
    there = run_jobs(small_graph(), tmp_path / "there", workers=cluster)
    here = run_jobs(small_graph(), tmp_path / "here", workers=2)
    assert {n: r.value for n, r in there.items()} == {n: r.value for n, r in here.items()}
    assert {s.digest for s in status(tmp_path / "there")} == {s.digest for s in status(tmp_path / "here")}

    record, out = tmp_path / "record", tmp_path / "out"
    paths = {"record": str(record)}
    jobs = [Job(f"quick/{i}", "quick", f"{HERE}:quick", {"number": i}, paths=paths) for i in range(2)]
    after = tuple(j.name for j in jobs)
    jobs += [Job(f"slow/{i}", "slow", f"{HERE}:patient", {"number": i}, paths=paths, depends_on=after) for i in (5, 6)]

    def lose_a_node() -> None:
        wait_until(lambda: record.exists() and record.read_text().count("patient") == 2, "not both jobs run")
        nodes.remove_node(nodes.second, allow_graceful=False)
        wait_until(
            lambda: sum(s.state == "running" for s in status(out) if s.name.startswith("slow")) == 1,
            "a job of the lost node is still taken to run",
        )
        (tmp_path / "go").touch()

    killer = threading.Thread(target=lose_a_node)
    killer.start()
    results = run_jobs(jobs, out, workers=cluster)
    killer.join()
    assert [results[f"slow/{i}"].value for i in (5, 6)] == [5, 6]
    lines = sorted(record.read_text().splitlines())
    assert lines[-2:] == ["quick 0", "quick 1"]
    assert len(lines) == 5  # one of the two that ran was lost and done again
    assert sorted(s.attempts for s in status(out) if s.name.startswith("slow")) == [1, 2]


def test_where_no_cluster_answers_it_says_how_to_start_one():
    with pytest.raises(AsdError, match=r"no Ray cluster answers at 127.0.0.1:1: .*ray start --head"):
        Cluster("127.0.0.1:1")
