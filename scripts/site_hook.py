"""Pages that the site adds to docs/: the commands as Typer describes them, and the Python API."""

from __future__ import annotations

from typing import Any

import click
import typer.main
from mkdocs.structure.files import File, Files

from asd_agent.cli import application
from asd_trainer.cli import app

MODULES = ("asd_agent.bundle", "asd_agent.alarm", "asd_agent.features", "asd_agent.inference", "asd_agent.config")


def described(command: Any, name: str, level: int, parent: click.Context | None = None) -> str:
    """Return the section of a command and of those below it."""
    context = typer.Context(command, info_name=name, parent=parent)
    path = context.command_path
    text = f"{'#' * min(level, 4)} {path}\n\n```text\n{command.get_help(context).strip()}\n```\n\n"
    for below, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            text += described(inner, below, level + 1, context)
    return text


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for name, made in (("asd-agent", application()), ("asd-trainer", app)):
        made.rich_markup_mode = None
        text = described(typer.main.get_command(made), name, 1)
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    api = "# Python API\n\n" + "".join(f"::: {module}\n\n" for module in MODULES)
    files.append(File.generated(config, "reference/api.md", content=api))
    return files
