"""ONNX Runtime sessions: one session a graph, shared by members and bundles, without idle threads that spin."""

from __future__ import annotations

import hashlib
import os
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Any

from asd_agent.bundle.files import LIMITS, read_regular
from asd_agent.errors import AsdError, BundleError

_INSTALL = "Run `make upgrade RUNTIME=cpu` in the agent's source, or RUNTIME=cuda on an x86 CUDA box."
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
"""TF32 keeps 10 bits of a float32's 23: golden scores would be missed."""
NO_NETWORK = "numpy"
"""Reported as the provider of a bundle without a network."""

_BATCHED = {"CUDAExecutionProvider": 16}
"""Windows in one call. On a CPU a batch costs as much a window as single calls, or more when it outgrows the caches; a
TensorRT engine is built for one size."""

Pool = MutableMapping[tuple[tuple[str, ...], str], Any]
"""Sessions by wanted providers and the graph's digest."""


class Sessions:
    """Sessions of graphs, each on the first execution provider that can be used.

    Args:
        providers: Execution providers in order of preference.
        threads: Threads of one session's computation.
        pool: Sessions to share; by default none.
        runtime: Replacement for the module `onnxruntime`.
    """

    def __init__(
        self,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        threads: int = 1,
        pool: Pool | None = None,
        runtime: Any = None,
    ) -> None:
        self._providers = tuple(providers)
        self._threads = threads
        self._pool: Pool = {} if pool is None else pool
        self._runtime = runtime
        self._used: dict[str, str] = {}
        self.complaints: list[str] = []
        """A sentence for each provider that could not be used for a graph."""

    def get(self, graph: Path, digest: str) -> Any:
        """Return the session of a graph.

        Raises:
            AsdError: ONNX Runtime is not installed, or has none of the providers.
            BundleError: The graph has another digest, or no provider can load it.
        """
        key = self._providers, digest
        session = self._pool.get(key)
        if session is None:
            session = self._create(graph, digest)
        self._pool[key] = session
        self._used[digest] = _first(session)
        return session

    def provider(self) -> str:
        """Return the providers really in use, the wanted ones first; `NO_NETWORK` while there is no session."""
        used = set(self._used.values())
        known = [p for p in self._providers if p in used]
        return ", ".join([*known, *sorted(used - set(known))]) or NO_NETWORK

    def _create(self, graph: Path, digest: str) -> Any:
        runtime = self._runtime or load_runtime()
        there = runtime.get_available_providers()
        usable = [p for p in self._providers if p in there]
        if not usable:
            raise AsdError(f"none of the providers {list(self._providers)} is in this ONNX Runtime", f"It has: {there}")
        raw = read_regular(graph, LIMITS.file_bytes)
        if hashlib.sha256(raw).hexdigest() != digest:
            raise BundleError(
                f"{graph}: changed after the bundle was checked", "Start again, or copy the bundle again."
            )
        reasons: list[str] = []
        for index, wanted in enumerate(usable):
            chain = [(p, _OPTIONS.get(p, {})) for p in usable[index:]]
            try:
                session = runtime.InferenceSession(raw, self._options(runtime), providers=chain)
            except Exception as error:  # noqa: BLE001 - ONNX Runtime's own exception types are private
                reasons.append(f"{wanted}: {(str(error).splitlines() or [type(error).__name__])[0]}")
                continue
            if _first(session) == wanted:
                break
            # ONNX Runtime fell back to another provider without an error.
            reasons.append(f"{wanted}: ONNX Runtime cannot use it here")
            if _first(session) in usable:
                break
        else:
            raise BundleError(f"{graph}: ONNX Runtime cannot load it: {'; '.join(reasons)}")
        self.complaints += [f"{graph.name}: {r}" for r in reasons]
        return session

    def _options(self, runtime: Any) -> Any:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn a core between windows.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return options


def windows_at_once(session: Any) -> int:
    """Return the number of windows in one call of a session."""
    return _BATCHED.get(_first(session), 1)


def load_runtime() -> Any:
    """Import `onnxruntime` with its telemetry off.

    From 1.29 on its Linux builds send telemetry to their maker unless this variable is set before it is imported.

    Raises:
        AsdError: It is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise AsdError("ONNX Runtime is not installed", _INSTALL) from error
    return onnxruntime


def _first(session: Any) -> str:
    return str(session.get_providers()[0])
