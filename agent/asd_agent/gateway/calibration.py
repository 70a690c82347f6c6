"""Raise level chosen from a replay and stored as a site calibration; `asd-agent calibrate --undo` removes it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.overlay import SiteOverlay, add_overlay, overlay_folder, overlay_numbers, read_overlay
from asd_agent.config.model import Config
from asd_agent.errors import AsdError

LEAST_HOURS = 1.0
"""Stored windows that a level must have been tried on."""


def apply_level(config: Config, monitor: str, level: float, replayed: dict[str, Any], by: str) -> dict[str, Any]:
    """Write a site calibration that differs from the present condition in its levels alone.

    Args:
        config: The configuration.
        monitor: Name of the monitor.
        level: The raise level; the clear level keeps its distance.
        replayed: Answer of the replay with this level.
        by: Person who confirmed it.

    Returns:
        `before` and `level`, `in_use` (whether the monitor's domain is `site`, so that a reload takes it up), and
        `lines` of agent.yaml that a person still has to write.

    Raises:
        AsdError: The history is too short, the monitor's domain is `auto`, or the bundle cannot be read.
    """
    settings = config.monitors[monitor]
    if replayed["hours"] < LEAST_HOURS:
        raise AsdError(
            f"the history of {monitor} holds {replayed['hours']:g} h of windows", "A level needs an hour and more."
        )
    if settings.domain == "auto":
        raise AsdError(f"monitor {monitor} has `domain: auto`", "Choose source, target or site in agent.yaml first.")
    bundle = Bundle.open(config.bundle_path(settings.bundle).resolve())
    folder = overlay_folder(config.paths.state, bundle, settings.section)
    numbers = overlay_numbers(folder)
    if settings.domain == SITE and numbers:
        base, arrays = read_overlay(folder / f"{numbers[-1]:04d}", bundle)
        condition, like, seconds = base.condition, base.like, base.heard_seconds
    else:
        like = "target" if settings.domain == "target" else "source"
        condition = bundle.condition(settings.section, like).model_copy(update={"domain": SITE})
        arrays, seconds = dict(bundle.scorers), replayed["hours"] * 3600.0
    before = condition.threshold
    days = max(replayed["hours"] / 24.0, 1e-9)
    threshold = before.model_copy(
        update={
            "raise_level": level,
            "clear_level": level - (before.raise_level - before.clear_level),
            "window_rate": min(max(replayed["share_over"] or 0.0, 0.0), 1.0),
            "false_alarms_per_day": replayed["count"] / days,
            "upper_per_day": None,
            "least_per_day": None,
            "attainable": None,
            "basis": "streams",
            "hours": replayed["hours"],
            "recordings": None,
        }
    )
    overlay = SiteOverlay(
        base=bundle.digest,
        bundle=bundle.manifest.name,
        machine=bundle.manifest.machine,
        section=settings.section,
        like=like,
        created=datetime.now(timezone.utc).replace(microsecond=0),
        heard_seconds=max(seconds, 1.0),
        heard_from="a replay of the history",
        condition=condition.model_copy(update={"threshold": threshold}),
        report={"level_before": before.raise_level, "level": level, "by": by},
    )
    add_overlay(folder, overlay, arrays)
    rule, wanted = settings.alarm.raise_after, replayed["rule"]
    lines = [] if settings.domain == SITE else ["domain: site"]
    if (rule.k, rule.n) != (wanted["k"], wanted["n"]):
        lines.append(f"alarm: {{raise_after: {wanted['k']} of {wanted['n']}}}")
    return {"before": before.raise_level, "level": level, "in_use": settings.domain == SITE, "lines": lines}
