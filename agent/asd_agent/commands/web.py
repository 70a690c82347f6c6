"""asd-agent web: the page for people, and the users who may log in."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_agent.commands.console import log_to_stderr, print_json, print_table
from asd_agent.config.file import load_config
from asd_agent.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from asd_agent.web.users import UserFile

app = typer.Typer(help="The web page: serve it, and manage its users.", invoke_without_command=True)
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name to log in with, shown beside actions.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")


@app.callback()
def web(context: typer.Context, config: ConfigPath = DEFAULT) -> None:
    """Serve the page, with the section `web` of agent.yaml. The service must run for it to show anything.

    Example: asd-agent web -c /etc/asd-agent/agent.yaml
    """
    if context.invoked_subcommand is not None:
        return
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in ("starlette", "uvicorn", "jinja2", "python_multipart")):
        raise UsageError("the page needs the extra `web`", "Install it: make upgrade EXTRAS=metrics,calibrate,web.")
    from asd_agent.web.serve import serve

    log_to_stderr(logging.INFO)
    serve(load_config(config))


@app.command()
def password(
    name: Name,
    role: Annotated[str, typer.Option(help="viewer reads; operator acts on alarms; admin changes levels too.")] = (
        "operator"
    ),
    config: ConfigPath = DEFAULT,
) -> None:
    """Add a user or change a password; it is asked for, or read from a pipe.

    Example: sudo asd-agent web password anna --role operator
    """
    from asd_agent.web.users import ROLES

    users = _users(config)
    if role not in ROLES:
        raise UsageError(f"--role {role[:20]!r} is unknown", f"Give one of {', '.join(ROLES)}.")
    if sys.stdin.isatty():
        text = typer.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
    else:
        text = sys.stdin.readline().rstrip("\n")
    users.put(name, text, role)
    typer.echo(f"{name} may log in as {role}")


@app.command()
def remove(name: Name, config: ConfigPath = DEFAULT) -> None:
    """Remove a user; a session of theirs ends at once."""
    _users(config).remove(name)
    typer.echo(f"{name} may no longer log in")


@app.command("users")
def list_users(
    config: ConfigPath = DEFAULT,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show who may log in."""
    users = _users(config)
    rows = [{"name": name, "role": users.role(name)} for name in users.names()]
    if json:
        print_json({"users": rows})
        return
    print_table(["name", "role"], rows)


def _users(config: Path) -> UserFile:
    from asd_agent.web.users import UserFile

    settings = load_config(config).web
    if settings is None:
        raise ConfigError(f"{config} has no section `web`", "Add `web: {}` to it; see docs/page.md.")
    return UserFile(settings.users)
