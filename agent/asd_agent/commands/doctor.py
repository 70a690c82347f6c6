"""asd-agent doctor: checks the box from end to end, each finding with its remedy; asd-agent support: an archive."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.commands.console import print_json
from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.finding import Finding, problem, worst
from asd_agent.doctor.checks import CheckResult, run_checks
from asd_agent.errors import EXIT_CONFIG, EXIT_FAILED

_SIGNS = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}
ConfigPath = Annotated[Path, typer.Option("--config", "-c", help="The configuration.")]
DEFAULT = Path("/etc/asd-agent/agent.yaml")


def doctor(
    config: ConfigPath = DEFAULT,
    user: Annotated[str | None, typer.Option(help="The service's user; by default the unit's.")] = None,
    archive: Annotated[Path | None, typer.Option(help="Write a support archive (.tar.gz), secrets masked.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Test the box end to end: microphones, bundles, broker, disk, clock, heat, service. Each problem has its remedy.

    A running service reports its sources; its microphones are not opened. One message goes to the broker, on
    asd/<agent>/doctor/…. Exit code 0 without a problem, 1 with one, 78 when the configuration cannot be used.

    Example: sudo asd-agent doctor -c /etc/asd-agent/agent.yaml
    """
    found, code = check_box(config, user)
    if archive is not None:
        from asd_agent.doctor.support import write_archive

        write_archive(archive, config, document(found))
        sys.stderr.write(f"{archive} is written; read it before you send it\n")
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
    user: Annotated[str | None, typer.Option(help="The service's user; by default the unit's.")] = None,
) -> None:
    """Write an archive to find faults with: versions, masked configuration, the doctor's findings, the last log lines.

    Passwords, names of users and hosts are masked; read it before you send it.

    Example: sudo asd-agent support --out asd-support.tar.gz
    """
    from asd_agent.doctor.support import write_archive

    found, _code = check_box(config, user)
    write_archive(out, config, document(found))
    sys.stdout.write(f"{out} is written; read it before you send it\n")


def check_box(path: Path, user: str | None = None) -> tuple[list[CheckResult], int]:
    """Run every check, with a line of progress for each on stderr.

    Returns:
        The results, and the exit code that they mean.
    """
    try:
        settings = load_config(path)
    except ConfigFileError as error:
        wrong = [
            problem(f"{path}:{f.line}", f"{f.key}: {f.text}" if f.key else f.text, f.remedy) for f in error.mistakes
        ]
        return [CheckResult("configuration", tuple(wrong))], EXIT_CONFIG
    from asd_agent.doctor.run import DoctorRun, Surroundings

    found = run_checks(DoctorRun(settings, path, Surroundings(user=user)).checks(), _progress)
    return found, EXIT_FAILED if worst(_all(found)) == "problem" else 0


def document(found: list[CheckResult]) -> dict[str, Any]:
    """Return the results as one JSON document."""
    from asd_agent.doctor.software import versions

    rows = [{"check": e.name, **asdict(f)} for e in found for f in e.findings]
    return {
        "ok": worst(_all(found)) != "problem",
        "worst": worst(_all(found)),
        "versions": versions(),
        "findings": rows,
    }


def lines(found: list[CheckResult]) -> list[str]:
    """Return the results for people: each finding, with its remedy below it."""
    text = []
    for finding in _all(found):
        text.append(f"{_SIGNS[finding.level]}  {finding.where}: {finding.what}")
        if finding.remedy:
            text.append(f"         → {finding.remedy}")
    counts = [sum(f.level == level for f in _all(found)) for level in ("problem", "warning")]
    text.append(f"{counts[0]} problems, {counts[1]} warnings")
    return text


def _all(found: list[CheckResult]) -> list[Finding]:
    return [finding for result in found for finding in result.findings]


def _progress(name: str) -> None:
    sys.stderr.write(f"checking {name} …\n")
    sys.stderr.flush()
