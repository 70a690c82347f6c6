"""The command line of the agent."""

from __future__ import annotations

import typer

from asd_agent import __version__
from asd_agent.runtime import limit_blas_threads

limit_blas_threads()  # before anything that imports numpy

from asd_agent.commands import (  # noqa: E402
    alarm_test,
    alerts,
    bench,
    bundle,
    calibrate,
    check,
    demo,
    devices,
    doctor,
    evidence,
    history,
    record,
    run,
    score,
    status,
)
from asd_agent.commands.console import run_command  # noqa: E402

app = typer.Typer(
    help="Listen to a machine and report over MQTT when it sounds different.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("status")(status.status)
app.command("test-alarm")(alarm_test.run_test_alarm)
app.command("doctor")(doctor.doctor)
app.command("support")(doctor.support)
app.command("devices")(devices.devices)
app.command("score")(score.score)
app.command("record")(record.record)
app.command("calibrate")(calibrate.calibrate)
app.command("bench")(bench.bench)
app.add_typer(bundle.app, name="bundle")
app.add_typer(alerts.app, name="alerts")
app.add_typer(evidence.app, name="evidence")
app.add_typer(history.app, name="history")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    _show: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main() -> None:
    """Entry point of `asd-agent`."""
    run_command("asd-agent", app)
