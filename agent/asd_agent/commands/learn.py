"""asd-agent learn: a complete bundle from normal sound, without a workstation."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from asd_agent.commands.calibrate import needs_sklearn
from asd_agent.commands.console import print_json, warn
from asd_agent.commands.source_options import chosen_source, gate_of
from asd_agent.config.base import NAME
from asd_agent.errors import DataError, UsageError

if TYPE_CHECKING:
    from asd_agent.bundle import Bundle
    from asd_agent.calibrate.learn import Detector
    from asd_agent.calibrate.site import SiteSound

WINDOW_SAMPLES = 160_000
"""Ten seconds at 16 kHz: what one score judges."""
_NAMED = re.compile(r"section_(?P<section>\d{2})_(?:source_|target_)?(?:train_|test_)?(?P<label>normal|anomaly)?")


def learn(
    machine: Annotated[str, typer.Option(help="Machine type, such as fan.")],
    section: Annotated[str, typer.Option(help="Section, two digits: which unit of this type.")] = "00",
    clips: Annotated[
        list[Path] | None, typer.Option(help="Recordings or folders of normal sound; may be given again.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long to listen to the healthy machine.", min=2)] = 20.0,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="agent.yaml that names the source.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of agent.yaml; its only one by default.")] = None,
    device: Annotated[str | None, typer.Option(help="A microphone, by a name that `devices` lists.")] = None,
    file: Annotated[Path | None, typer.Option(help="A recording or a folder of them, heard as a microphone.")] = None,
    channel: Annotated[int, typer.Option(help="Channel of the device or the recordings.", min=0)] = 0,
    detector: Annotated[str, typer.Option(help="level, mel_statistics, indicators or mixed.")] = "mixed",
    alarms_per_day: Annotated[
        float | None,
        typer.Option(help="Wanted false alarms a day. Default: 1, or what the sound supports.", min=0.0001),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder that the bundle is written into.")] = Path("exported_models"),
    name: Annotated[str | None, typer.Option(help="Name of the bundle. Default: the machine.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Learn normal sound and write a bundle that monitors use, without training a network.

    Give a quarter of an hour and more of the healthy machine in all its usual conditions, better from several days.
    Where the service runs, it delivers the sound and goes on undisturbed.

    Example: asd-agent learn --machine fan --section 00 --clips data/fan/train
    """
    from rich.console import Console
    from rich.progress import Progress

    from asd_agent.audio.window_source import open_window_source
    from asd_agent.calibrate import learn as learning
    from asd_agent.calibrate.compose import ThresholdSettings
    from asd_agent.commands.normal_sound import NormalSound

    chosen = _checked(machine, section, name, detector)
    needs_sklearn("learn")
    if clips and any(x is not None for x in (config, source, device, file)):
        raise UsageError("both recordings and a source are given", "Give --clips, or a source to listen to.")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bars:
        if clips:
            normal = NormalSound(WINDOW_SAMPLES)
            origin = normal.read(_normal_clips(clips, section), channel, bars)
        else:
            state, source_name, settings = chosen_source(config, source, device, file, channel)
            normal = NormalSound(WINDOW_SAMPLES, gate_of(config, source_name, channel))
            origin = normal.listen(open_window_source(state, source_name, settings, channel), minutes, bars)
        sound = normal.whole()
        task = bars.add_task("learning", total=None)
        learnt = learning.learn(
            machine,
            section,
            sound,
            chosen,
            ThresholdSettings(false_alarms_per_day=alarms_per_day),
            lambda done, total: bars.update(task, completed=done, total=total),
        )
        bundle = learnt.write(out / (name or machine), name or machine)
    if json:
        print_json(
            {
                "schema": 1,
                "bundle": str(bundle.path),
                "digest": bundle.digest,
                "machine": machine,
                "section": section,
                "detector": detector,
                "windows": len(sound),
                "heard_from": origin,
                "condition": learnt.condition.model_dump(mode="json"),
            }
        )
    else:
        _print_result(bundle, sound, origin, detector, _source_lines(machine, config, source, device, file))
    if normal.failed:
        raise typer.Exit(1)


def _checked(machine: str, section: str, name: str | None, detector: str) -> Detector:
    from asd_agent.calibrate.learn import DETECTORS

    for option, value in (("--machine", machine), ("--name", name or machine)):
        if not NAME.match(value):
            raise UsageError(f"{option} {value!r} may hold only letters, digits, '_' and '-'")
    if not (len(section) == 2 and section.isdigit()):
        raise UsageError(f"--section {section!r} is not two digits")
    if detector not in DETECTORS:
        raise UsageError(f"--detector {detector!r} is not one of {', '.join(DETECTORS)}")
    return cast("Detector", detector)


def _normal_clips(paths: list[Path], section: str) -> list[Path]:
    """Return recordings without those that their names give to another section, or call anomalous.

    Raises:
        DataError: None is left.
    """
    from asd_agent.commands.normal_sound import sound_files

    found = sound_files(paths)
    named = [(p, _NAMED.match(p.name)) for p in found]
    kept = [p for p, match in named if match is None or (match["section"] == section and match["label"] != "anomaly")]
    if len(kept) < len(found):
        warn(f"{len(found) - len(kept)} of {len(found)} recordings are of another section or anomalous: left out")
    if not kept:
        raise DataError(f"{paths[0]}: no normal recording of section {section}", "Give --section, or other recordings.")
    return kept


def _source_lines(
    machine: str, config: Path | None, source: str | None, device: str | None, file: Path | None
) -> tuple[str, list[str]]:
    """Return the name of a source and its lines in agent.yaml; none where the configuration has it."""
    if config is not None:
        return source or "your source", []
    if file is not None:
        return "recording", [f"  recording: {{kind: file, path: {file}}}"]
    return f"{machine}-mic", [f'  {machine}-mic: {{kind: microphone, device: "{device or "hw:CARD=Device"}"}}']


def _print_result(bundle: Bundle, sound: SiteSound, origin: str, detector: str, source: tuple[str, list[str]]) -> None:
    from asd_agent.alarm.rate import rate_text

    condition = bundle.manifest.conditions[0]
    level, rule = condition.threshold, condition.threshold.rule
    assert rule is not None
    name, lines = source
    write = sys.stdout.write
    write(
        f"{bundle.path}: {detector}, section {condition.section}, from {len(sound)} windows "
        f"({len(sound) * bundle.manifest.window_seconds / 60:.1f} min) of {origin}\n"
        f"threshold {level.raise_level:.2f} spreads; false alarms by {rule.k} of {rule.n} "
        f"at hop {rule.hop_seconds:g} s: {rate_text(level)}\n"
        + (f"provisional: {condition.provisional_text}; add sound of other days\n" if condition.provisional else "")
        + f"\nInstall it:\n  asd-agent bundle install {bundle.path} -c /etc/asd-agent/agent.yaml\n"
        "\nLines of agent.yaml:\n"
    )
    if lines:
        write("sources:\n" + "\n".join(lines) + "\n")
    write(
        f"monitors:\n  {bundle.manifest.name}-{condition.section}: "
        f'{{source: {name}, bundle: {bundle.manifest.name}, section: "{condition.section}"}}\n'
    )
