"""Jobs and their order; a job's digest stands for everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from asd_agent.errors import AsdError


class GraphError(AsdError):
    """Jobs that do not make a graph."""


@dataclass(frozen=True)
class Job:
    """One piece of work that runs in a process of its own.

    Attributes:
        name: For people and for `depends_on`, such as `fan/autoencoder/0`; no part of the digest.
        kind: What sort of work it is; times left are estimated by it.
        run: `package.module:function`, called as function(task, **arguments, **paths); it returns
            what JSON can hold.
        arguments: JSON-able, part of the digest.
        inputs: JSON-able, part of the digest but not passed: digest of the data, version of the code.
        paths: Arguments that are no part of the digest: a path does not change a result.
        depends_on: Names of jobs whose results it needs; their order is part of the digest, and that in which it gets
            them.
        retries: How often it is tried again after a failure or a killed worker.
    """

    name: str
    kind: str
    run: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    retries: int = 1


def digests(jobs: Sequence[Job]) -> dict[str, str]:
    """Digest of each job by its name, dependencies first.

    Returns:
        32 hexadecimal digits each: SHA-256 over kind, function, arguments, inputs and the dependencies' digests.

    Raises:
        GraphError: Two jobs have one name, a dependency is missing, jobs depend on each other, or an argument is not
            JSON-able.
    """
    by_name = {job.name: job for job in jobs}
    if len(by_name) < len(jobs):
        names = [job.name for job in jobs]
        double = next(name for name in names if names.count(name) > 1)
        raise GraphError(f"two jobs are called {double}", "Give each its own name.")
    for job in jobs:
        for name in job.depends_on:
            if name not in by_name:
                raise GraphError(f"job {job.name} depends on {name}, which is not there", "Add it to the graph.")
    try:
        order = list(TopologicalSorter({job.name: job.depends_on for job in jobs}).static_order())
    except CycleError as error:
        raise GraphError(f"jobs depend on each other: {' → '.join(error.args[1])}", "Break the circle.") from error
    found: dict[str, str] = {}
    for name in order:
        found[name] = _digest(by_name[name], found)
    return found


def select(jobs: Sequence[Job], names: Iterable[str]) -> list[Job]:
    """The named jobs and all that they depend on.

    Raises:
        GraphError: A name is not in the graph.
    """
    by_name = {job.name: job for job in jobs}
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in by_name:
            raise GraphError(f"no job is called {name}", f"There are {', '.join(sorted(by_name))}.")
        if name not in wanted:
            wanted.add(name)
            queue += by_name[name].depends_on
    return [job for job in jobs if job.name in wanted]


def dependents(jobs: Sequence[Job], names: Iterable[str]) -> set[str]:
    """The named jobs and all that depend on them."""
    found = set(names)
    grown = True
    while grown:
        more = {job.name for job in jobs if found & set(job.depends_on)} - found
        found |= more
        grown = bool(more)
    return found


def _digest(job: Job, found: Mapping[str, str]) -> str:
    content = {
        "kind": job.kind,
        "run": job.run,
        "arguments": dict(job.arguments),
        "inputs": dict(job.inputs),
        "depends_on": [found[name] for name in job.depends_on],
    }
    try:
        text = json.dumps(content, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GraphError(f"job {job.name}: arguments or inputs are not JSON: {error}", "Use plain values.") from error
    return hashlib.sha256(text.encode()).hexdigest()[:32]
