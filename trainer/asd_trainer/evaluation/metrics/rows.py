"""Files of two columns that challenges exchange: name of a clip and its value, without header."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from asd_agent.errors import DataError
from asd_agent.whole_files import whole_file


def read_rows(path: Path) -> list[tuple[str, str]]:
    """Return names, without folders, and values.

    Raises:
        DataError: The file is unreadable or empty, a line does not have two columns, or a name occurs twice.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(n, row) for n, row in enumerate(csv.reader(file), 1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: is not a readable csv file ({error})", "Write the name of a clip and its value on each line."
        ) from error
    seen: set[str] = set()
    found: list[tuple[str, str]] = []
    for number, row in rows:
        if len(row) != 2:
            raise DataError(f"{path}: line {number} has {len(row)} columns", "Write the name of a clip and its value.")
        name = Path(row[0].strip()).name
        if name in seen:
            raise DataError(f"{path}: {name} occurs twice", "Score each clip once.")
        seen.add(name)
        found.append((name, row[1]))
    if not found:
        raise DataError(f"{path}: is empty", "Write the name of a clip and its value on each line.")
    return found


def write_rows(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write such a file, whole or not at all."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
