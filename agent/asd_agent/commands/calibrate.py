"""asd-agent calibrate: a domain of its own for the place where the box stands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asd_agent.commands.console import print_json, warn
from asd_agent.commands.judged_alarms import JudgedAlarm, JudgedChange, changes, judged_alarms
from asd_agent.config.file import load_config
from asd_agent.config.model import MonitorSettings
from asd_agent.errors import UsageError

if TYPE_CHECKING:
    from asd_agent.bundle import Bundle
    from asd_agent.bundle.manifest import DomainName
    from asd_agent.bundle.overlay import SiteOverlay
    from asd_agent.calibrate.difference import Difference
    from asd_agent.calibrate.site import SiteSound
    from asd_agent.commands.normal_sound import NormalSound
    from asd_agent.config.model import Config


def calibrate(
    monitor: Annotated[str, typer.Argument(help="Monitor of agent.yaml.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration.")] = Path(
        "/etc/asd-agent/agent.yaml"
    ),
    minutes: Annotated[float, typer.Option(help="How long to listen to the healthy machine.", min=0.5)] = 20.0,
    clips: Annotated[
        list[Path] | None, typer.Option(help="Recordings or folders of normal sound, instead of listening.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="Domain to start from: source or target.")] = None,
    alarms_per_day: Annotated[
        float | None,
        typer.Option(
            "--alarms-per-day",
            "--false-alarms-per-day",
            help="Wanted false alarms a day. Default: alarm.alarms_per_day of the monitor.",
            min=0.0001,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show how the site differs and write nothing.")] = False,
    with_false_alarms: Annotated[
        bool, typer.Option("--with-false-alarms", help="Take sound of alarms judged false as normal.")
    ] = False,
    draft: Annotated[
        Path | None, typer.Option(help="Write the calibration into this new folder, where nothing uses it.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last calibration back.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Fit scorers and threshold to normal sound of this very place, for monitors with `domain: site`.

    Networks and the bundle stay as they are. Give a quarter of an hour and more of the healthy machine in all its usual
    conditions. The service takes it up when it is reloaded (systemctl reload asd-agent).

    Example: asd-agent calibrate press-3-fan -c agent.yaml --minutes 20
    """
    from asd_agent.bundle import Bundle
    from asd_agent.bundle.overlay import overlay_folder
    from asd_agent.bundle.overlay import undo as take_back

    settings = load_config(config)
    if monitor not in settings.monitors:
        raise UsageError(f"{monitor!r} is no monitor of {config}", f"It has: {', '.join(sorted(settings.monitors))}.")
    wanted = settings.monitors[monitor]
    path = settings.bundle_path(wanted.bundle)
    bundle = Bundle.open(path.resolve())
    folder = overlay_folder(settings.paths.state, bundle, wanted.section)
    if undo:
        left = take_back(folder)
        now = "the one before counts" if left else "there is none any more: `domain: site` cannot be used"
        if json:
            print_json({"schema": 1, "undone": True, "left": left})
        else:
            sys.stdout.write(f"the last calibration of {monitor} is taken back; {now}\n")
        return
    needs_sklearn("calibrate")
    base = _like(like, wanted)
    judged: list[JudgedAlarm] = []
    if with_false_alarms:
        judged = judged_alarms(settings.paths.state, monitor, bundle.manifest.window_samples)
        if not any(a.verdict == "false" for a in judged):
            raise UsageError(
                f"no alarm of {monitor} with recorded sound is judged false",
                "Judge alarms first: asd-agent alerts verdict MONITOR false.",
            )
    if draft is not None and (dry_run or draft.exists()):
        raise UsageError(f"--draft {draft} cannot be written", "Name a new folder, and leave --dry-run out.")
    overlay, difference, place, changed, normal = _calibrate(
        settings, monitor, bundle, base, minutes, clips, alarms_per_day, None if dry_run else draft or folder, judged
    )
    level = overlay.condition.threshold
    if json:
        from asd_agent.alarm.rate import rate_text

        print_json(
            {
                "schema": 1,
                "monitor": monitor,
                "overlay": str(place) if place else None,
                "bundle": bundle.digest,
                "section": wanted.section,
                "like": base,
                "windows": overlay.condition.clips,
                "left_out": normal.left_out,
                "provisional": overlay.condition.provisional,
                "threshold": level.raise_level,
                "window_rate": level.window_rate,
                "false_alarms_per_day": level.false_alarms_per_day,
                "upper_per_day": level.upper_per_day,
                "upper_alone_per_day": level.upper_alone_per_day,
                "least_per_day": level.least_per_day,
                "wanted_per_day": level.wanted_per_day,
                "attainable": level.attainable,
                "rate": rate_text(level),
                "difference": asdict(difference),
                "judged_alarms": [asdict(c) for c in changed],
            }
        )
    else:
        _print_result(monitor, base, overlay, difference, place, wanted, changed, is_draft=draft is not None)
    if normal.failed:
        raise typer.Exit(1)


