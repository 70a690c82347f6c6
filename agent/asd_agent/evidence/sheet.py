"""Drawing surface for pictures: text that always fits, lines, and heat maps, on top of Pillow."""

from __future__ import annotations

import io
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
INK: Colour = (30, 30, 34)
FAINT: Colour = (205, 205, 210)
RED: Colour = (205, 40, 40)
BLUE: Colour = (35, 95, 170)
GREY: Colour = (150, 150, 156)

_HEAT_LEVELS = 64
"""Steps of the heat map; more cannot be told apart, and files of few colours are small."""
_HEAT_PLACES = (0.0, 0.25, 0.5, 0.78, 1.0)
_HEAT_COLOURS = ((10, 10, 30), (70, 20, 110), (190, 50, 90), (250, 150, 50), (255, 250, 200))
"""From dark to bright in about even steps of lightness, so that it also reads in grey."""
_SHADES = 16

FONT_SIZE = 16
_SMALLEST_FONT = 9
"""Below this, letters of DejaVu Sans are no longer legible on a screen; longer text is shortened instead."""
_FONT_FILE = "DejaVuSans.ttf"
_ASCII = {"–": "-", "—": "-", "−": "-", "µ": "u", "μ": "u", "×": "x", "…": "...", "→": "->", "≥": ">=", "≤": "<="}

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class TextBox:
    """Text as drawn, with the pixels that it covers.

    Attributes:
        text: The text, after it was shortened or letters were replaced.
        left: First column.
        top: First row.
        right: Column after the last.
        bottom: Row after the last.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float


class Sheet:
    """Picture that is being drawn.

    Args:
        width: In pixels.
        height: In pixels.

    Attributes:
        texts: Every text that was drawn, with its place.
    """

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.texts: list[TextBox] = []
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, text: str, colour: Colour = INK, *, anchor: str = "la", most: float | None = None
    ) -> None:
        """Draw one line of text.

        Args:
            x: Horizontal place of the anchor.
            y: Vertical place of the anchor.
            text: Its characters; those that the font lacks are replaced.
            colour: Its colour.
            anchor: Pillow's two letters: l, m or r for left, middle or right; a or m for the ascender or the middle.
            most: Pixels that it may take; longer text is set smaller, then shortened. None: up to the sheet's edge.
        """
        room = {"l": self.image.width - x, "r": x, "m": 2 * min(x, self.image.width - x)}[anchor[0]]
        shown, font = _fit(text, min(room, most) if most is not None else room)
        left, top, right, bottom = self._draw.textbbox((x, y), shown, font=font, anchor=anchor)
        self.texts.append(TextBox(shown, left, top, right, bottom))
        self._draw.text((x, y), shown, fill=colour, font=font, anchor=anchor)

    def frame(self, x: int, y: int, width: int, height: int, colour: Colour = INK) -> None:
        """Draw a frame just outside an area."""
        self._draw.rectangle((x - 1, y - 1, x + width, y + height), outline=colour)

    def line(self, points: list[tuple[float, float]], colour: Colour, width: int = 1) -> None:
        """Draw straight lines from point to point."""
        self._draw.line(points, fill=colour, width=width)

    def dashed(self, start: tuple[int, int], end: tuple[int, int], colour: Colour, dash: int) -> None:
        """Draw a dashed line that is horizontal or vertical; both ends and the dashes in pixels."""
        (x, y), (to_x, to_y) = start, end
        for place in range(0, max(to_x - x, to_y - y), 2 * dash):
            if x == to_x:
                self._draw.line((x, y + place, x, min(y + place + dash - 1, to_y)), fill=colour)
            else:
                self._draw.line((x + place, y, min(x + place + dash - 1, to_x), y), fill=colour)

    def dot(self, x: float, y: float, colour: Colour, radius: int = 4) -> None:
        """Draw a filled circle."""
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def pixels(self, x: int, y: int, colours: npt.NDArray[np.uint8]) -> None:
        """Put colours, shape (height, width, 3), on the sheet."""
        self.image.paste(Image.fromarray(colours), (x, y))

    def to_png(self) -> bytes:
        """Return the picture as the content of a PNG file."""
        content = io.BytesIO()
        # A palette makes the file less than half as long.
        few = self.image.quantize(palette=_palette(), dither=Image.Dither.NONE)
        few.save(content, "PNG", optimize=True)
        return content.getvalue()


def heat(values: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Return the heat map's colour of each value.

    Args:
        values: Any shape; NaN is as dark as `low`.
        low: Darkest at and below this.
        high: Brightest at and above this.

    Returns:
        Red, green and blue in one more axis.
    """
    share = np.nan_to_num((np.asarray(values, dtype=np.float64) - low) / max(high - low, 1e-9))
    level = np.clip(share * _HEAT_LEVELS, 0, _HEAT_LEVELS - 1).astype(int)
    return np.asarray(_heat_palette()[level], dtype=np.uint8)


