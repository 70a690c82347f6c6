"""The picture is a PNG that any viewer opens, and what was unusual can be seen where it was."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from asd_agent.evidence.canvas import GREY, HEAT, INK, PAPER, RED, Canvas, heat
from asd_agent.evidence.picture import LEFT, PLOT, Layer, Scene, draw
from asd_agent.evidence.png import png
from asd_agent.evidence.record import ScoreEntry, Span
from asd_agent.features.log_mel import FeatureSpec, log_mel
from rigs.bundles import hum

SPEC = FeatureSpec(n_mels=64)
SOUND, EXCESS = slice(76, 252), slice(292, 468)
"""Rows of the two maps below one line of title."""


def decoded(content: bytes) -> np.ndarray:
    """Palette indices of a PNG, checked chunk by chunk as a viewer does."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kind, body = content[position + 4 : position + 8], content[position + 8 : position + 8 + length]
        assert struct.unpack(">I", content[position + 8 + length : position + 12 + length]) == (
            zlib.crc32(kind + body),
        )
        chunks[kind] = body
        position += 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (8, 3, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8)


def judged(end: float) -> ScoreEntry:
    return ScoreEntry(start=end - 10, end=end, verdict="scored", score=end / 10, threshold=2.0)


def scene(**changes) -> Scene:
    sound = hum(30, 1)
    excess = np.zeros((938, 64))
    excess[500:520, 40:50] = 20.0
    standard = {
        "titles": ("press: fan, section 00",),
        "seconds": 30.0,
        "sound": Layer(log_mel(sound, SPEC), SPEC, "sound", "dB"),
        "excess": Layer(excess, SPEC, "error above the usual", "spreads", excess=True),
        "scores": [
            ScoreEntry(start=e - 10, end=e, verdict="scored", score=e / 10, threshold=2.0) for e in (10, 20, 30)
        ],
        "window": Span(start=10, end=20),
        "gaps": (),
    }
    return Scene(**{**standard, **changes})


def test_pixels_come_back_as_they_went_in():
    pixels = np.random.default_rng(1).integers(0, 200, (37, 53)).astype(np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels, np.zeros((200, 3), np.uint8))), pixels)
    with pytest.raises(ValueError, match="colours"):
        png(pixels, np.zeros((100, 3), np.uint8))


def test_letters_are_drawn_and_cut_off_at_the_edge():
    canvas = Canvas(30, 20)
    canvas.text(1, 1, "Il", INK)
    assert (canvas.pixels == INK).any()
    canvas.text(25, 15, "wide")
    canvas.text(0, 0, "ü")  # drawn as a question mark
    assert decoded(canvas.to_png()).shape == (20, 30)


def test_heat_is_dark_below_and_bright_above():
    np.testing.assert_array_equal(heat(np.array([-9.0, 0.0, 5.0, 10.0, 99.0]), 0, 10), [0, 0, HEAT // 2, 47, 47])


def test_what_was_unusual_is_bright_where_and_when_it_was():
    pixels = decoded(draw(scene()))
    bright = np.argwhere(pixels[EXCESS, LEFT : LEFT + PLOT] == HEAT - 1)
    second = (bright[:, 1].mean() + 0.5) / PLOT * 30.0
    assert second == pytest.approx(510 * SPEC.frame_seconds(), abs=0.3)
    assert (pixels == RED).any()


def test_quiet_and_loud_sound_have_the_same_contrast():
    quiet = Layer(log_mel(hum(30, 1) / 30, SPEC), SPEC, "sound", "dB")
    seen = [decoded(draw(scene(sound=s)))[SOUND, LEFT : LEFT + PLOT] for s in (scene().sound, quiet)]
    assert np.mean(np.abs(seen[0].astype(int) - seen[1])) < 0.1
    assert np.ptp(seen[0]) > 20


def test_gaps_are_grey_over_both_maps():
    without = (decoded(draw(scene()))[:, LEFT : LEFT + PLOT] == GREY).sum()
    grey = decoded(draw(scene(gaps=(Span(start=3.0, end=6.0),))))[:, LEFT : LEFT + PLOT] == GREY
    assert grey.sum() - without == pytest.approx(2 * 176 * PLOT / 10, rel=0.03)


@pytest.mark.parametrize(
    "changes",
    [
        {"excess": None},
        {"scores": []},
        {"seconds": 0.4, "scores": [], "excess": None, "window": Span(start=0, end=0.4)},
        {"sound": Layer(np.full((938, 64), -100.0), SPEC, "sound", "dB")},
        {"excess": Layer(np.full((938, 64), np.nan), SPEC, "error", "spreads", excess=True)},
        {"scores": [ScoreEntry(start=0, end=10, verdict="invalid", score=None, threshold=None)]},
        {"scores": [ScoreEntry(start=0, end=10, verdict="scored", score=-3e4, threshold=1e9)]},
        {"titles": ("x" * 500, "y", "z")},
    ],
)
def test_what_is_odd_is_drawn_too(changes):
    pixels = decoded(draw(scene(**changes)))
    assert (pixels[:4] == PAPER).all()
    assert (pixels == INK).sum() > 500