def _calibrate(
    settings: Config,
    monitor: str,
    bundle: Bundle,
    like: DomainName,
    minutes: float,
    clips: list[Path] | None,
    per_day: float | None,
    folder: Path | None,
    judged: Sequence[JudgedAlarm] = (),
) -> tuple[SiteOverlay, Difference, Path | None, list[JudgedChange], NormalSound]:
    from rich.console import Console
    from rich.progress import Progress

    from asd_agent.alarm.rate import rule_of
    from asd_agent.audio.window_source import open_window_source
    from asd_agent.bundle.overlay import SiteOverlay, add_overlay, apply_overlay
    from asd_agent.bundle.references import EXPORT_AGAIN, overwritten_references, overwritten_text
    from asd_agent.calibrate.difference import compare_site
    from asd_agent.calibrate.site import calibrate_site
    from asd_agent.commands.normal_sound import NormalSound
    from asd_agent.commands.source_options import gate_level
    from asd_agent.inference.isolated_check import check_foreign
    from asd_agent.inference.provider_check import check_providers
    from asd_agent.inference.providers import Sessions
    from asd_agent.inference.scorer import BundleScorer

    wanted = settings.monitors[monitor]
    bundle.condition(wanted.section, like)
    check_foreign(bundle, settings.providers)
    scorer = check_providers(bundle, settings.providers).scorer
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bars:
        normal = NormalSound(bundle.manifest.window_samples, gate_level([wanted]))
        if clips:
            origin = normal.read(clips, wanted.channel, bars)
        else:
            kind = settings.sources[wanted.source]
            source = open_window_source(settings.paths.state, wanted.source, kind, wanted.channel)
            origin = normal.listen(source, minutes, bars)
        sound = normal.whole()
        sound, origin = _with_false_alarms(sound, origin, judged)
        if damaged := overwritten_references(bundle):
            warn(f"{bundle.path}: {overwritten_text(damaged)}; they are computed anew. {EXPORT_AGAIN}")
        task = bars.add_task("fitting", total=None)
        condition, arrays = calibrate_site(
            scorer,
            wanted.section,
            like,
            sound,
            false_alarms_per_day=wanted.alarm.alarms_per_day if per_day is None else per_day,
            rule=rule_of(wanted, bundle.manifest.window_seconds),
            progress=lambda done, total: bars.update(task, completed=done, total=total),
        )
        difference = compare_site(scorer, wanted.section, like, sound)
    overlay = SiteOverlay(
        base=bundle.digest,
        bundle=bundle.manifest.name,
        machine=bundle.manifest.machine,
        section=wanted.section,
        like=like,
        created=datetime.now(timezone.utc).replace(microsecond=0),
        heard_seconds=len(sound) * bundle.manifest.window_seconds,
        heard_from=origin,
        condition=condition,
        report=asdict(difference),
    )
    changed: list[JudgedChange] = []
    if judged:
        after = BundleScorer(apply_overlay(bundle, condition, arrays), Sessions(settings.providers))
        changed = changes(judged, scorer, after, wanted.section, like)
    place = add_overlay(folder, overlay, arrays) if folder else None
    return overlay, difference, place, changed, normal


