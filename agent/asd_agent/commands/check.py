"""asd-agent check: the configuration, the bundles it names and whether its alarms can come, before anything starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.config.base import Strict
from asd_agent.config.file import ConfigFileError, line_of, load_config, read_yaml
from asd_agent.config.finding import Finding, problem
from asd_agent.config.model import Config
from asd_agent.config.stores import Paths
from asd_agent.config.yaml_reader import YamlMistakeError, construct
from asd_agent.errors import EXIT_CONFIG, AsdError

_NAMES = {"problem": "error", "warning": "warning", "ok": "note"}


def check(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of agent.yaml for editors.")] = False,
) -> None:
    """Validate the configuration, verify its bundles, and show the earliest time of an alarm.

    Exit code 0 when the agent can start, 78 when it cannot. It starts nothing and connects to no broker; `doctor` does.

    Example: asd-agent check -c agent.yaml --strict
    """
    if schema:
        print_json(config_schema())
        return
    rows = inspect(config)
    failed = any(r["level"] == "error" or (strict and r["level"] == "warning") for r in rows)
    if json:
        lines = {kind: [_line(r) for r in rows if r["level"] == kind] for kind in _NAMES.values()}
        lists = {"errors": lines["error"], "warnings": lines["warning"], "notes": lines["note"]}
        print_json({"ok": not failed, **lists, "findings": rows})
    else:
        for row in sorted(rows, key=lambda r: list(_NAMES.values()).index(r["level"])):
            if row["level"] == "note":
                sys.stdout.write(f"{row['key']}: {row['text']}\n")
            else:
                sys.stderr.write(f"{row['level']}: {_line(row)}\n")
        if not failed:
            sys.stdout.write(f"{config}: the agent can start\n")
    if failed:
        raise typer.Exit(EXIT_CONFIG)


def inspect(path: Path) -> list[dict[str, Any]]:
    """Return all findings about a configuration file.

    Returns:
        One row a finding: `level` (error, warning, note), `file`, `line` (0 for the file as a whole), `key`, `text`
        and `remedy`.
    """
    try:
        settings = load_config(path)
    except ConfigFileError as error:
        wrong = [(f.line, problem(f.key, f.text, f.remedy)) for f in error.mistakes]
        known = {f.where for _, f in wrong}
        wrong += [(line_of(path, f.where), f) for f in _unusable_bundles(path) if f.where not in known]
    else:
        from asd_agent.config.preflight import preflight

        wrong = [(line_of(path, f.where), f) for f in preflight(settings)]
    return [_row(path, line, finding) for line, finding in wrong]


def _unusable_bundles(path: Path) -> list[Finding]:
    """Return bundles that a configuration with mistakes names and that cannot be opened.

    Otherwise they would come to light in a second round, once the mistakes are repaired.
    """
    from asd_agent.bundle import Bundle

    try:
        keys = construct(read_yaml(path))
    except (ConfigFileError, YamlMistakeError):
        return []
    monitors, paths = keys.get("monitors"), keys.get("paths")
    stated = paths.get("bundles") if isinstance(paths, dict) else None
    folder = path.parent.resolve() / (stated if isinstance(stated, str) else Paths().bundles)
    found = []
    for name, monitor in monitors.items() if isinstance(monitors, dict) else ():
        bundle = monitor.get("bundle") if isinstance(monitor, dict) else None
        if not isinstance(bundle, str) or not bundle or "\0" in bundle:
            continue
        try:
            Bundle.open(folder / bundle)
        except AsdError as error:
            found.append(problem(f"monitors.{name}.bundle", error.what, error.remedy))
    return found


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of agent.yaml, which docs/schemas/agent.schema.json holds."""
    from asd_agent.described_schema import described_schema

    body = described_schema(Config, Strict)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}


def _row(path: Path, line: int, found: Finding) -> dict[str, Any]:
    level = _NAMES[found.level]
    texts = {"key": found.where, "text": found.what, "remedy": found.remedy}
    return {"level": level, "file": str(path), "line": line, **texts}


def _line(row: dict[str, Any]) -> str:
    where = f"{row['file']}:{row['line']}" if row["line"] else row["file"]
    key = f"{row['key']}: " if row["key"] else ""
    return f"{where}: {key}{row['text']}" + (f". {row['remedy']}" if row["remedy"] else "")
