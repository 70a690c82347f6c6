"""asd-trainer reproduce: train a bundle again from its own recipe, and compare."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from asd_agent.commands.console import print_json
from asd_trainer.commands.jobs import job_display
from asd_trainer.engine.progress import progress_bars


def reproduce(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    data: Annotated[Path, typer.Option(help="Data set that it was trained on.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of runs, so that an interrupted call can be resumed. Default: a temporary folder."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train a bundle again from its own recipe, seed and data, and check that both give the same scores.

    Exit code 0 if golden scores and thresholds agree within the tolerance of the manifest, else 1.

    Example: asd-trainer reproduce exported_models/fan --data data
    """
    from asd_trainer.evaluation.reproduce import reproduce as train_again

    with tempfile.TemporaryDirectory(prefix="asd-reproduce-") as folder:
        runs = out or Path(folder)
        with progress_bars("reproduce") as progress, job_display(1) as (_, on_status):
            found = train_again(bundle, data, runs, progress=progress, on_status=on_status)
    if json:
        print_json(found.document())
    else:
        for name, (then, now) in found.versions.items():
            sys.stdout.write(f"{name}: {then or 'absent'} then, {now or 'absent'} now\n")
        total = len(found.same_files) + len(found.other_files)
        sys.stdout.write(
            f"{len(found.same_files)} of {total} files equal byte by byte; golden scores differ by at most "
            f"{found.score_difference:.2g}, thresholds by {found.threshold_difference:.2g} (tolerance "
            f"{found.tolerance:.2g})\n{bundle}: {'reproduced' if found.same else 'NOT reproduced'}\n"
        )
    if not found.same:
        raise typer.Exit(1)