def _with_false_alarms(sound: SiteSound, origin: str, judged: Sequence[JudgedAlarm]) -> tuple[SiteSound, str]:
    """Return the sound with that of alarms judged false; each alarm is a recording of its own."""
    import numpy as np

    from asd_agent.calibrate.site import SiteSound

    false = [alarm for alarm in judged if alarm.verdict == "false"]
    if not false:
        return sound, origin
    names = [f"alarm {alarm.alarm_id}" for alarm in false for _ in alarm.windows]
    windows = np.concatenate([sound.windows, *(alarm.windows for alarm in false)])
    whole = SiteSound(
        windows,
        [*sound.recordings, *names],
        [*sound.follows, *(False for _ in names)],
        [*sound.operating, *("" for _ in names)],
    )
    return whole, f"{origin} and {len(false)} alarms judged false"


def _like(like: str | None, wanted: MonitorSettings) -> DomainName:
    chosen = like or (wanted.domain if wanted.domain in ("source", "target") else "source")
    if chosen == "source":
        return "source"
    if chosen == "target":
        return "target"
    raise UsageError(f"--like {chosen!r} is not one of source, target")


def needs_sklearn(command: str) -> None:
    """Refuse to fit where scikit-learn is not installed.

    Raises:
        UsageError: It is not.
    """
    from importlib.util import find_spec

    if find_spec("sklearn") is None:
        raise UsageError(
            f"{command} needs scikit-learn", "Install it with the agent: make upgrade EXTRAS=metrics,calibrate."
        )


def _print_result(
    monitor: str,
    like: str,
    overlay: SiteOverlay,
    difference: Difference,
    place: Path | None,
    wanted: MonitorSettings,
    changed: Sequence[JudgedChange] = (),
    *,
    is_draft: bool = False,
) -> None:
    from asd_agent.alarm.rate import rate_text

    condition, level = overlay.condition, overlay.condition.threshold
    after = wanted.alarm.raise_after
    low, high = difference.usual_level_dbfs
    lines = [
        f"{condition.clips} windows ({overlay.heard_seconds / 60:.1f} min) from {overlay.heard_from}",
        f"level {difference.level_dbfs:.1f} dBFS (the bundle's calibration: {low:.0f} to {high:.0f})",
        f"by the bundle's {like} domain: scores {difference.shift_spreads:+.1f} spreads from its normal clips'",
        f"{100 * difference.over_threshold:.0f} % above its threshold",
        f"separated from its normal clips in {100 * difference.separation:.0f} of 100 pairs (50: sounds alike)",
    ]
    if difference.bands:
        lines.append(f"what differs: {difference.bands}")
    lines += [f"warning: {text}" for text in difference.warnings]
    few = f", provisional: {condition.provisional_text}" if condition.provisional else ""
    lines.append(
        f"threshold {level.raise_level:.2f} spreads{few}: {100 * level.window_rate:.1f} % of normal windows above it, "
        f"false alarms by {after.k} of {after.n}: {rate_text(level)}"
    )
    for change in changed:
        lines.append(
            f"alarm {change.alarm_id}, judged {change.verdict}: "
            f"{change.over_before} windows over the level now, {change.over_after} with this calibration"
        )
    if place is None:
        lines.append("nothing was written (--dry-run)")
    elif is_draft:
        lines.append(f"written to {place}; nothing uses it")
    else:
        lines.append(f"written to {place}; `--undo` takes it back")
        if wanted.domain != "site":
            lines.append(f"to use it, set `domain: site` in monitor {monitor}")
        lines.append("a running service takes it up when it is reloaded: systemctl reload asd-agent")
    sys.stdout.write("\n".join(lines) + "\n")
