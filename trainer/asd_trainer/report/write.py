"""Puts the page together: one file that needs no network, no server and no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import soundfile
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from asd_agent.audio.files import SAMPLE_RATE, Signal, read_clip
from asd_agent.features.log_mel import FeatureSpec, mel_centres
from asd_agent.inference.members import WindowFeatures
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer, score_long
from asd_agent.whole_files import whole_file
from asd_trainer.engine.progress import StageProgress
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.evaluation.table import make_table
from asd_trainer.evaluation.table_text import legend, table_rows
from asd_trainer.report import plots
from asd_trainer.report.gather import CellReport, Judged, RunReport, gather
from asd_trainer.report.verdicts import Sentence, sentences, weakest

CLIPS = 1
"""Misses, and as many false alarms, that are shown of each cell: the worst. Each takes some 150 kB of the page."""


@dataclass(frozen=True)
class ShownClip:
    """A clip that was judged wrongly, to be looked at and heard."""

    title: str
    words: str
    picture: str
    sound: str


@dataclass(frozen=True)
class ShownCell:
    """One section and domain."""

    cell: CellReport
    sentences: tuple[Sentence, ...]
    histogram: str
    misses: tuple[ShownClip, ...]
    false_alarms: tuple[ShownClip, ...]


@dataclass(frozen=True)
class ShownRun:
    """One run."""

    run: RunReport
    cells: tuple[ShownCell, ...]
    rocs: dict[str, str]
    curves: str | None
    chosen: tuple[str, ...]


def write_report(
    evaluations: Sequence[Evaluation],
    path: Path,
    *,
    reference: str | None = None,
    clips: int = CLIPS,
    progress: StageProgress | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        evaluations: Of any recipes, seeds, machines and data sets. All stand in the table; of each recipe and machine
            the first seed is shown in detail.
        path: The HTML file.
        reference: Recipe that the table compares with.
        clips: How many misses and false alarms of each cell are shown.
        progress: Told of each run.

    Raises:
        DataError: Nothing was evaluated, or score files or clips are gone.
    """
    table = make_table(evaluations, reference)
    first: dict[tuple[str, str, str], Evaluation] = {}
    for one in sorted(evaluations, key=lambda e: e.run.seed):
        first.setdefault((str(one.run.data), one.run.machine, one.run.recipe), one)
    shown = []
    for done, one in enumerate(first.values()):
        if progress:
            progress("report: clips drawn", done, len(first))
        shown.append(_shown(gather(one), clips))
    cells = [(f"{s.run.evaluation.run.name}, {c.cell.title}", c.cell) for s in shown for c in s.cells]
    environment = Environment(
        loader=PackageLoader("asd_trainer", "report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        table=table,
        table_rows=table_rows(table),
        legend=legend(table),
        weakest=weakest(cells),
        runs=shown,
    )
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _shown(run: RunReport, clips: int) -> ShownRun:
    scorer = BundleScorer(run.bundle, Sessions(threads=2))
    source = {c.condition.section: c for c in run.cells if c.condition.domain == "source"}
    cells = []
    for cell in run.cells:
        other = source.get(cell.condition.section) if cell.condition.domain != "source" else None
        cells.append(
            ShownCell(
                cell,
                tuple(sentences(cell, other)),
                plots.histogram(cell),
                tuple(_clip(scorer, cell, j) for j in cell.misses(clips)),
                tuple(_clip(scorer, cell, j) for j in cell.false_alarms(clips)),
            )
        )
    by_section: dict[str, dict[str, CellReport]] = {}
    for cell in run.cells:
        by_section.setdefault(f"section {cell.condition.section}", {})[cell.condition.domain] = cell
    rocs = {title: plots.roc(chosen) for title, chosen in by_section.items()}
    return ShownRun(run, tuple(cells), rocs, plots.curves(run.curves) if run.curves else None, _chosen(run))


def _clip(scorer: BundleScorer, cell: CellReport, judged: Judged) -> ShownClip:
    signal = read_clip(judged.clip.path).samples
    section, domain = cell.condition.section, cell.condition.domain
    got = score_long(scorer, signal, section, domain, explained="all")
    window = signal[: scorer.bundle.manifest.window_samples]
    excess = scorer.anomaly_map(window[None], section, domain)
    spec = excess.spec if excess else _any_spec(scorer)
    picture = plots.spectrogram(
        WindowFeatures(window[None]).log_mel(spec)[0],
        excess.cells[0] if excess else None,
        mel_centres(spec).tolist(),
        len(window) / SAMPLE_RATE,
        unit=excess.unit if excess else "",
    )
    return ShownClip(
        f"{judged.clip.path.name}: score {judged.score:.2f}, threshold {cell.level:.2f}",
        got.explanation.text if got.explanation else "",
        picture,
        _sound(window),
    )


def _any_spec(scorer: BundleScorer) -> FeatureSpec:
    return next((m.features for m in scorer.bundle.manifest.members if m.features), FeatureSpec())


def _sound(signal: Signal) -> str:
    data = io.BytesIO()
    soundfile.write(data, signal, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    return "data:audio/ogg;base64," + base64.b64encode(data.getvalue()).decode()


def _chosen(run: RunReport) -> tuple[str, ...]:
    """What was chosen by what, in words."""
    manifest = run.bundle.manifest
    made = manifest.provenance
    methods = {(c.threshold.method, c.threshold.wanted_per_day) for c in manifest.conditions}
    said = [
        f"Thresholds: {method} of held-out normal clips, for {wanted:g} false alarms a day wanted."
        for method, wanted in sorted(methods)
    ]
    said.append("No choice was made by test labels; they are used for the figures on this page alone.")
    versions = ", ".join(f"{name} {number}" for name, number in sorted(made.versions.items()))
    said.append(f"Recipe {made.recipe}, seed {made.seed}, trained {made.created:%Y-%m-%d %H:%M} with {versions}.")
    said.append(f"Training clips {made.data_digest[:16]}, bundle {run.bundle.digest[:16]}.")
    return tuple(said)
