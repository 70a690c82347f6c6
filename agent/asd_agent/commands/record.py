"""asd-agent record: normal sound as a data set to train from."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.audio.quality import FLOOR_DBFS
from asd_agent.audio.recording import CLIP_SAMPLES, CLIP_SECONDS, ClipCounts, ClipFolder, record_clips
from asd_agent.audio.window_source import open_window_source
from asd_agent.commands.console import MinuteLines, print_json, report_error
from asd_agent.commands.source_options import chosen_source, gate_of
from asd_agent.config.base import NAME
from asd_agent.config.sources import SourceKind
from asd_agent.errors import AudioError, UsageError


def record(
    machine: Annotated[str, typer.Option(help="Machine type, such as fan.")],
    out: Annotated[Path, typer.Option(help="The data set's folder; clips that are there are continued.")] = Path(
        "data"
    ),
    section: Annotated[str, typer.Option(help="Section, two digits: which unit of this type.")] = "00",
    domain: Annotated[str, typer.Option(help="source or target.")] = "source",
    minutes: Annotated[
        float, typer.Option(help="Minutes of sound in all, with the clips that are there.", min=0.1)
    ] = 20.0,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="agent.yaml that names the source.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of agent.yaml; its only one by default.")] = None,
    device: Annotated[str | None, typer.Option(help="A microphone, by a name that `devices` lists.")] = None,
    file: Annotated[Path | None, typer.Option(help="A recording or a folder of them, instead of a microphone.")] = None,
    channel: Annotated[int, typer.Option(help="Channel of the device.", min=0)] = 0,
    give_up_minutes: Annotated[
        float,
        typer.Option(help="End after so many minutes of sound in a row of which nothing is fit to keep.", min=0.1),
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Record 10 s clips of a healthy machine, laid out so that asd-trainer trains from the folder as it is.

    Where the service runs, it delivers the sound and goes on undisturbed. Windows with a gap, silence, clipping or NaN
    are refused and counted, and those of a stop by `active_when`. The same command continues an interrupted recording.
    Exit code 1 where there are fewer clips than wanted, or a recording could not be read.

    Example: asd-agent record -c agent.yaml --machine fan --section 00 --minutes 20 --out data
    """
    folder = _folder(out, machine, section, domain)
    state, name, settings = chosen_source(config, source, device, file, channel)
    gate = gate_of(config, name, channel)
    wanted = max(1, round(minutes * 60 / CLIP_SECONDS))
    there = len(folder.numbers())
    if there:
        sys.stderr.write(f"{folder.train}: {there} clips of section {section}, {domain}, are there already\n")
    counts = ClipCounts()
    skipped: list[str] = []
    try:
        if there < wanted:
            skipped = _listen(state, name, settings, channel, folder, wanted - there, counts, gate, give_up_minutes)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the same command continues\n")
    whole = there + counts.kept
    document: dict[str, Any] = {
        "schema": 1,
        "folder": str(folder.folder),
        "machine": machine,
        "section": section,
        "domain": domain,
        "clips": whole,
        "recorded": counts.kept,
        "refused": dict(counts.refused),
        "wanted": wanted,
    }
    if json:
        print_json(document)
    else:
        refused = ", ".join(f"{count} for {why}" for why, count in counts.refused.most_common()) or "none"
        sys.stdout.write(
            f"{folder.train}: {whole} of {wanted} clips ({counts.kept} recorded now); windows refused: {refused}\n"
        )
    for text in skipped:
        report_error("asd-agent", AudioError(text))
    if whole < wanted or skipped:
        raise typer.Exit(1)


def _folder(out: Path, machine: str, section: str, domain: str) -> ClipFolder:
    if not NAME.match(machine):
        raise UsageError(f"--machine {machine!r} may hold only letters, digits, '_' and '-'")
    if not (len(section) == 2 and section.isdigit()):
        raise UsageError(f"--section {section!r} is not two digits")
    if domain not in ("source", "target"):
        raise UsageError(f"--domain {domain!r} is not one of source, target")
    return ClipFolder(out, machine, section, domain, datetime.now(timezone.utc).strftime("%Y%m%dT%H%M"))


def _listen(
    state: Path | None,
    name: str,
    settings: SourceKind,
    channel: int,
    folder: ClipFolder,
    wanted: int,
    counts: ClipCounts,
    gate: float | None,
    give_up_minutes: float,
) -> list[str]:
    """Record until so many clips are there, the recording is over, or nothing is fit to keep for too long.

    Returns:
        Recordings that could not be read, or only in part, with the reason.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    window_source = open_window_source(state, name, settings, channel)
    console = Console(stderr=True)
    lines = MinuteLines(terminal=console.is_terminal)
    unfit = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
            task = bars.add_task(f"listening to {window_source.where}", total=wanted)
            lines.write(f"listening to {window_source.where}, {wanted} clips are wanted")
            for _window, quality in record_clips(window_source.windows(CLIP_SAMPLES), folder, wanted, counts, gate):
                level = "silence" if quality.level_dbfs <= FLOOR_DBFS else f"{quality.level_dbfs:.1f} dBFS"
                verdict = f"refused: {', '.join(quality.reasons)}" if quality.reasons else "kept"
                text = f"{window_source.where}: {level}, {verdict}"
                bars.update(task, completed=counts.kept, description=text)
                lines.write(f"{counts.kept} of {wanted} clips; {text}")
                unfit = unfit + 1 if quality.reasons else 0
                # A recording ends by itself, however long it is silent in between.
                if settings.is_live and unfit * CLIP_SECONDS >= 60 * give_up_minutes:
                    raise AudioError(
                        f"{window_source.where}: nothing was fit to keep for {give_up_minutes:g} min "
                        f"({', '.join(quality.reasons)}); {counts.kept} of {wanted} clips are recorded",
                        "Is the microphone muted, overloaded or unplugged? `asd-agent doctor` tests it.",
                    )
    finally:
        window_source.close()
    return window_source.skipped
