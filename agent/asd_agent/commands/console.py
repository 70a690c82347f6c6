"""Output of commands: results on stdout, everything else on stderr, an error as one line and an exit code."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from asd_agent.errors import EXIT_FAILED, AsdError
from asd_agent.service.logs import RepeatLimit, formatter

TRACEBACK = "ASD_TRACEBACK"
"""Environment variable that makes an unexpected error print its traceback."""


def warn(text: str) -> None:
    """Print a warning that does not stop the command."""
    sys.stderr.write(f"warning: {text}\n")


def log_to_stderr(level: int) -> None:
    """Log to stderr, in the form of a terminal or of the journal, with repeats limited."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(sys.stderr))
    handler.addFilter(RepeatLimit())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def print_json(document: Any) -> None:
    """Print one JSON document on stdout, and nothing else."""
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Print rows as a table; a value that is None shows as a dash."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*[column.replace("_", " ") for column in columns])
    for row in rows:
        table.add_row(*[_cell(row.get(column)) for column in columns])
    Console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def run_command(program: str, app: Callable[[], Any]) -> None:
    """Run a typer application and turn an error into one line and an exit code."""
    try:
        app()
    except AsdError as error:
        sys.stderr.write(f"{program}: {error}\n")
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
        text = (str(error).splitlines() or [""])[0]
        sys.stderr.write(f"{program}: unexpected {type(error).__name__}: {text}. Set {TRACEBACK}=1 to see where.\n")
        sys.exit(EXIT_FAILED)
