"""A command called as a person calls it, in this process: the start of another and its imports cost seconds each.

A test that is about the process itself, about what a library writes past `sys.stderr`, or that trains, starts one.
"""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from unittest import mock


def call(main: Callable[[], None], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Call an entry point.

    Args:
        main: `asd_agent.cli.main` or `asd_trainer.cli.main`.
        arguments: What stands behind the program's name.

    Returns:
        What a process of its own would have returned: the exit code and both outputs.
    """
    command = [main.__module__, *map(str, arguments)]
    out, error = io.StringIO(), io.StringIO()
    end = SystemExit(0)
    with (
        mock.patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
        _logging_as_before(),
    ):
        try:
            main()
        except SystemExit as raised:
            end = raised
    code = int(end.code or 0)
    return subprocess.CompletedProcess(command, code, out.getvalue(), error.getvalue())


@contextlib.contextmanager
def _logging_as_before() -> Iterator[None]:
    """A command sets up the log of its process: what it changed is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
