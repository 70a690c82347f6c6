"""Writer of the report: one HTML file that needs no network, no server and no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import soundfile
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from asd_agent.alarm.rate import a_day
from asd_agent.audio.files import SAMPLE_RATE, Signal, full_window, read_clip
from asd_agent.features.log_mel import FeatureSpec, mel_centres
from asd_agent.inference.members import WindowFeatures
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer, score_long
from asd_agent.whole_files import whole_file
from asd_trainer.engine.progress import StageProgress
from asd_trainer.evaluation.score import Evaluation
from asd_trainer.evaluation.table.comparison import make_table
from asd_trainer.evaluation.table.text import legend, table_rows
from asd_trainer.report import plots
from asd_trainer.report.gather import CellReport, RunReport, ScoredClip, gather
from asd_trainer.report.verdicts import Sentence, sentences, weakest

CLIPS = 1
"""Number of misses, and of false alarms, that are shown of each cell: the worst. Each takes about 150 kB."""


@dataclass(frozen=True)
class ShownClip:
    """Wrongly judged clip, with picture and sound."""

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
    """Write the report, whole or not at all.

    Args:
        evaluations: Evaluations of any recipes, seeds, machines and data sets. The table shows all of them; the first
            seed of each recipe and machine is shown in detail.
        path: HTML file to write.
        reference: Recipe that the table compares with.
        clips: Number of misses and of false alarms that are shown of each cell.
        progress: Called for each run.

    Raises:
        DataError: There are no evaluations, or score files or clips are missing.
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


def _clip(scorer: BundleScorer, cell: CellReport, judged: ScoredClip) -> ShownClip:
    path = judged.clip.path
    signal = full_window(path, read_clip(path).samples, scorer.bundle.manifest.window_samples)
    section, domain = cell.condition.section, cell.condition.domain
    got = score_long(scorer, signal, section, domain, explained="all")
    window = signal[: scorer.bundle.manifest.window_samples]
    anomaly_map = scorer.anomaly_map(window[None], section, domain)
    spec = anomaly_map.spec if anomaly_map else _any_spec(scorer)
    picture = plots.spectrogram(
        WindowFeatures(window[None]).log_mel(spec)[0],
        anomaly_map.cells[0] if anomaly_map else None,
        mel_centres(spec).tolist(),
        len(window) / SAMPLE_RATE,
        unit=anomaly_map.unit if anomaly_map else "",
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
    """Return sentences about the choices and the origin of a run."""
    manifest = run.bundle.manifest
    made = manifest.provenance
    methods = {(c.threshold.method, c.threshold.wanted_per_day) for c in manifest.conditions}
    lines = [
        f"Thresholds: {method} of held-out normal clips, for a wanted rate of {a_day(wanted)} false alarms a day."
        for method, wanted in sorted(methods)
    ]
    lines.append("No choice was made by test labels; only the metrics on this page use them.")
    versions = ", ".join(f"{name} {number}" for name, number in sorted(made.versions.items()))
    lines.append(f"Recipe {made.recipe}, seed {made.seed}, trained {made.created:%Y-%m-%d %H:%M} with {versions}.")
    lines.append(f"Training clips {made.data_digest[:16]}, bundle {run.bundle.digest[:16]}.")
    return tuple(lines)
