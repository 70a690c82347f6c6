"""Output of commands: results on stdout, everything else on stderr, an error as one line and an exit code."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from asd_agent.errors import EXIT_FAILED, AsdError
from asd_agent.service.logs import RepeatLimit, formatter

TRACEBACK = "ASD_TRACEBACK"
"""Environment variable that makes an unexpected error print its traceback."""


def warn(text: str) -> None:
    """Print a warning that does not stop the command."""
    sys.stderr.write(f"warning: {one_line(text)}\n")


def report_error(program: str, error: AsdError) -> None:
    """Print an error as one line on stderr."""
    sys.stderr.write(f"{program}: {one_line(str(error))}\n")


def one_line(text: str) -> str:
    """Return a text with every control character escaped: a file's name may hold line breaks and terminal codes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def log_to_stderr(level: int) -> None:
    """Log to stderr, in the form of a terminal or of the journal, with repeats limited."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(sys.stderr))
    handler.addFilter(RepeatLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class MinuteLines:
    """Lines on stderr for work that takes long where no terminal shows a bar: one at the start, then one a minute.

    Args:
        terminal: A progress bar is shown; no line is written then.
        clock: Monotonic seconds.
    """

    def __init__(self, *, terminal: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal, self._clock = terminal, clock
        self._next = -math.inf

    def write(self, text: str) -> None:
        """Write a line where one is due."""
        now = self._clock()
        if not self._terminal and now >= self._next:
            self._next = now + 60.0
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, and nothing else."""
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def local_time(utc: float) -> str:
    """Return a time on this box's wall clock, to the second."""
    return datetime.fromtimestamp(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_table(columns: list[str], rows: list[dict[str, Any]], *, text: Collection[str] = ()) -> None:
    """Print rows for a person; a value that is None shows as a dash.

    On a terminal the columns in `text` shrink to its width; ids, times and numbers never do. Piped, columns are
    separated by spaces, without a grid.

    Args:
        columns: Keys of the rows, in order.
        rows: The rows.
        text: Columns of free text.
    """
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        for line in (heads, *cells):
            sys.stdout.write("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n")
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, head in zip(columns, heads, strict=True):
        table.add_column(escape(head), no_wrap=column not in text, overflow="fold")
    for line in cells:
        table.add_row(*map(escape, line))
    Console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else one_line(str(value))


def run_command(program: str, app: Callable[[], Any]) -> None:
    """Run a typer application and turn an error into one line and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may not be UTF-8; in JSON this is its escape
    try:
        app()
    except AsdError as error:
        report_error(program, error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away; its pipe is closed quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except Exception as error:  # noqa: BLE001 - no exception may reach a person raw
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        text = one_line((str(error).splitlines() or [""])[0])
        sys.stderr.write(f"{program}: unexpected {type(error).__name__}: {text}. Set {TRACEBACK}=1 to see where.\n")
        sys.exit(EXIT_FAILED)
