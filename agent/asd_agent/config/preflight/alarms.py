"""Preflight of monitors and their alarms: sections that exist, alarms that can be raised, gates that can open."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.alarm import earliest_alarm_seconds
from asd_agent.alarm.faults_found import found_text
from asd_agent.alarm.rate import rate_text, rule_of, threshold_under
from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.manifest import Condition
from asd_agent.bundle.overlay import with_site
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import Config, LevelGate, MonitorSettings
from asd_agent.config.preflight.guard import guarded
from asd_agent.errors import AsdError

RATE_MARGIN = 3.0
"""A rate within this factor of the wanted one is as wanted: no level keeps closer with a day of sound."""


def preflight_monitors(config: Config, bundles: Mapping[Path, Bundle]) -> list[Finding]:
    """Check every monitor; where its bundle is not there, only what needs none."""
    found: list[Finding] = []
    seen: dict[tuple[object, ...], str] = {}
    for name, monitor in config.monitors.items():
        same = (monitor.source, monitor.channel, config.bundle_path(monitor.bundle), monitor.section, monitor.domain)
        other = seen.setdefault(same, name)
        if other != name:
            text = f"monitors the same as monitor {other!r}, through the same channel"
            found.append(warning(f"monitors.{name}", text, "Each alarm would be raised twice; remove one of them"))
        bundle = bundles.get(config.bundle_path(monitor.bundle))
        if bundle is not None:
            found += guarded(f"monitors.{name}", partial(_monitor, name, monitor, bundle, config.paths.state))
    for name in config.sources:
        if all(m.source != name for m in config.monitors.values()):
            found.append(warning(f"sources.{name}", "no monitor listens to it", "Remove it, or name it in a monitor"))
    if config.monitors and all(s.ends for s in config.sources.values()):
        found.append(ok("sources", "all are recordings: the agent ends when they are over"))
    return found


def _monitor(name: str, monitor: MonitorSettings, bundle: Bundle, state: Path) -> list[Finding]:
    try:
        if monitor.domain == SITE:
            bundle = with_site(bundle, state, monitor.section)
        domains = bundle.domains(monitor.section, monitor.domain)
    except AsdError as error:
        known = any(c.section == monitor.section for c in bundle.manifest.conditions)
        return [problem(f"monitors.{name}.{'domain' if known else 'section'}", error.what, error.remedy)]
    conditions = [bundle.condition(monitor.section, d) for d in domains]
    return [
        *_delays(name, monitor, bundle, domains),
        *_trust(name, monitor, bundle, conditions),
        *_gate(name, monitor, conditions),
    ]


def _delays(name: str, monitor: MonitorSettings, bundle: Bundle, domains: list[str]) -> list[Finding]:
    window, hop, alarm = bundle.manifest.window_seconds, monitor.hop_seconds, monitor.alarm
    rule = alarm.raise_after
    earliest = earliest_alarm_seconds(alarm, hop, window)
    machine = f"{bundle.manifest.machine} section {monitor.section}, {'/'.join(domains)}"
    found = [ok(f"monitors.{name}", f"{machine}: an alarm comes {earliest:g} s after a fault begins, at the earliest")]
    if (rule.k - 1) * hop < window:
        needed = 1 + -(-window // hop)
        text = f"{rule.k} of {rule.n} at hop {hop:g} s share sound, so that one slam of a door can raise an alarm"
        found.append(warning(f"monitors.{name}.alarm.raise_after", text, f"Let k be at least {needed:g}"))
    if hop > window:
        text = f"between windows {hop - window:g} s of every {hop:g} s are not heard"
        found.append(warning(f"monitors.{name}.hop_seconds", text, f"Let it be at most {window:g}"))
    if alarm.realarm_minutes is not None and alarm.realarm_minutes * 60 < hop:
        text = f"an alarm is repeated every {alarm.realarm_minutes * 60:g} s, more often than windows come"
        found.append(warning(f"monitors.{name}.alarm.realarm_minutes", text, "Let it be minutes"))
    return found


def _trust(name: str, monitor: MonitorSettings, bundle: Bundle, conditions: list[Condition]) -> list[Finding]:
    found = []
    rule = rule_of(monitor, bundle.manifest.window_seconds)
    for c in conditions:
        where = f"section {c.section}, {c.domain}"
        if c.provisional:
            text = f"the threshold of {where} is provisional: {c.provisional_text}"
            found.append(
                warning(
                    f"monitors.{name}", text, "Record more normal sound, of several days, and export or calibrate again"
                )
            )
        reference = bundle.scorers.get(c.reference)
        if reference is None or not _is_usable(reference):
            continue  # the check of the bundle names it
        level = threshold_under(c.threshold, reference, rule)
        text = f"false alarms of {where} by {rule.k} of {rule.n}: {rate_text(level)}"
        if level.false_alarms_per_day > RATE_MARGIN * level.wanted_per_day:
            found.append(warning(f"monitors.{name}", text, "Calibrate the monitor, or let k be larger"))
        else:
            found.append(ok(f"monitors.{name}", text))
        if faults := found_text(bundle.manifest.metrics, c.section, c.domain):
            found.append(ok(f"monitors.{name}", f"{where}: {faults}"))
    return found


def _is_usable(reference: npt.NDArray[Any]) -> bool:
    numbers = reference.dtype.kind in "biuf" and reference.ndim == 1 and reference.size > 0
    return numbers and bool(np.isfinite(reference).all())


def _gate(name: str, monitor: MonitorSettings, conditions: list[Condition]) -> list[Finding]:
    gate = monitor.active_when
    if not isinstance(gate, LevelGate):
        return []
    key = f"monitors.{name}.active_when.level_above_dbfs"
    low, high = min(c.level_dbfs[0] for c in conditions), max(c.level_dbfs[1] for c in conditions)
    trained = f"in training the machine was between {low:.1f} and {high:.1f} dBFS"
    if gate.level_above_dbfs >= high:
        text = f"the machine never counts as running: {trained}, the gate opens above {gate.level_above_dbfs:g}"
        return [problem(key, text, f"Set it below {low:.1f}, above the level of the machine at rest")]
    if gate.level_above_dbfs > low:
        text = f"a quiet machine counts as stopped: {trained}, the gate opens above {gate.level_above_dbfs:g}"
        return [warning(key, text, f"Set it below {low:.1f}, above the level of the machine at rest")]
    return []
