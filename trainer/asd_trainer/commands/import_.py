"""asd-trainer import: long own recordings, cut into a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from asd_agent.commands.console import print_json, warn
from asd_agent.errors import DataError
from asd_trainer.data.layout import Domain, Label, Split
from asd_trainer.engine.progress import progress_bars


def import_(
    recordings: Annotated[list[Path], typer.Argument(help="wav or flac files, any rate.", metavar="RECORDINGS...")],
    out: Annotated[Path, typer.Argument(help="Data set that the clips go to.")],
    machine: Annotated[str, typer.Option(help="Machine type, such as fan.")],
    section: Annotated[str, typer.Option(help="The machine's unit, two digits.")] = "00",
    domain: Annotated[str, typer.Option(help="source, or target for another condition.")] = "source",
    split: Annotated[str, typer.Option(help="train or test.")] = "train",
    label: Annotated[str, typer.Option(help="normal, or anomaly for faults to test with.")] = "normal",
    channel: Annotated[int | None, typer.Option(help="Only this channel, counted from 0.", min=0)] = None,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Cut recordings into clips with the official names. What is left out is said; an interrupted call goes on.

    Example: asd-trainer import monday.wav tuesday.flac data --machine press --section 00
    """
    from asd_trainer.data.import_recordings import Place, cut

    place = Place(out, machine, section, cast("Domain", domain), cast("Split", split), cast("Label", label))
    with progress_bars("import") as progress:
        found = cut(recordings, place, channel=channel, seconds=seconds, progress=progress)
    for one in found:
        for text in one.told:
            warn(f"{one.path}: {text}")
    if json:
        rows = [{**vars(one), "path": str(one.path)} for one in found]
        print_json({"schema": 1, "folder": str(place.folder), "recordings": rows})
    else:
        for one in found:
            sys.stdout.write(f"{one.path}: {one.written} clips written, {one.kept} kept\n")
    if not any(one.written or one.kept for one in found):
        raise DataError("no clip came of any recording", f"A clip takes {seconds:g} s of sound.")
