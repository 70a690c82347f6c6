"""A picture of an alarm, seconds from left to right: the sound's log-mel, what of it was unusual, and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_agent.evidence.canvas import BLUE, FAINT, GREY, INK, PAPER, RED, Canvas, heat
from asd_agent.evidence.record import ScoreEntry, Span
from asd_agent.features.log_mel import FLOOR, FeatureSpec, mel_centres

WIDTH, LEFT, RIGHT = 980, 76, 120
PLOT = WIDTH - LEFT - RIGHT
_TITLE, _PANEL, _SCORES, _BETWEEN, _BELOW = 24, 176, 132, 40, 50
_BAR = 14
_TICKS_HZ = (500, 1000, 2000, 4000, 8000)
_LEAST_DECIBELS = 30.0
"""A quiet stretch is not blown up to more contrast than this."""
_LEAST_EXCESS = {"spreads": 4.0, "dB": 12.0}
"""Likewise for what is unusual."""

Map = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Layer:
    """Values over time and frequency.

    Attributes:
        values: Shape (frames, n_mels); NaN where there is none.
        spec: Whose frames and bands they are.
        title: What it shows.
        unit: Of the values.
        excess: Whether zero is the usual and only what lies above it is shown.
    """

    values: Map
    spec: FeatureSpec
    title: str
    unit: str
    excess: bool = False


@dataclass(frozen=True)
class Scene:
    """What is drawn.

    Attributes:
        titles: Lines above.
        seconds: Length of the clip.
        sound: Its log-mel in decibels.
        excess: What was unusual; None where no part of the detector can tell.
        scores: Windows that end within the clip.
        window: The one that raised the alarm.
        gaps: What was not heard.
    """

    titles: tuple[str, ...]
    seconds: float
    sound: Layer
    excess: Layer | None
    scores: Sequence[ScoreEntry]
    window: Span
    gaps: Sequence[Span]


def draw(scene: Scene) -> bytes:
    """The picture as a PNG file."""
    layers = [scene.sound, *([scene.excess] if scene.excess else [])]
    top = 12 + _TITLE * len(scene.titles)
    height = top + len(layers) * (_PANEL + _BETWEEN) + _BETWEEN + _SCORES + _BELOW
    canvas = Canvas(WIDTH, height)
    for line, words in enumerate(scene.titles):
        canvas.text(LEFT, 10 + _TITLE * line, words)
    for layer in layers:
        top += _BETWEEN
        low, high = _range(layer)
        _draw_layer(canvas, scene, layer, top, low, high)
        _draw_window(canvas, scene, top, _PANEL, PAPER)
        top += _PANEL
    top += _BETWEEN
    _draw_scores(canvas, scene, top)
    _draw_seconds(canvas, scene.seconds, top + _SCORES)
    return canvas.to_png()


def _range(layer: Layer) -> tuple[float, float]:
    values = layer.values[np.isfinite(layer.values)]
    if layer.excess:
        high = float(np.percentile(values, 99.5)) if values.size else 0.0
        return 0.0, max(high, _LEAST_EXCESS[layer.unit])
    heard = values[values > 20.0 * np.log10(FLOOR) + 0.5]
    if not heard.size:
        return 20.0 * float(np.log10(FLOOR)), 0.0
    low, high = np.percentile(heard, [2.0, 99.8])
    return min(float(low), float(high) - _LEAST_DECIBELS), float(high)


def _draw_layer(canvas: Canvas, scene: Scene, layer: Layer, top: int, low: float, high: float) -> None:
    frames = scene.seconds / layer.spec.frame_seconds()
    edges = np.linspace(0.0, min(frames, len(layer.values)), PLOT + 1)
    bands = np.linspace(layer.spec.n_mels - 1e-6, 0.0, _PANEL).astype(int)
    columns = np.stack([_column(layer.values, a, b) for a, b in pairwise(edges)], axis=1)
    colours = heat(columns[bands], low, high)
    colours[~np.isfinite(columns[bands])] = FAINT
    for gap in scene.gaps:
        colours[:, _offset(scene, gap.start) : _offset(scene, gap.end) + 1] = GREY
    canvas.pixels[top : top + _PANEL, LEFT : LEFT + PLOT] = colours
    canvas.box(LEFT, top, PLOT, _PANEL)
    canvas.text(LEFT, top - 24, layer.title)
    centres = mel_centres(layer.spec)
    for hz in _TICKS_HZ:
        if centres[0] < hz <= layer.spec.f_max:
            place = float(np.interp(hz, centres, np.arange(len(centres)))) / (len(centres) - 1)
            y = top + round((1.0 - place) * (_PANEL - 1))
            canvas.level(y, LEFT - 6, LEFT - 1, INK)
            canvas.text_left_of(LEFT - 10, y, f"{hz / 1000:g}")
    canvas.text_left_of(LEFT - 10, top - 16, "kHz")
    _draw_bar(canvas, top, low, high, layer.unit)


def _draw_bar(canvas: Canvas, top: int, low: float, high: float, unit: str) -> None:
    x = LEFT + PLOT + 14
    canvas.pixels[top : top + _PANEL, x : x + _BAR] = heat(np.linspace(high, low, _PANEL)[:, None], low, high)
    canvas.box(x, top, _BAR, _PANEL)
    for value, y in ((high, top), ((high + low) / 2, top + _PANEL // 2), (low, top + _PANEL - 14)):
        canvas.text(x + _BAR + 8, y, f"{value:.0f}")
    canvas.text(x - 2, top - 24, unit)


def _draw_scores(canvas: Canvas, scene: Scene, top: int) -> None:
    length = f"{scene.window.end - scene.window.start:g} s"
    canvas.text(LEFT, top - 24, f"score of the {length} that end here, dashed: those that raised the alarm")
    scored = [s for s in scene.scores if s.score is not None and s.threshold is not None]
    values = [v for s in scored for v in (s.score, s.threshold) if v is not None]
    low, high = min([0.0, *values]), max([1.0, *values])
    high += 0.08 * (high - low)
    low -= 0.05 * (high - low)

    def place(value: float) -> int:
        return top + round((high - value) / (high - low) * (_SCORES - 1))

    _draw_window(canvas, scene, top, _SCORES, FAINT)
    canvas.box(LEFT, top, PLOT, _SCORES)
    for value in _round_values(low, high):
        canvas.level(place(value), LEFT - 6, LEFT - 1, INK)
        canvas.text_left_of(LEFT - 10, place(value), f"{value:g}")
    levels = [s.threshold for s in scored if s.threshold is not None]
    if levels:
        y = place(levels[-1])
        canvas.level(y, LEFT, LEFT + PLOT, RED, dash=6)
        beyond = LEFT + PLOT + 8
        canvas.text(beyond, y - 16, "raised", RED)
        canvas.text(beyond, y + 4, f"> {levels[-1]:.2f}", RED)
    points = [(LEFT + _offset(scene, s.end), place(s.score), s) for s in scored if s.score is not None]
    for before, after in pairwise(points):
        canvas.line(before[:2], after[:2], BLUE)
    for x, y, entry in points:
        over = entry.score is not None and entry.threshold is not None and entry.score > entry.threshold
        canvas.dot(x, y, RED if over else BLUE)


def _draw_window(canvas: Canvas, scene: Scene, top: int, height: int, colour: int) -> None:
    """The window that raised the alarm, dashed."""
    for second in (scene.window.start, scene.window.end):
        canvas.upright(LEFT + _offset(scene, second), top, top + height, colour, dash=4)


def _draw_seconds(canvas: Canvas, seconds: float, top: int) -> None:
    for value in _round_values(0.0, seconds, most=9):
        x = LEFT + min(PLOT - 1, round(value / seconds * PLOT))
        canvas.upright(x, top + 1, top + 7, INK)
        canvas.text_centred(x, top + 12, f"{value:g}")
    canvas.text(LEFT + PLOT + 24, top + 12, "s")


def _column(values: Map, start: float, end: float) -> Map:
    first = min(int(start), len(values) - 1)
    return np.asarray(values[first : max(first + 1, int(end))].mean(axis=0))


def _offset(scene: Scene, second: float) -> int:
    return int(np.clip(round(second / scene.seconds * PLOT), 0, PLOT - 1))


def _round_values(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within a range, at most so many."""
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(m * power) for m in (1, 2, 5, 10) if m * power >= raw)
    return [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0]
