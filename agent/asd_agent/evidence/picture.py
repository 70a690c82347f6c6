"""Picture of an alarm, seconds from left to right: the sound's log-mel, its anomaly map, and the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asd_agent.evidence.record import ScoreEntry, Span
from asd_agent.evidence.sheet import BLUE, FAINT, GREY, INK, PAPER, RED, Colour, Sheet, heat, wrap
from asd_agent.features.log_mel import FLOOR, FeatureSpec, mel_centres

WIDTH, LEFT, RIGHT = 980, 76, 120
PLOT = WIDTH - LEFT - RIGHT
PANEL = 176
_TITLE, _SCORES, _BETWEEN, _BELOW = 24, 132, 40, 50
_MOST_TITLE_LINES = 3
"""Lines that one title may take; names and explanations longer than that are shortened."""
_BAR = 14
_TICKS_HZ = (500, 1000, 2000, 4000, 8000)
_LEAST_DECIBELS = 30.0
"""A quiet stretch is not blown up to more contrast than this."""
_LEAST_ANOMALY = {"spreads": 4.0, "dB": 12.0}
"""Likewise for the anomaly map: noise of the usual size stays dark."""
_GREATEST_PLAIN = 1e4
"""Numbers from here on are written with an exponent, so that they fit beside the plot."""

Map = npt.NDArray[np.floating]


@dataclass(frozen=True)
class SpectrogramLayer:
    """Values over time and frequency.

    Attributes:
        values: Shape (frames, n_mels); NaN where there is none.
        spec: Front end that the frames and bands belong to.
        title: Text above.
        unit: Unit of the values.
        is_anomaly_map: Zero is the usual, and only values above it are shown.
    """

    values: Map
    spec: FeatureSpec
    title: str
    unit: str
    is_anomaly_map: bool = False


@dataclass(frozen=True)
class PictureContent:
    """Everything that is drawn.

    Attributes:
        titles: Texts above; long ones are wrapped.
        seconds: Length of the clip.
        sound: Its log-mel in decibels.
        anomaly_map: None where no member of the bundle judges frames or bands.
        scores: Windows that end within the clip.
        window: The window that raised the alarm.
        gaps: Stretches that were not heard.
    """

    titles: tuple[str, ...]
    seconds: float
    sound: SpectrogramLayer
    anomaly_map: SpectrogramLayer | None
    scores: Sequence[ScoreEntry]
    window: Span
    gaps: Sequence[Span]


def draw(content: PictureContent) -> bytes:
    """Return the picture as the content of a PNG file."""
    return lay_out(content).to_png()


def lay_out(content: PictureContent) -> Sheet:
    """Draw the picture on a sheet, which knows the place of every text."""
    titles = [line for title in content.titles for line in wrap(title, WIDTH - LEFT - 10, _MOST_TITLE_LINES)]
    layers = [content.sound, *([content.anomaly_map] if content.anomaly_map else [])]
    top = 12 + _TITLE * len(titles)
    sheet = Sheet(WIDTH, top + len(layers) * (PANEL + _BETWEEN) + _BETWEEN + _SCORES + _BELOW)
    for row, line in enumerate(titles):
        sheet.text(LEFT, 10 + _TITLE * row, line)
    for layer in layers:
        top += _BETWEEN
        _draw_layer(sheet, content, layer, top)
        _draw_window(sheet, content, top, PANEL, PAPER)
        top += PANEL
    top += _BETWEEN
    _draw_scores(sheet, content, top)
    _draw_seconds(sheet, content.seconds, top + _SCORES)
    return sheet


def _range(layer: SpectrogramLayer) -> tuple[float, float]:
    values = layer.values[np.isfinite(layer.values)]
    if layer.is_anomaly_map:
        high = float(np.percentile(values, 99.5)) if values.size else 0.0
        return 0.0, max(high, _LEAST_ANOMALY[layer.unit])
    audible = values[values > 20.0 * np.log10(FLOOR) + 0.5]
    if not audible.size:
        return 20.0 * float(np.log10(FLOOR)), 0.0
    low, high = np.percentile(audible, [2.0, 99.8])
    return min(float(low), float(high) - _LEAST_DECIBELS), float(high)


def _draw_layer(sheet: Sheet, content: PictureContent, layer: SpectrogramLayer, top: int) -> None:
    low, high = _range(layer)
    frames = content.seconds / layer.spec.frame_seconds()
    edges = np.linspace(0.0, min(frames, len(layer.values)), PLOT + 1)
    bands = np.linspace(layer.spec.n_mels - 1e-6, 0.0, PANEL).astype(int)
    columns = np.stack([_mean_frame(layer.values, a, b) for a, b in pairwise(edges)], axis=1)[bands]
    colours = heat(columns, low, high)
    colours[~np.isfinite(columns)] = FAINT
    for gap in content.gaps:
        colours[:, _offset(content, gap.start) : _offset(content, gap.end) + 1] = GREY
    sheet.pixels(LEFT, top, colours)
    sheet.frame(LEFT, top, PLOT, PANEL)
    sheet.text(LEFT, top - 24, layer.title, most=PLOT)
    sheet.text(LEFT - 10, top - 16, "kHz", anchor="rm")
    _draw_frequencies(sheet, layer.spec, top)
    _draw_bar(sheet, top, low, high, layer.unit)


def _draw_frequencies(sheet: Sheet, spec: FeatureSpec, top: int) -> None:
    centres = mel_centres(spec)
    for hz in _TICKS_HZ:
        if centres[0] < hz <= spec.f_max:
            place = float(np.interp(hz, centres, np.arange(len(centres)))) / (len(centres) - 1)
            y = top + round((1.0 - place) * (PANEL - 1))
            sheet.line([(LEFT - 6, y), (LEFT - 2, y)], INK)
            sheet.text(LEFT - 10, max(y, top + 8), f"{hz / 1000:g}", anchor="rm")


def _draw_bar(sheet: Sheet, top: int, low: float, high: float, unit: str) -> None:
    x = LEFT + PLOT + 14
    sheet.pixels(x, top, np.repeat(heat(np.linspace(high, low, PANEL)[:, None], low, high), _BAR, axis=1))
    sheet.frame(x, top, _BAR, PANEL)
    for value, y in ((high, top + 8), ((high + low) / 2, top + PANEL // 2), (low, top + PANEL - 8)):
        sheet.text(x + _BAR + 8, y, f"{value:.0f}", anchor="lm")
    sheet.text(x - 2, top - 24, unit)


def _draw_scores(sheet: Sheet, content: PictureContent, top: int) -> None:
    length = f"{content.window.end - content.window.start:g} s"
    title = f"score of each {length}, where they end; dashed: the window that raised the alarm"
    sheet.text(LEFT, top - 24, title, most=PLOT)
    scored = [s for s in content.scores if s.score is not None and s.threshold is not None]
    values = [v for s in scored for v in (s.score, s.threshold) if v is not None]
    low, high = min([0.0, *values]), max([1.0, *values])
    high += 0.08 * (high - low)
    low -= 0.05 * (high - low)

    def place(value: float) -> int:
        return top + round((high - value) / (high - low) * (_SCORES - 1))

    _draw_window(sheet, content, top, _SCORES, FAINT)
    sheet.frame(LEFT, top, PLOT, _SCORES)
    for value in _round_values(low, high):
        sheet.line([(LEFT - 6, place(value)), (LEFT - 2, place(value))], INK)
        sheet.text(LEFT - 10, place(value), f"{value:g}", anchor="rm")
    levels = [s.threshold for s in scored if s.threshold is not None]
    if levels:
        y = place(levels[-1])
        sheet.dashed((LEFT, y), (LEFT + PLOT - 1, y), RED, dash=6)
        y = min(max(y, top + 12), top + _SCORES - 26)  # clear of the title above and the seconds below
        sheet.text(LEFT + PLOT + 8, y - 10, "raised", RED, anchor="lm")
        sheet.text(LEFT + PLOT + 8, y + 10, f"> {_number(levels[-1])}", RED, anchor="lm")
    points = [(LEFT + _offset(content, s.end), place(s.score), s) for s in scored if s.score is not None]
    if len(points) > 1:
        sheet.line([(x, y) for x, y, _ in points], BLUE, width=2)
    for x, y, entry in points:
        over = entry.score is not None and entry.threshold is not None and entry.score > entry.threshold
        sheet.dot(x, y, RED if over else BLUE)


def _draw_window(sheet: Sheet, content: PictureContent, top: int, height: int, colour: Colour) -> None:
    """Draw both ends of the window that raised the alarm."""
    for second in (content.window.start, content.window.end):
        x = LEFT + _offset(content, second)
        sheet.dashed((x, top), (x, top + height - 1), colour, dash=4)


def _draw_seconds(sheet: Sheet, seconds: float, top: int) -> None:
    for value in _round_values(0.0, seconds, most=9):
        x = LEFT + min(PLOT - 1, round(value / seconds * PLOT))
        sheet.line([(x, top + 1), (x, top + 6)], INK)
        sheet.text(x, top + 12, f"{value:g}", anchor="ma")
    sheet.text(LEFT + PLOT + 24, top + 12, "s")


def _mean_frame(values: Map, start: float, end: float) -> Map:
    first = min(int(start), len(values) - 1)
    return np.asarray(values[first : max(first + 1, int(end))].mean(axis=0))


def _offset(content: PictureContent, second: float) -> int:
    return int(np.clip(round(second / content.seconds * PLOT), 0, PLOT - 1))


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < _GREATEST_PLAIN else f"{value:.3g}"


def _round_values(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers within a range, at most so many."""
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(float(m * power) for m in (1, 2, 5, 10) if m * power >= raw)
    return [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step + 0.0]
