"""Windows become clips: numbered on, whole, and only good ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.recording import CLIP_SAMPLES, ClipCounts, ClipFolder, continues, record_clips
from asd_agent.audio.window_source import SoundWindow
from asd_agent.errors import AudioError
from asd_trainer.data.clips import load_clips
from asd_trainer.data.dataset import scan
from rigs.bundles import hum


def place(folder: Path) -> ClipFolder:
    return ClipFolder(folder, "fan", "00", "source", "20270115T0800")


def window(signal: np.ndarray, number: int = 0, *, has_gap: bool = False) -> SoundWindow:
    return SoundWindow(signal, has_gap, number * CLIP_SAMPLES)


def good(seed: int) -> SoundWindow:
    return window(hum(10, seed), seed)


def test_clips_hold_the_sound_and_lie_as_the_trainer_reads_them(tmp_path):
    tally = ClipCounts()
    assert len(list(record_clips(map(good, range(9)), place(tmp_path), 2, tally))) == 2
    assert tally.kept == 2
    (machine,) = (data := scan(tmp_path)).machines
    clips = data.select(machine=machine, split="train", label="normal")
    assert [(c.section, c.domain, c.index) for c in clips] == [("00", "source", 0), ("00", "source", 1)]
    sound, rate = soundfile.read(clips[1].path, dtype="float32")
    assert (rate, len(sound)) == (16_000, CLIP_SAMPLES)
    np.testing.assert_allclose(sound, hum(10, 1), atol=1 / 32768)


def test_five_minutes_are_one_recording_which_is_held_out_as_a_whole(tmp_path):
    list(record_clips((good(1) for _ in range(40)), place(tmp_path), 31, ClipCounts()))
    clips = scan(tmp_path).select(machine="fan", split="train", label="normal")
    assert [c.recording for c in clips] == ["20270115T0800b0"] * 30 + ["20270115T0800b1"]


def test_sound_is_contiguous_across_blocks_and_not_across_a_refused_window_a_gap_or_a_call(tmp_path):
    one = hum(10, 1)
    quiet = window(np.zeros(CLIP_SAMPLES, dtype=np.float32), 32)
    windows = [*(window(one, i) for i in range(32)), quiet, window(one, 33), window(one, 34), window(one, 40)]
    list(record_clips(windows, place(tmp_path), 35, ClipCounts()))
    later = ClipFolder(tmp_path, "fan", "00", "source", "20270115T0900")
    list(record_clips([window(one, 41)], later, 1, ClipCounts()))
    clips = sorted(scan(tmp_path).select(machine="fan", split="train", label="normal"), key=lambda c: c.index)
    assert len(clips) == 36
    breaks = [c.index for before, c in pairwise(clips) if not c.continues(before)]
    assert breaks == [32, 34, 35]
    assert load_clips(clips).follows.tolist() == [i > 0 and i not in breaks for i in range(36)]
    assert len({c.recording for c in clips}) == 3  # blocks of five minutes are held out, whatever was refused


def test_clips_that_an_earlier_version_recorded_are_not_taken_as_contiguous():
    assert not continues("20270115T0800b0", 5, "20270115T0800b0", 4)
    assert continues("monday", 5, "monday", 4)
    assert continues("monday-b1", 30, "monday-b0", 29)
    assert not continues("monday-b0", 6, "monday-b0", 4)
    assert not continues("tuesday", 5, "monday", 4)


def test_numbers_go_on_from_what_is_there_and_other_sections_are_left_alone(tmp_path):
    list(record_clips(map(good, range(2)), place(tmp_path), 2, ClipCounts()))
    list(record_clips([good(5)], ClipFolder(tmp_path, "fan", "01", "source", "x"), 1, ClipCounts()))
    list(record_clips([good(6)], place(tmp_path), 1, ClipCounts()))
    assert place(tmp_path).numbers() == [0, 1, 2]
    assert ClipFolder(tmp_path, "fan", "01", "source", "x").numbers() == [0]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (window(np.zeros(CLIP_SAMPLES, dtype=np.float32)), "silence"),
        (window(hum(10, 1), has_gap=True), "gap"),
        (window(np.clip(50 * hum(10, 1), -1, 1).astype(np.float32)), "clipping"),
        (window(np.where(np.arange(CLIP_SAMPLES) == 7, np.nan, hum(10, 1)).astype(np.float32)), "not_finite"),
    ],
)
def test_what_is_no_good_is_refused_and_counted(tmp_path, bad, why):
    tally = ClipCounts()
    seen = list(record_clips([bad, good(1)], place(tmp_path), 1, tally))
    assert dict(tally.refused) == {why: 1}
    assert why in seen[0][1].reasons
    assert place(tmp_path).numbers() == [0]


def test_what_a_killed_recording_left_half_written_is_removed(tmp_path):
    place(tmp_path).train.mkdir(parents=True)
    left = place(tmp_path).train / f".unfinished-{place(tmp_path).path(0).name}"
    left.write_bytes(b"RIFF")
    list(record_clips([good(1)], place(tmp_path), 1, ClipCounts()))
    assert not left.exists()
    assert len(list(place(tmp_path).train.iterdir())) == 1


def test_a_disk_that_refuses_is_named(tmp_path):
    (tmp_path / "fan").write_text("not a folder")
    with pytest.raises(AudioError, match="cannot be written"):
        list(record_clips([good(1)], place(tmp_path), 1, ClipCounts()))
