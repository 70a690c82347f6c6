"""The picture is a PNG that any viewer opens, its text stays on it, and what was unusual can be seen where it was."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageFont

from asd_agent.evidence import sheet
from asd_agent.evidence.picture import LEFT, PANEL, PLOT, WIDTH, PictureContent, SpectrogramLayer, draw, lay_out
from asd_agent.evidence.record import ScoreEntry, Span
from asd_agent.evidence.sheet import GREY, INK, PAPER, RED, TextBox, heat, wrap
from asd_agent.features.log_mel import FeatureSpec, log_mel
from rigs.bundles import hum

SPEC = FeatureSpec(n_mels=64)
SOUND, ANOMALY = slice(76, 76 + PANEL), slice(292, 292 + PANEL)
"""Rows of the two maps below one line of title."""


@pytest.fixture(params=["DejaVuSans.ttf", "no-such-font.ttf"], ids=["DejaVu", "built in"])
def _font(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """The font of most boxes, and the one that Pillow carries."""
    monkeypatch.setattr(sheet, "_FONT_FILE", request.param)
    for cached in (sheet._font, sheet._has_glyph):
        cached.cache_clear()
    yield
    for cached in (sheet._font, sheet._has_glyph):
        cached.cache_clear()


def pixels(content: PictureContent) -> np.ndarray:
    """Colours of the picture, read back from its file."""
    with Image.open(io.BytesIO(draw(content))) as image:
        assert image.format == "PNG"
        image.load()
        return np.asarray(image.convert("RGB"))


def count(colours: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((colours == colour).all(axis=-1).sum())


def picture(**changes) -> PictureContent:
    anomaly_map = np.zeros((938, 64))
    anomaly_map[500:520, 40:50] = 20.0
    standard = {
        "titles": ("press: fan, section 00",),
        "seconds": 30.0,
        "sound": SpectrogramLayer(log_mel(hum(30, 1), SPEC), SPEC, "sound", "dB"),
        "anomaly_map": SpectrogramLayer(anomaly_map, SPEC, "error above the usual", "spreads", is_anomaly_map=True),
        "scores": [
            ScoreEntry(start=e - 10, end=e, verdict="scored", score=e / 10, threshold=2.0) for e in (10, 20, 30)
        ],
        "window": Span(start=10, end=20),
        "gaps": (),
    }
    return PictureContent(**{**standard, **changes})


def test_heat_is_dark_below_and_bright_above():
    below, low, middle, high, above = heat(np.array([-9.0, 0.0, 5.0, 10.0, 99.0]), 0, 10).astype(int)
    assert below.tolist() == low.tolist() == [10, 10, 30]
    assert high.tolist() == above.tolist() == [255, 250, 200]
    assert low.sum() < middle.sum() < high.sum()


def test_what_was_unusual_is_bright_where_and_when_it_was():
    colours = pixels(picture())
    bright = np.argwhere((colours[ANOMALY, LEFT : LEFT + PLOT] == (255, 250, 200)).all(axis=-1))
    second = (bright[:, 1].mean() + 0.5) / PLOT * 30.0
    assert second == pytest.approx(510 * SPEC.frame_seconds(), abs=0.3)
    assert count(colours, RED) > 100


def test_quiet_and_loud_sound_have_the_same_contrast():
    quiet = SpectrogramLayer(log_mel(hum(30, 1) / 30, SPEC), SPEC, "sound", "dB")
    seen = [pixels(picture(sound=s))[SOUND, LEFT : LEFT + PLOT].astype(int) for s in (picture().sound, quiet)]
    assert np.mean(np.abs(seen[0] - seen[1])) < 1.0
    assert np.ptp(seen[0]) > 200


def test_gaps_are_grey_over_both_maps():
    without = count(pixels(picture())[:, LEFT : LEFT + PLOT], GREY)
    grey = count(pixels(picture(gaps=(Span(start=3.0, end=6.0),)))[:, LEFT : LEFT + PLOT], GREY)
    assert grey - without == pytest.approx(2 * PANEL * PLOT / 10, rel=0.03)


LONG = (
    f"{'hall-3-pump-' * 20}: {'x' * 300}, section 00, severity 1000",
    "Größe µ – é → ≥, 5.5–6.3 kHz and " * 12,
    "漢字 and \x07 and \U0001f600",
)
EXTREMES = [ScoreEntry(start=0, end=e, verdict="scored", score=s, threshold=1e9) for e, s in ((10, -3e4), (30, 2.5e9))]


@pytest.mark.usefixtures("_font")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"titles": LONG},
        {"titles": ()},
        {"scores": EXTREMES},
        {"scores": [ScoreEntry(start=0, end=10, verdict="scored", score=9.0, threshold=1e-3)]},
        {"seconds": 12_345.678, "window": Span(start=0.0, end=3600.123)},
        {
            "anomaly_map": SpectrogramLayer(
                1e9 * np.ones((938, 64)), SPEC, "an explanation far too long " * 9, "spreads", is_anomaly_map=True
            )
        },
    ],
)
def test_no_text_runs_over_the_edge_or_over_another(changes):
    drawn = lay_out(picture(**changes))
    assert len(drawn.texts) > 20
    for box in drawn.texts:
        assert box.left >= 0, box
        assert box.top >= 0, box
        assert box.right <= WIDTH, box
        assert box.bottom <= drawn.image.height, box
    for one, other in combinations(drawn.texts, 2):
        assert not _overlap(one, other), (one, other)


def _overlap(one: TextBox, other: TextBox) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


@pytest.mark.usefixtures("_font")
def test_letters_that_the_font_lacks_are_replaced_and_never_drawn_as_boxes():
    font = sheet._font(sheet.FONT_SIZE)
    (shown,) = wrap("µ – é \uffff", 500, 1)
    assert len(shown.split()) == 4
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] == "DejaVu Sans":
        assert shown == "µ – é ?"
    else:
        assert shown == "u - e ?"


def test_a_long_title_is_wrapped_between_words_and_a_long_word_within():
    lines = wrap("severity of the alarm " * 10, 200, 99)
    assert " ".join(lines) == ("severity of the alarm " * 10).strip()
    assert all(sheet._font(sheet.FONT_SIZE).getlength(line) <= 200 for line in lines)
    assert "".join(wrap("x" * 500, 200, 99)) == "x" * 500
    short = wrap("x" * 500, 200, 2)
    assert len(short) == 2
    assert short[-1].endswith("…")


@pytest.mark.parametrize(
    "changes",
    [
        {"anomaly_map": None},
        {"scores": []},
        {"seconds": 0.4, "scores": [], "anomaly_map": None, "window": Span(start=0, end=0.4)},
        {"sound": SpectrogramLayer(np.full((938, 64), -100.0), SPEC, "sound", "dB")},
        {"anomaly_map": SpectrogramLayer(np.full((938, 64), np.nan), SPEC, "e", "spreads", is_anomaly_map=True)},
        {"scores": [ScoreEntry(start=0, end=10, verdict="invalid", score=None, threshold=None)]},
    ],
)
def test_what_is_odd_is_drawn_too(changes):
    colours = pixels(picture(**changes))
    assert count(colours[:4], PAPER) == colours[:4, :, 0].size
    assert count(colours, INK) > 500
