"""asd-agent doctor: the box from end to end, each finding with its remedy; and an archive to send to whoever helps."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.finding import Finding, problem, worst
from asd_agent.doctor.checks import Examined, run_checks
from asd_agent.errors import EXIT_CONFIG, EXIT_FAILED

_SIGNS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")


def doctor(
    config: ConfigPath = DEFAULT,
    user: Annotated[str | None, typer.Option(help="Who the service runs as; by default its unit tells.")] = None,
    archive: Annotated[Path | None, typer.Option(help="Write a support archive (.tar.gz), secrets masked.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Test the box end to end: microphones, bundles, broker, disk, clock, heat, service. Each problem has its remedy.

    A running service is asked for what it hears; its microphones are not opened. One message goes to the broker, on
    asd/<agent>/doctor/…. Exit code 0 without a problem, 1 with one, 78 when the configuration cannot be used.

    Example: sudo asd-agent doctor -c /etc/asd-agent/agent.yaml
    """
    found, code = examine_box(config, user)
    if archive is not None:
        from asd_agent.doctor.support import write_archive

        write_archive(archive, config, document(found))
        sys.stderr.write(f"{archive} is written; look into it before you send it\n")
    if json:
        print_json(document(found))
    else:
        for line in lines(found):
            sys.stdout.write(f"{line}\n")
    if code:
        raise typer.Exit(code)


def support(
    out: Annotated[Path, typer.Option("--out", "-o", help="The archive to write.")] = Path("asd-support.tar.gz"),
    config: ConfigPath = DEFAULT,
    user: Annotated[str | None, typer.Option(help="Who the service runs as; by default its unit tells.")] = None,
) -> None:
    """Write an archive for whoever helps: versions, masked configuration, the doctor's findings, the last log lines.

    Passwords, names of users and hosts are masked; look into it before you send it.

    Example: sudo asd-agent support --out asd-support.tar.gz
    """
    from asd_agent.doctor.support import write_archive

    found, _code = examine_box(config, user)
    write_archive(out, config, document(found))
    sys.stdout.write(f"{out} is written; look into it before you send it\n")


def examine_box(path: Path, user: str | None = None) -> tuple[list[Examined], int]:
    """Run every check, with a line of progress for each on stderr.

    Returns:
        What was found, and the exit code that it means.
    """
    try:
        settings = load_config(path)
    except ConfigFileError as error:
        wrong = [
            problem(f"{path}:{f.line}", f"{f.key}: {f.text}" if f.key else f.text, f.remedy) for f in error.findings
        ]
        return [Examined("configuration", tuple(wrong))], EXIT_CONFIG
    from asd_agent.doctor.examination import DoctorRun, Surroundings

    found = run_checks(DoctorRun(settings, path, Surroundings(user=user)).checks(), _progress)
    return found, EXIT_FAILED if worst(_all(found)) == "problem" else 0


def document(found: list[Examined]) -> dict[str, Any]:
    """What was found as one JSON document."""
    from asd_agent.doctor.software import versions

    rows = [{"check": e.name, **asdict(f)} for e in found for f in e.findings]
    return {
        "ok": worst(_all(found)) != "problem",
        "worst": worst(_all(found)),
        "versions": versions(),
        "findings": rows,
    }


def lines(found: list[Examined]) -> list[str]:
    """What was found, for people: each finding, with its remedy below it."""
    said = []
    for finding in _all(found):
        said.append(f"{_SIGNS[finding.level]}  {finding.where}: {finding.what}")
        if finding.remedy:
            said.append(f"         → {finding.remedy}")
    counts = [sum(f.level == level for f in _all(found)) for level in ("problem", "warning")]
    said.append(f"{counts[0]} problems, {counts[1]} warnings")
    return said


def _all(found: list[Examined]) -> list[Finding]:
    return [finding for examined in found for finding in examined.findings]


def _progress(name: str) -> None:
    sys.stderr.write(f"looking at {name} …\n")
    sys.stderr.flush()
