"""Bundles that have passed their isolated check on this box, so that a start need not wait for it again.

The service itself compares the golden scores at every start. The isolated check before it protects from a network that
crashes or needs any amount of memory, and a network that did neither is run by the same libraries again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from asd_agent import __version__
from asd_agent.bundle import Bundle
from asd_agent.errors import AsdError
from asd_agent.inference.isolated_check import check_foreign
from asd_agent.inference.providers import load_runtime
from asd_agent.small_files import read_small
from asd_agent.whole_files import whole_file

FILE_NAME = "passed-checks.json"
_MOST = 100
"""Checks that are remembered, newest last; a box has a few bundles."""


def check_foreign_once(bundle: Bundle, providers: Sequence[str], state: Path) -> None:
    """Check a bundle in a child process unless this agent did so before, with this ONNX Runtime and these providers.

    Args:
        bundle: A verified bundle.
        providers: Execution providers in order of preference.
        state: Folder of the agent's state; a result is not kept where it is missing or cannot be written.

    Raises:
        AsdError: As `check_foreign`; nothing is kept then.
    """
    path = state / FILE_NAME
    try:
        parts = [bundle.digest, *providers, load_runtime().__version__, __version__]
    except AsdError:
        check_foreign(bundle, providers)  # raises the same with its remedy where a bundle needs a network
        return
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    passed = _read(path)
    if key in passed:
        return
    check_foreign(bundle, providers)
    if state.is_dir():
        with suppress(OSError), whole_file(path, 0o600) as partial:
            partial.write_text(json.dumps([*passed, key][-_MOST:]), encoding="utf-8")


def _read(path: Path) -> list[str]:
    """Return the keys of passed checks; none where the file is missing or damaged."""
    try:
        found = json.loads(read_small(path))
    except (OSError, ValueError, RecursionError):
        return []
    return [key for key in found if isinstance(key, str)] if isinstance(found, list) else []
