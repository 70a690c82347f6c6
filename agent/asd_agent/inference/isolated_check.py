"""Golden check in a process of its own, with limits on memory and time, before a bundle is put to use.

A network comes from outside and ONNX Runtime runs it as native code: it may need any amount of memory, run for hours or
crash. In a child that costs one refusal. The child opens the bundle, loads it and scores its golden windows as the
service will; it writes a line to its output after each step, and the parent kills it when a step takes too long.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asd_agent.runtime import limit_blas_threads

limit_blas_threads()  # in the child, before anything that imports numpy

from asd_agent.bundle import Bundle  # noqa: E402
from asd_agent.bundle.files import bundle_files  # noqa: E402
from asd_agent.bundle.registry_folder import is_stored  # noqa: E402
from asd_agent.errors import AsdError, BundleError  # noqa: E402

_EXPORT_AGAIN = "Export the bundle again, or a smaller one."
_CPU = "CPUExecutionProvider"
_MOST_OUTPUT = 1 << 20
"""Bytes of a child's output: a line a window, and one document."""


@dataclass(frozen=True)
class CheckLimits:
    """Memory and time of a golden check.

    Attributes:
        step_seconds: Time of one step: to load all networks, or to score one window of 10 s. A bundle of 36 members
            loads in 18 s on two busy cores; a window that takes longer than a minute cannot be monitored.
        total_seconds: Time of the whole check.
        base_bytes: Memory of the interpreter, the libraries and the features; they need 170 MB.
        graph_factor: Memory of a network, as a multiple of its file: as read, as loaded, as optimised, and its
            intermediate results.
        array_factor: Memory of scorers.npz, as a multiple of its unpacked arrays.
        provider_bytes: Memory of the host for another execution provider than the CPU's; CUDA's libraries alone have
            gigabytes.
    """

    step_seconds: float = 60.0
    total_seconds: float = 900.0
    base_bytes: int = 400 << 20
    graph_factor: float = 6.0
    array_factor: float = 3.0
    provider_bytes: int = 16 << 30

    def memory(self, bundle: Bundle, providers: Sequence[str]) -> int:
        """Return the memory for a bundle in bytes."""
        graphs = sum(size for name, size in bundle_files(bundle.path).items() if name.endswith(".onnx"))
        arrays = sum(array.nbytes for array in bundle.scorers.values())
        others = self.provider_bytes if set(providers) - {_CPU} else 0
        return round(self.base_bytes + self.graph_factor * graphs + self.array_factor * arrays) + others


@dataclass(frozen=True)
class GoldenResult:
    """Result of a golden check.

    Attributes:
        provider: Execution provider that gave the golden scores.
        windows: Number of golden windows.
        worst: Largest difference to a golden score.
        complaints: Reasons why configured providers before it are not in use, one sentence each.
    """

    provider: str
    windows: int
    worst: float
    complaints: tuple[str, ...]


def check_isolated(bundle: Bundle, providers: Sequence[str], limits: CheckLimits | None = None) -> GoldenResult:
    """Load a bundle in a child process and compare its golden scores there.

    Args:
        bundle: A verified bundle.
        providers: Execution providers in order of preference.
        limits: Memory and time.

    Raises:
        AsdError: ONNX Runtime is not installed, has none of the providers, or no process can be started.
        BundleError: No provider passes, or the check needs more memory or time than the limits allow, or crashes.
    """
    limits = limits or CheckLimits()
    memory = limits.memory(bundle, providers)
    request = {"path": str(bundle.path), "digest": bundle.digest, "providers": list(providers), "memory": memory}
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(request)],
            stdin=subprocess.PIPE,  # closed when the parent ends, and the child with it
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise AsdError(f"{bundle.path}: its check cannot be started ({error.strerror})") from error
    with child:
        try:
            return _result(bundle, _answer(bundle, child, limits), child, memory)
        finally:
            child.kill()


def check_foreign(bundle: Bundle, providers: Sequence[str]) -> None:
    """Check a bundle in a child process unless the registry did: it activates none with golden windows unscored.

    Called before this process loads a bundle that a configuration or a command names by its path.

    Args:
        bundle: A verified bundle.
        providers: Execution providers in order of preference.

    Raises:
        AsdError: As `check_isolated`.
        BundleError: As `check_isolated`.
    """
    if not is_stored(bundle):
        check_isolated(bundle, providers)


def _answer(bundle: Bundle, child: subprocess.Popen[bytes], limits: CheckLimits) -> bytes:
    """Read a child's output to its end; a child that takes too long for a step raises an error."""
    assert child.stdout is not None
    pipe, output, until = child.stdout.fileno(), b"", time.monotonic() + limits.total_seconds
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while True:
        seconds = min(limits.step_seconds, until - time.monotonic())
        if seconds <= 0 or not poll.poll(seconds * 1000):
            what = f"its check took longer than {max(limits.step_seconds, 0):g} s for one step"
            if seconds < limits.step_seconds:
                what = f"its check took longer than {limits.total_seconds:g} s"
            raise BundleError(f"{bundle.path}: {what}", _EXPORT_AGAIN)
        block = os.read(pipe, 1 << 16)
        if not block or len(output) > _MOST_OUTPUT:
            return output
        output += block


def _result(bundle: Bundle, output: bytes, child: subprocess.Popen[bytes], memory: int) -> GoldenResult:
    try:
        answer: dict[str, Any] = json.loads(output.rpartition(b"\n")[2])
    except ValueError:
        answer = {}
    if "provider" in answer:
        return GoldenResult(answer["provider"], answer["windows"], answer["worst"], tuple(answer["complaints"]))
    if "what" in answer:
        raise (BundleError if answer["bundle"] else AsdError)(answer["what"], answer["remedy"])
    status = child.wait()
    ended = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"exit code {status}"
    what = f"its check ended with {ended}; it may use {memory >> 20} MB"
    raise BundleError(f"{bundle.path}: {what}", _EXPORT_AGAIN)


def _main(request: dict[str, Any], pipe: int) -> None:
    """Check the golden scores of one bundle, and write a line for each step and the result without a line's end."""
    os.dup2(2, 1)  # text that libraries print is no answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Private memory, unlike the address space, of which CUDA reserves terabytes (getrlimit(2), since Linux 4.7).
    resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = Path(request["path"])

    def progress() -> None:
        os.write(pipe, b"\n")

    try:
        answer = _check(path, request["digest"], request["providers"], progress)
    except AsdError as error:
        answer = {"what": error.what, "remedy": error.remedy, "bundle": isinstance(error, BundleError)}
    except MemoryError:
        what = f"{path}: its check needs more than {request['memory'] >> 20} MB"
        answer = {"what": what, "remedy": _EXPORT_AGAIN, "bundle": True}
    os.write(pipe, json.dumps(answer).encode())


def _check(path: Path, digest: str, providers: list[str], progress: Callable[[], None]) -> dict[str, Any]:
    from asd_agent.inference.provider_check import check_providers

    bundle = Bundle.open(path)
    if bundle.digest != digest:
        raise BundleError(f"{path}: changed during its check", "Start the check again.")
    progress()
    check = check_providers(bundle, providers, progress=progress)
    return asdict(GoldenResult(check.provider, len(bundle.golden()["scores"]), check.worst, check.complaints))


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]), os.dup(1))
