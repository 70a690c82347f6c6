"""asd-trainer import: long recordings of your own, cut into a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from asd_agent.commands.console import print_json, warn
from asd_agent.errors import DataError
from asd_trainer.data.layout import Domain, Label, Split
from asd_trainer.engine.progress import progress_bars
from asd_trainer.text import counted


def import_(
    recordings: Annotated[list[Path], typer.Argument(help="wav or flac files, any rate.", metavar="RECORDINGS...")],
    out: Annotated[Path, typer.Argument(help="Data set that the clips are written to.")],
    machine: Annotated[str, typer.Option(help="Machine type, such as fan.")],
    section: Annotated[str, typer.Option(help="Unit of the machine, two digits.")] = "00",
    domain: Annotated[str, typer.Option(help="source, or target for another condition.")] = "source",
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    label: Annotated[str, typer.Option(help="normal, or anomaly for faults to test with.")] = "normal",
    channel: Annotated[int | None, typer.Option(help="Only this channel, counted from 0.", min=0)] = None,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 10.0,
    recording_minutes: Annotated[
        float, typer.Option(help="Divide a longer file into recordings of about this length; one is held out whole.")
    ] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Cut recordings into clips with the official names. An interrupted call is resumed.

    Exit code 1 when a file cannot be read, or only in part; the others are imported.

    Example: asd-trainer import monday.wav tuesday.flac data --machine press --section 00
    """
    from asd_trainer.data.clip_destination import ClipDestination
    from asd_trainer.data.import_recordings import import_recordings

    destination = ClipDestination(
        out, machine, section, cast("Domain", domain), cast("Split", split), cast("Label", label)
    )
    with progress_bars("import") as progress:
        found = import_recordings(
            recordings,
            destination,
            channel=channel,
            seconds=seconds,
            recording_minutes=recording_minutes,
            progress=progress,
        )
    for one in found:
        for text in one.notes:
            warn(f"{one.path}: {text}")
        for text in one.problems:
            sys.stderr.write(f"error: {one.path}: {text}\n")
    if json:
        rows = [{**vars(one), "path": str(one.path), "told": one.notes} for one in found]
        print_json({"schema": 1, "folder": str(destination.folder), "recordings": rows})
    else:
        for one in found:
            parts = f" in {counted(one.parts, 'recording')}" if one.parts > 1 else ""
            sys.stdout.write(f"{one.path}: {counted(one.written, 'clip')} written, {one.kept} kept{parts}\n")
    if not any(one.written or one.kept for one in found):
        raise DataError("no clip could be cut from any recording", f"A clip takes {seconds:g} s of sound.")
    if any(one.problems for one in found):
        raise typer.Exit(1)
