"""Windows of a recording: their times, unusable ones, and the alarms of a monitor's rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.alarm import ScoredWindow
from asd_agent.bundle import Bundle
from asd_agent.config.model import RaiseAfter
from asd_agent.errors import AudioError
from asd_agent.inference.scorer import BundleScorer
from asd_agent.recording_scores import RecordingSettings, alarms, fitted_rule, score_recording
from rigs.bundles import RATE, hum, write_wav

THREE_OF_FOUR = RaiseAfter(k=3, n=4)


@pytest.fixture(scope="module")
def scorer(bundle_path: Path) -> BundleScorer:
    return BundleScorer(Bundle.open(bundle_path))


def stereo(path: Path, *columns: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, np.stack(columns, axis=1), rate, subtype="PCM_16")
    return path


@pytest.mark.parametrize(
    ("seconds", "hop", "starts"),
    [
        (10, 5, [0]),
        (12, 5, [0, 2]),
        (20, 5, [0, 5, 10]),
        (23, 5, [0, 5, 10, 13]),
        (31, 10, [0, 10, 20, 21]),
        (47, 30, [0, 30, 37]),
        (9.9995, 5, [0]),
    ],
)
def test_windows_lie_at_the_hop_and_the_last_one_ends_with_the_recording(
    scorer: BundleScorer, tmp_path: Path, seconds: float, hop: float, starts: list[float]
):
    sound = hum(seconds, 7)
    path = write_wav(tmp_path / "a.wav", sound)
    result = score_recording(scorer, path, RecordingSettings(hop_seconds=hop))
    assert [w.start for w in result.windows] == starts
    kept, _ = soundfile.read(path, dtype="float32")
    kept = np.pad(kept, (0, max(0, 10 * RATE - len(kept))), mode="edge")
    for window in result.windows:
        first = round(window.start * RATE)
        alone = scorer.score(kept[None, first : first + 10 * RATE], "00", "source")[0].score
        assert window.score == pytest.approx(alone, abs=1e-9)


def test_less_than_a_millisecond_may_be_missing_and_no_more(scorer: BundleScorer, tmp_path: Path):
    path = write_wav(tmp_path / "a.wav", hum(10, 1)[: 10 * RATE - 17])
    with pytest.raises(AudioError, match=r"159983 samples at 16000 Hz \(9\.999 s\) are fewer than the 160000"):
        score_recording(scorer, path, RecordingSettings())


def test_one_channel_of_several_is_scored_alone(scorer: BundleScorer, tmp_path: Path):
    left, right = hum(10, 1), hum(10, 2, knocks=True)
    path = stereo(tmp_path / "a.wav", left, right)
    alone = {c: score_recording(scorer, path, RecordingSettings(channel=c)) for c in (0, 1)}
    assert [r.is_anomalous for r in alone.values()] == [False, True]
    assert score_recording(scorer, path, RecordingSettings()).warnings == (f"{path}: 2 channels averaged to one",)


def test_a_dead_channel_that_is_averaged_makes_windows_suspect_and_is_named(scorer: BundleScorer, tmp_path: Path):
    path = stereo(tmp_path / "a.wav", np.zeros(10 * RATE), hum(10, 1))
    result = score_recording(scorer, path, RecordingSettings())
    assert result.windows[0].suspect
    assert result.windows[0].reasons[0] == "silence"
    assert any("channel 0 is silent" in w for w in result.warnings)
    assert score_recording(scorer, path, RecordingSettings(channel=0)).decisive is None
    assert not score_recording(scorer, path, RecordingSettings(channel=1)).windows[0].suspect


def test_silence_in_the_middle_is_not_scored_and_the_rest_is(scorer: BundleScorer, tmp_path: Path):
    sound = np.concatenate([hum(20, 1), np.zeros(10 * RATE), hum(20, 2)]).astype(np.float32)
    result = score_recording(scorer, write_wav(tmp_path / "a.wav", sound), RecordingSettings(hop_seconds=10))
    assert [w.verdict for w in result.windows] == ["scored", "scored", "invalid", "scored", "scored"]
    assert result.windows[2].score is None
    assert not result.is_anomalous


def test_a_rate_below_16_khz_is_refused_and_one_above_is_resampled(scorer: BundleScorer, tmp_path: Path):
    for rate in (8_000, 15_999):
        soundfile.write(tmp_path / "low.wav", np.tile(hum(10, 1), 1), rate)
        with pytest.raises(AudioError, match=f"recorded at {rate} Hz"):
            score_recording(scorer, tmp_path / "low.wav", RecordingSettings())
    sound = np.repeat(hum(10, 1), 3)
    soundfile.write(tmp_path / "high.wav", sound, 48_000)
    assert "resampled from 48000 Hz" in score_recording(scorer, tmp_path / "high.wav", RecordingSettings()).warnings[0]


def test_thousands_of_channels_are_not_averaged(scorer: BundleScorer, tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros((1_000, 200), np.float32), RATE)
    with pytest.raises(AudioError, match=r"has 200 channels\. Choose one with --channel"):
        score_recording(scorer, tmp_path / "a.wav", RecordingSettings())


def test_the_decisive_score_exceeds_its_threshold_exactly_where_the_rule_raises(scorer: BundleScorer, tmp_path: Path):
    for faulty in (5, 10, 15, 20):
        sound = np.concatenate([hum(30, 1), hum(faulty, 2, knocks=True), hum(30, 3)])
        result = score_recording(scorer, write_wav(tmp_path / "a.wav", sound), RecordingSettings())
        assert result.decisive is not None
        assert result.decisive.over == result.is_anomalous
        assert result.got is not None
        assert result.got.score == result.decisive.score


def windows(over: str) -> list[ScoredWindow]:
    """`x` is over the threshold, `.` below, `-` invalid."""
    made = []
    for index, letter in enumerate(over):
        verdict, score = ("invalid", None) if letter == "-" else ("scored", 2.0 if letter == "x" else 0.0)
        times = {"index": index, "start": 5.0 * index, "end": 5.0 * index + 10}
        made.append(ScoredWindow(**times, verdict=verdict, score=score, threshold=1.0, clear_level=0.5))
    return made


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("....", []),
        (".xx.x.", [(30.0, None)]),
        ("xx..xx", []),
        ("xxx....x", [(20.0, 40.0)]),
        ("x-x--x", [(35.0, None)]),
        ("xxx....xxx....", [(20.0, 40.0), (55.0, 75.0)]),
    ],
)
def test_alarms_of_three_of_four_by_hand(over: str, expected: list[tuple[float, float | None]]):
    assert list(alarms(windows(over), THREE_OF_FOUR)) == expected


@pytest.mark.parametrize(("count", "k", "n"), [(0, 1, 1), (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 3, 4), (50, 3, 4)])
def test_fewer_windows_are_judged_by_the_same_share(count: int, k: int, n: int):
    assert fitted_rule(THREE_OF_FOUR, count) == RaiseAfter(k=k, n=n)
