"""Pictures of the report, as SVG and PNG text to embed."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from asd_trainer.evaluation.metrics.roc import roc_curve
from asd_trainer.report.gather import CellReport, TrainingCurve

HEALTHY, FAULTY, LEVEL = "#3b7dd8", "#d8602b", "#222222"
_MANY = 8
"""Largest number of curves with a legend; more would cover the curves."""

mpl.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "asd"})


def roc(cells: Mapping[str, CellReport]) -> str:
    """Draw the ROC curves of some cells in one picture."""
    figure, axes = _axes(3.2, 3.0)
    axes.plot([0, 1], [0, 1], ":", color="#999999", lw=1)
    for name, cell in cells.items():
        fpr, tpr = roc_curve(cell.scores(anomalous=False), cell.scores(anomalous=True))
        axes.plot(fpr, tpr, lw=1.4, label=f"{name}, AUC {100 * cell.measured['auc'][0]:.0f} %")
    axes.axvspan(0, 0.1, color="#eeeeee", zorder=0)
    axes.set(xlabel="healthy clips called faulty", ylabel="faulty clips found", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower right")
    return _svg(figure)


def histogram(cell: CellReport) -> str:
    """Draw a histogram of the scores of healthy and faulty test clips, the reference and the threshold."""
    figure, axes = _axes(3.6, 2.2)
    normal, anomalous = cell.scores(anomalous=False), cell.scores(anomalous=True)
    everything = np.concatenate([normal, anomalous, cell.reference, [cell.level]])
    low, high = float(everything.min()), float(np.quantile(everything, 0.98))
    high = max(high, cell.level + 0.1 * (cell.level - low))
    edges = np.linspace(low, high, 31)
    axes.hist(np.clip(normal, low, high), edges, color=HEALTHY, alpha=0.6, label=f"healthy ({len(normal)})")
    axes.hist(np.clip(anomalous, low, high), edges, color=FAULTY, alpha=0.6, label=f"faulty ({len(anomalous)})")
    axes.plot(cell.reference, np.zeros_like(cell.reference), "|", color=LEVEL, ms=6, alpha=0.4, label="calibration")
    axes.axvline(cell.level, color=LEVEL, lw=1.2)
    axes.annotate(" threshold", (cell.level, 1), xycoords=("data", "axes fraction"), va="top")
    axes.set(xlabel="score (spreads of normal clips; the last bar holds all above)", ylabel="test clips")
    axes.legend(frameon=False)
    return _svg(figure)


def curves(found: Sequence[TrainingCurve]) -> str:
    """Draw training losses over steps, smoothed over a hundredth of the steps."""
    figure, axes = _axes(5.0, 2.4)
    shown = [curve for curve in found if "loss" in curve.values]
    for curve in shown:
        loss = curve.values["loss"]
        width = max(1, len(loss) // 100)
        smooth = np.convolve(loss, np.ones(width) / width, mode="valid")
        axes.plot(curve.steps[width - 1 :], smooth, lw=1, label=curve.member)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    if len(shown) <= _MANY:
        axes.legend(frameon=False)
    return _svg(figure)


def spectrogram(
    decibels: npt.NDArray[np.floating],
    anomaly_map: npt.NDArray[np.floating] | None,
    hertz: Sequence[float],
    seconds: float,
    unit: str,
) -> str:
    """Draw a log-mel spectrogram and, where there is one, the anomaly map below it.

    Args:
        decibels: Spectrogram in dB, shape (frames, bands).
        anomaly_map: Excess over the usual, of the same shape; or None.
        hertz: Centre of each band in Hz.
        seconds: Duration in s.
        unit: Unit of the anomaly map.

    Returns:
        A data URI.
    """
    rows = 1 if anomaly_map is None else 2
    figure = Figure(figsize=(5.2, 1.7 * rows), layout="constrained")
    panels: Any = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    top = float(np.max(decibels))
    _image(figure, panels[0], decibels, hertz, seconds, "dB", cmap="magma", vmin=top - 60, vmax=top)
    if anomaly_map is not None:
        high = max(float(np.quantile(anomaly_map, 0.999)), 1e-9)
        _image(figure, panels[1], anomaly_map, hertz, seconds, f"{unit} above usual", cmap="viridis", vmin=0, vmax=high)
    panels[-1].set_xlabel("s")
    return _png(figure)


def _image(
    figure: Figure,
    axes: Any,
    cells: npt.NDArray[np.floating],
    hertz: Sequence[float],
    seconds: float,
    label: str,
    **style: Any,
) -> None:
    bands = cells.shape[1]
    drawn = axes.imshow(cells.T, origin="lower", aspect="auto", extent=(0, seconds, 0, bands), **style)
    figure.colorbar(drawn, ax=axes, label=label, pad=0.01)
    ticks = [k for k in (500, 1000, 2000, 4000, 7000) if hertz[0] <= k <= hertz[-1]]
    axes.set_yticks([float(np.interp(k, hertz, np.arange(bands))) for k in ticks], [f"{k / 1000:g}" for k in ticks])
    axes.set_ylabel("kHz")


def _axes(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    document = text.getvalue()
    return document[document.index("<svg") :]


def _png(figure: Figure) -> str:
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=90)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
