"""asd-agent check: the configuration, the bundles it names and whether its alarms can come, before anything starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.alarm import earliest_alarm_seconds
from asd_agent.bundle import Bundle
from asd_agent.config import Config, FileSettings, MonitorSettings
from asd_agent.config_file import ConfigFileError, load_config
from asd_agent.console import print_json
from asd_agent.errors import EXIT_CONFIG, AsdError
from asd_agent.scoring.scorer import BundleScorer, check_golden
from asd_agent.scoring.sessions import Sessions


@dataclass
class Report:
    """What a check found: errors forbid a start, warnings do not, notes tell what to expect."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    strict: Annotated[bool, typer.Option("--strict", help="Warnings are errors.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Validate the configuration, verify its bundles, and say when its alarms would come at the earliest.

    Exit code 0 when the agent can start, 78 when it cannot.

    Example: asd-agent check -c agent.yaml --strict
    """
    report = Report()
    try:
        settings = load_config(config)
    except ConfigFileError as error:
        report.errors += str(error).splitlines()
    else:
        report = examine(settings)
    failed = bool(report.errors or (strict and report.warnings))
    if json:
        print_json({"ok": not failed, "errors": report.errors, "warnings": report.warnings, "notes": report.notes})
    else:
        for kind, lines in (("error", report.errors), ("warning", report.warnings)):
            for line in lines:
                sys.stderr.write(f"{kind}: {line}\n")
        for line in report.notes:
            sys.stdout.write(f"{line}\n")
        if not failed:
            sys.stdout.write(f"{config}: the agent can start\n")
    if failed:
        raise typer.Exit(EXIT_CONFIG)


def examine(config: Config) -> Report:
    """Check what a valid configuration refers to."""
    report = Report()
    bundles: dict[Path, Bundle] = {}
    sessions = Sessions(config.providers)
    for path in sorted({config.bundle_path(m.bundle) for m in config.monitors.values()}):
        try:
            bundle = Bundle.open(path)
            check_golden(BundleScorer(bundle, sessions))
        except AsdError as error:
            report.errors.append(str(error))
        else:
            bundles[path] = bundle
    for name, source in config.sources.items():
        if isinstance(source, FileSettings) and not source.path.exists():
            report.errors.append(f"source {name}: {source.path}: no such file or folder")
    for name, monitor in config.monitors.items():
        bundle_or_none = bundles.get(config.bundle_path(monitor.bundle))
        if bundle_or_none is not None:
            _examine_monitor(name, monitor, bundle_or_none, report)
    return report


def _examine_monitor(name: str, monitor: MonitorSettings, bundle: Bundle, report: Report) -> None:
    try:
        domains = bundle.domains(monitor.section, monitor.domain)
    except AsdError as error:
        report.errors.append(f"monitor {name}: {error}")
        return
    window, rule = bundle.manifest.window_seconds, monitor.alarm.raise_after
    earliest = earliest_alarm_seconds(monitor.alarm, monitor.hop_seconds, window)
    report.notes.append(
        f"monitor {name}: {bundle.manifest.machine} section {monitor.section}, {'/'.join(domains)}: "
        f"an alarm comes {earliest:g} s after a fault begins, at the earliest"
    )
    if (rule.k - 1) * monitor.hop_seconds < window:
        needed = 1 + -(-window // monitor.hop_seconds)
        report.warnings.append(
            f"monitor {name}: {rule.k} of {rule.n} at hop {monitor.hop_seconds:g} s share sound, so that one slam of a "
            f"door can raise an alarm. Let k be at least {needed:g}"
        )
    for domain in domains:
        if bundle.condition(monitor.section, domain).provisional:
            report.warnings.append(
                f"monitor {name}: the threshold of section {monitor.section}, {domain}, rests on "
                f"{bundle.condition(monitor.section, domain).clips} clips and is provisional"
            )
