"""Many files at once: a function applied by one thread a core, results in order, memory bounded.

Threads suffice, since reading, transforms and networks release Python's lock.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

CORES = "ASD_CORES"
"""Environment variable: cores of this process, where several share the box."""
_AHEAD = 2
"""Results in work or waiting for each thread; more would only hold memory."""


def cores() -> int:
    """Return the number of cores that this process may use, at least 1."""
    shared = os.environ.get(CORES, "")
    if shared.isdigit():
        return max(1, int(shared))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(function: Callable[[T], R], items: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """Apply a function to items, some at a time, and yield the results in the order of the items.

    The first exception in that order is raised; items that have not begun by then are left out.

    Args:
        function: May be called from several threads.
        items: Taken as they are needed.
        threads: Items at a time; by default one a core.

    Example:
        >>> list(in_order(len, ["a", "bcd", ""], threads=2))
        [1, 3, 0]
    """
    threads = threads or cores()
    if threads == 1:
        yield from map(function, items)
        return
    remaining = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="files") as pool:
        begun: deque[Future[R]] = deque(pool.submit(function, x) for x in islice(remaining, _AHEAD * threads))
        try:
            while begun:
                yield begun.popleft().result()
                begun.extend(pool.submit(function, x) for x in islice(remaining, 1))
        finally:
            for future in begun:
                future.cancel()
