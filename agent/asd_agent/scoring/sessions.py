"""ONNX Runtime sessions: one a graph however many members and bundles share it, idle when there is nothing to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError, BundleError

_INSTALL = "Install one: `pip install 'asd[cpu]'`, or 'asd[gpu]' on an x86 CUDA box."


class Sessions:
    """Creates sessions and keeps them by the graph's digest.

    Args:
        providers: Execution providers in order of preference.
        threads: Threads of one session's computation.
    """

    def __init__(self, providers: Sequence[str] = ("CPUExecutionProvider",), threads: int = 1) -> None:
        self._providers = list(providers)
        self._threads = threads
        self._kept: dict[str, Any] = {}

    def get(self, graph: Path, digest: str) -> Any:
        """The session of a graph.

        Raises:
            AsdError: ONNX Runtime is not installed, or has none of the providers.
            BundleError: The graph cannot be loaded.
        """
        if digest not in self._kept:
            self._kept[digest] = self._create(graph)
        return self._kept[digest]

    def provider(self) -> str:
        """The provider really in use, by the first session; the wanted one before any exists."""
        for session in self._kept.values():
            return str(session.get_providers()[0])
        return self._providers[0]

    def _create(self, graph: Path) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise AsdError("ONNX Runtime is not installed", _INSTALL) from error
        there = onnxruntime.get_available_providers()
        usable = [p for p in self._providers if p in there]
        if not usable:
            raise AsdError(f"none of the providers {self._providers} is in this ONNX Runtime", f"It has: {there}.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Spinning threads would burn a core between windows.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(graph.read_bytes(), options, providers=usable)
        except Exception as error:  # ONNX Runtime's own exception types are private
            raise BundleError(f"{graph}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}") from error
