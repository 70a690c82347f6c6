"""asd-agent score: recordings through the same code that listens."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from asd_agent.audio.files import read_clip
from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.overlay import with_site
from asd_agent.commands.console import print_json, warn
from asd_agent.errors import AsdError, UsageError
from asd_agent.inference.scorer import BundleScorer, WindowScore, score_long


def score(
    clips: Annotated[list[Path], typer.Argument(help="wav or flac recordings of at least 10 s.", metavar="CLIP...")],
    bundle: Annotated[Path, typer.Option("--bundle", "-b", help="Folder of the bundle.")],
    section: Annotated[str, typer.Option(help="Section, two digits.")] = "00",
    domain: Annotated[str, typer.Option(help="source, target, site, or auto.")] = "source",
    state: Annotated[
        Path, typer.Option(help="For --domain site: paths.state of the agent that was calibrated.")
    ] = Path("/var/lib/asd-agent"),
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Score recordings and show what stood out in them.

    A clip longer than 10 s gets the mean of its windows. Exit code 1 when a clip could not be scored.

    Example: asd-agent score fan_*.wav --bundle exported_models/fan --section 00 --domain source
    """
    if domain not in ("source", "target", SITE, "auto"):
        raise UsageError(f"--domain {domain!r} is not one of source, target, site, auto")
    opened = Bundle.open(bundle)
    scorer = BundleScorer(with_site(opened, state, section) if domain == SITE else opened)
    scorer.bundle.domains(section, domain)
    rows: list[dict[str, Any]] = []
    failed = 0
    for clip in clips:
        try:
            rows.append(_score_clip(scorer, clip, section, domain))
        except AsdError as error:
            failed += 1
            sys.stderr.write(f"asd-agent: {error}\n")
    if json:
        digest = scorer.bundle.digest
        print_json({"schema": 1, "bundle": digest, "machine": scorer.bundle.manifest.machine, "clips": rows})
    elif rows:
        _print_table(rows)
    if failed:
        raise typer.Exit(1)


def _score_clip(scorer: BundleScorer, clip: Path, section: str, domain: str) -> dict[str, Any]:
    audio = read_clip(clip)
    for warning in audio.warnings:
        warn(warning)
    needed = scorer.bundle.manifest.window_samples
    if len(audio.samples) < needed:
        rate = scorer.bundle.manifest.sample_rate
        raise AsdError(
            f"{clip}: {len(audio.samples) / rate:.1f} s is shorter than a window of {needed / rate:g} s",
            "Record at least that much.",
        )
    got: WindowScore = score_long(scorer, audio.samples, section, domain, explained="all")
    return {
        "clip": str(clip),
        "score": got.score,
        "threshold": got.threshold,
        "anomalous": got.score > got.threshold,
        "domain": got.domain,
        "experts": got.experts,
        "explanation": got.explanation.text if got.explanation else "",
        "warnings": list(audio.warnings),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("clip", "score", "threshold", "verdict", "stood out")
    table.columns[1].justify = table.columns[2].justify = "right"
    for row in rows:
        verdict = "[red]anomalous[/]" if row["anomalous"] else "[green]normal[/]"
        table.add_row(row["clip"], f"{row['score']:.2f}", f"{row['threshold']:.2f}", verdict, row["explanation"])
    Console(width=None if sys.stdout.isatty() else 140).print(table)
