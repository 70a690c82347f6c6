"""The command line of the agent. Only the module of the command that runs is imported, so `run` starts earlier."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from asd_agent import __version__
from asd_agent.runtime import limit_blas_threads

limit_blas_threads()  # before anything that imports numpy

from asd_agent.commands.console import run_command  # noqa: E402

_COMMANDS = {
    "run": "run:run",
    "demo": "demo:demo",
    "check": "check:check",
    "status": "status:status",
    "test-alarm": "alarm_test:run_test_alarm",
    "doctor": "doctor:doctor",
    "support": "doctor:support",
    "devices": "devices:devices",
    "score": "score:score",
    "record": "record:record",
    "learn": "learn:learn",
    "calibrate": "calibrate:calibrate",
    "bench": "bench:bench",
    "bundle": "bundle:app",
    "machines": "machines:app",
    "alerts": "alerts:app",
    "evidence": "evidence:app",
    "history": "history:app",
    "web": "web:app",
    "fleet": "fleet:app",
}
"""Module in `asd_agent.commands` and its function or group, by command, in the order of the help text."""


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _main(
    _show: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def application(arguments: Sequence[str] = ()) -> typer.Typer:
    """Return the application with the command that the arguments begin with, or with all where there is none such."""
    made = typer.Typer(
        help="Listen to a machine and report over MQTT when it sounds different.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    made.callback()(_main)
    for name in arguments[:1] if arguments and arguments[0] in _COMMANDS else _COMMANDS:
        module, attribute = _COMMANDS[name].split(":")
        command = getattr(import_module(f"asd_agent.commands.{module}"), attribute)
        if isinstance(command, typer.Typer):
            made.add_typer(command, name=name)
        else:
            made.command(name)(command)
    return made


def main() -> None:
    """Entry point of `asd-agent`."""
    run_command("asd-agent", application(sys.argv[1:]))