def wrap(text: str, width: float, most_lines: int) -> list[str]:
    """Break a text into lines that fit a width in pixels, between words where there is a blank.

    Args:
        text: The text.
        width: In pixels.
        most_lines: Further lines are dropped, and the last one ends with an ellipsis.
    """
    font = _font(FONT_SIZE)
    lines, line = [], ""
    for word in _printable(text).split():
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while font.getlength(word) > width and len(lines) < most_lines:
            cut = _longest(word, width, font)
            lines.append(word[:cut])
            word = word[cut:]  # noqa: PLW2901 - what is left of it
        line = word
    lines += [line] if line else []
    if len(lines) > most_lines:
        lines = lines[:most_lines]
        lines[-1] = _shortened(f"{lines[-1]} …", width, font)
    return lines


def _fit(text: str, width: float) -> tuple[str, Font]:
    """Return a text and the font in which it is at most so wide."""
    text = _printable(text)
    for size in range(FONT_SIZE, _SMALLEST_FONT - 1, -1):
        if _font(size).getlength(text) <= width:
            return text, _font(size)
    smallest = _font(_SMALLEST_FONT)
    return _shortened(text, width, smallest), smallest


def _shortened(text: str, width: float, font: Font) -> str:
    ellipsis = _printable("…")
    if font.getlength(text) <= width:
        return text
    kept = _longest(text, width - font.getlength(ellipsis), font)
    return text[:kept].rstrip() + ellipsis if kept else ""


def _longest(text: str, width: float, font: Font) -> int:
    """Return how many characters of a text fit; at least one where there is any room, so that wrapping ends."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width else (low, middle - 1)
    return max(low, 1 if width > 0 else 0)


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    """DejaVu Sans where the system has it; else the font that Pillow carries, which has little beyond ASCII."""
    try:
        return ImageFont.truetype(_FONT_FILE, size)
    except OSError:
        return ImageFont.load_default(size)


def _printable(text: str) -> str:
    """Return the text with characters that the font lacks replaced by the nearest that it has."""
    return "".join(letter if _has_glyph(letter) else _substitute(letter) for letter in text)


def _substitute(letter: str) -> str:
    plain = _ASCII.get(letter) or "".join(c for c in unicodedata.normalize("NFKD", letter) if c.isascii())
    return plain or "?"


@lru_cache(maxsize=4096)
def _has_glyph(letter: str) -> bool:
    if " " <= letter <= "~":
        return True
    font = _font(FONT_SIZE)
    # A font draws every character that it lacks as the same box, also one that Unicode never assigns.
    drawn, lacking = font.getmask(letter), font.getmask("\uffff")
    return letter.isprintable() and (drawn.size, bytes(drawn)) != (lacking.size, bytes(lacking))


@lru_cache(maxsize=1)
def _heat_palette() -> npt.NDArray[np.uint8]:
    levels = np.linspace(0.0, 1.0, _HEAT_LEVELS)
    ramp = [np.interp(levels, _HEAT_PLACES, [colour[i] for colour in _HEAT_COLOURS]) for i in range(3)]
    return np.stack(ramp, axis=1).round().astype(np.uint8)


@lru_cache(maxsize=1)
def _palette() -> Image.Image:
    """All colours of the heat map, and each ink of letters with the shades towards the paper that their edges have."""
    shades = np.linspace(0.0, 1.0, _SHADES)[:, None]
    inks = [np.array(ink) + shades * (np.array(PAPER) - np.array(ink)) for ink in (INK, RED, BLUE)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([_heat_palette(), *inks, [GREY, FAINT]]).round().astype(np.uint8).tobytes())
    return palette
