"""A sheet of pixels with lines and letters: what a picture needs and no more, so that the agent carries no library."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.evidence.png import Pixels, png

HEAT = 48
"""Colours of the heat map, the first of the palette."""
PAPER, INK, FAINT, RED, BLUE, GREY = range(HEAT, HEAT + 6)
_INKS = ((255, 255, 255), (30, 30, 34), (205, 205, 210), (205, 40, 40), (35, 95, 170), (150, 150, 156))
_ANCHORS = ((0, (10, 10, 30)), (12, (70, 20, 110)), (24, (190, 50, 90)), (36, (250, 150, 50)), (47, (255, 250, 200)))
"""From dark to bright in even steps of lightness: (colour, (red, green, blue))."""
ROWS, COLUMNS = 9, 5
LETTER_WIDTH = COLUMNS + 1


class Canvas:
    """A picture in the making.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.pixels: Pixels = np.full((height, width), PAPER, dtype=np.uint8)

    def text(self, x: int, y: int, words: str, colour: int = INK, *, scale: int = 2) -> None:
        """Write with the upper left corner at (x, y); what does not fit on the sheet is cut off."""
        for place, letter in enumerate(words):
            glyph = np.kron(_glyphs().get(letter, _glyphs()["?"]), np.ones((scale, scale), dtype=bool))
            left = x + place * LETTER_WIDTH * scale
            there = self.pixels[y : y + glyph.shape[0], left : left + glyph.shape[1]]
            there[glyph[: there.shape[0], : there.shape[1]]] = colour

    def text_left_of(self, x: int, y: int, words: str, colour: int = INK) -> None:
        """Write so that it ends at x, centred on y."""
        self.text(x - text_width(words), y - 7, words, colour)

    def text_centred(self, x: int, y: int, words: str, colour: int = INK) -> None:
        """Write centred on x, from y down."""
        self.text(x - text_width(words) // 2, y, words, colour)

    def box(self, x: int, y: int, width: int, height: int, colour: int = INK) -> None:
        """A frame around an area, just outside it."""
        self.pixels[y - 1, x - 1 : x + width + 1] = self.pixels[y + height, x - 1 : x + width + 1] = colour
        self.pixels[y - 1 : y + height + 1, x - 1] = self.pixels[y - 1 : y + height + 1, x + width] = colour

    def upright(self, x: int, top: int, bottom: int, colour: int, *, dash: int = 0) -> None:
        """A vertical line, dashed if `dash` pixels are given."""
        rows = np.arange(top, bottom)
        self.pixels[rows[(rows // dash) % 2 == 0] if dash else rows, x] = colour

    def level(self, y: int, left: int, right: int, colour: int, *, dash: int = 0) -> None:
        """A horizontal line, likewise."""
        columns = np.arange(left, right)
        self.pixels[y, columns[(columns // dash) % 2 == 0] if dash else columns] = colour

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: int) -> None:
        """A straight line of two pixels' width between two points (x, y)."""
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        x = np.rint(np.linspace(start[0], end[0], steps + 1)).astype(int)
        y = np.rint(np.linspace(start[1], end[1], steps + 1)).astype(int)
        self.pixels[y, x] = self.pixels[y + 1, x] = colour

    def dot(self, x: int, y: int, colour: int, radius: int = 3) -> None:
        """A filled square around a point."""
        self.pixels[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = colour

    def to_png(self) -> bytes:
        """The picture as a file's content."""
        return png(self.pixels, _palette())


def text_width(words: str, scale: int = 2) -> int:
    """Pixels that a line of text takes."""
    return max(0, len(words) * LETTER_WIDTH - 1) * scale


def heat(values: npt.NDArray[np.floating], low: float, high: float) -> Pixels:
    """Colours of the heat map for values, the darkest at `low` and below, the brightest at `high` and above."""
    share = (np.asarray(values, dtype=np.float64) - low) / max(high - low, 1e-9)
    return np.asarray(np.clip(np.nan_to_num(share) * HEAT, 0, HEAT - 1), dtype=np.uint8)


@lru_cache(maxsize=1)
def _palette() -> Pixels:
    places = [a for a, _ in _ANCHORS]
    ramp = [np.interp(np.arange(HEAT), places, [colour[i] for _, colour in _ANCHORS]) for i in range(3)]
    return np.asarray(np.concatenate([np.stack(ramp, axis=1), np.array(_INKS)]), dtype=np.uint8)


@lru_cache(maxsize=1)
def _glyphs() -> dict[str, npt.NDArray[np.bool_]]:
    """The letters drawn in glyphs.txt, each of 9 rows and 5 columns, the last two rows below the line."""
    glyphs = {" ": np.zeros((ROWS, COLUMNS), dtype=bool)}
    for band in Path(__file__).with_name("glyphs.txt").read_text(encoding="utf-8").strip("\n").split("\n\n"):
        letters, *rows = band.split("\n")
        for place in range(0, len(letters), LETTER_WIDTH):
            cells = [[dot == "#" for dot in row[place : place + COLUMNS]] for row in rows]
            glyphs[letters[place]] = np.array(cells, dtype=bool)
    return glyphs
