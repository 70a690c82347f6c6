"""Recordings played through a real capture child, as if a microphone heard them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import resample
from asd_agent.audio.source import CaptureSource
from asd_agent.config.sources import FileSettings
from rigs.listening import Listener

SPEED = 40.0


def source_of(
    path: Path, *, channels: tuple[int, ...] = (0,), speed: float = SPEED, loop: bool = False
) -> CaptureSource:
    settings = FileSettings(kind="file", path=path, channels=channels, speed=speed, loop=loop)
    return CaptureSource("press", settings, seconds=120)


def heard(source: CaptureSource) -> np.ndarray:
    return source.ring.read(0, source.ring.end).samples


def test_a_recording_is_heard_to_the_sample_and_then_over(recording: Path, noise: np.ndarray):
    with Listener(source_of(recording)) as listener:
        listener.state("ended")
    source = listener.source
    assert np.array_equal(heard(source)[:, 0] * 32768, noise)
    assert listener.states == ["healthy", "ended"]
    assert source.counters.samples == len(noise)
    assert (source.counters.gaps, source.counters.restarts) == (0, 0)
    assert source.ring.read(0, source.ring.end).gaps == ()
    assert not source.alive


def test_another_rate_and_one_of_its_channels(tmp_path: Path):
    both = np.random.default_rng(1).uniform(-0.5, 0.5, (44_100 * 3, 2)).astype(np.float32)
    soundfile.write(tmp_path / "stereo.flac", both, 44_100, subtype="PCM_24")
    with Listener(source_of(tmp_path / "stereo.flac", channels=(1,))) as listener:
        listener.state("ended")
    whole = resample(both[:, 1], 44_100, 16_000)
    assert listener.source.ring.end == pytest.approx(len(whole), abs=1)
    got = heard(listener.source)[: len(whole), 0]
    assert np.abs(got - whole[: len(got)]).max() < 1e-4


def test_channels_keep_the_order_that_was_asked_for(tmp_path: Path):
    levels = np.repeat([[0.1, 0.2, 0.3]], 16_000, axis=0)
    soundfile.write(tmp_path / "three.wav", levels, 16_000, subtype="FLOAT")
    source = source_of(tmp_path / "three.wav", channels=(2, 0))
    with Listener(source) as listener:
        listener.state("ended")
    assert heard(source)[0] == pytest.approx([0.3, 0.1])
    assert (source.column(2), source.column(0)) == (0, 1)


def test_a_folder_is_played_in_the_order_of_its_names_and_damage_is_passed_over(tmp_path: Path):
    for name, value in (("b.wav", 0.2), ("a.wav", 0.1), ("d.flac", 0.4)):
        soundfile.write(tmp_path / name, np.full(8000, value), 16_000, subtype="PCM_16")
    (tmp_path / "c.wav").write_bytes(b"RIFF, or so it says")
    (tmp_path / "notes.txt").write_text("not sound")
    with Listener(source_of(tmp_path)) as listener:
        listener.state("ended")
    levels = heard(listener.source)[::8000, 0]
    assert levels == pytest.approx([0.1, 0.2, 0.4], abs=1e-4)
    assert listener.source.counters.skipped == 1


def test_hidden_files_are_no_recordings_and_a_cut_one_is_played_and_reported(tmp_path: Path):
    for name in ("a.wav", "._a.wav", ".unfinished-b.wav"):
        soundfile.write(tmp_path / name, np.full(16_000, 0.25), 16_000, subtype="FLOAT")
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-400])
    soundfile.write(tmp_path / "low.wav", np.full(16_000, 0.25), 8_000)
    with Listener(source_of(tmp_path)) as listener:
        listener.state("ended")
    assert len(heard(listener.source)) == 15_900
    texts = [notice.text.split(": ", 1)[1] for notice in listener.source.take_notices()]
    assert [text.split(",")[0] for text in texts] == ["truncated", "recorded at 8000 Hz"]


def test_a_loop_begins_again_without_a_seam(recording: Path, noise: np.ndarray):
    with Listener(source_of(recording, loop=True)) as listener:
        listener.until(lambda: listener.source.ring.end >= 2.5 * len(noise))
    twice = heard(listener.source)[: 2 * len(noise), 0] * 32768
    assert np.array_equal(twice, np.concatenate((noise, noise)))


def test_real_time_is_kept_and_moments_are_true(recording: Path):
    with Listener(source_of(recording, speed=1.0)) as listener:
        listener.state("ended")
    source = listener.source
    for end, seen in listener.arrivals[:-1]:
        assert source.monotonic(end) <= seen
    assert source.monotonic(48_000) - source.monotonic(0) == pytest.approx(3.0)
    assert source.utc(16_000) - source.utc(0) == pytest.approx(1.0)
    before, wall, after = time.monotonic(), time.time(), time.monotonic()
    # The source read both clocks one after the other as well.
    assert before - 0.5 <= wall - source.utc(0) + source.monotonic(0) <= after + 0.5


def test_a_fast_recording_runs_on_its_own_time_line(recording: Path):
    with Listener(source_of(recording, speed=100.0)) as listener:
        listener.state("ended")
    source = listener.source
    assert source.utc(48_000) - source.utc(0) == pytest.approx(3.0)
    assert source.monotonic(48_000) - source.monotonic(0) == pytest.approx(0.03, abs=1e-3)


def test_a_killed_child_goes_on_where_time_has_got_to(tmp_path: Path):
    ramp = np.arange(16_000 * 60, dtype=np.float32) / 2**20
    soundfile.write(tmp_path / "ramp.wav", ramp, 16_000, subtype="FLOAT")
    source = source_of(tmp_path / "ramp.wav", speed=4.0)
    with Listener(source) as listener:
        listener.more(2)
        source._child.kill()
        listener.state("restarting")
        listener.state("healthy")
        listener.more(2)
    got = source.ring.read(0, source.ring.end)
    (gap,) = got.gaps
    index = np.arange(source.ring.end)
    there = (index < gap.first) | (index >= gap.end)
    assert np.abs(got.samples[there, 0] * 2**20 - index[there]).max() <= 0.05 * 16_000
    assert source.counters.restarts == 1


def test_a_recording_that_is_not_there_fails_with_its_name_and_is_found_when_it_comes(tmp_path: Path, recording: Path):
    path = tmp_path / "later.wav"
    with Listener(source_of(path)) as listener:
        listener.until(lambda: listener.source.attempted)
        assert str(path) in listener.source.status.reason
        assert listener.source.state == "starting"
        recording.rename(path)
        listener.state("ended")


@pytest.mark.parametrize("empty", [True, False])
def test_a_recording_that_holds_nothing_to_play_says_so(tmp_path: Path, empty: bool):
    path = tmp_path / "one.wav"
    soundfile.write(path, np.zeros(0 if empty else 100), 16_000)
    with Listener(source_of(path, channels=(0,) if empty else (3,))) as listener:
        listener.until(lambda: listener.source.attempted)
        assert ("holds no samples" if empty else "has no channel 3") in listener.source.status.reason


def test_silence_in_a_recording_is_said(tmp_path: Path):
    soundfile.write(tmp_path / "zeros.wav", np.zeros(16_000 * 20), 16_000)
    with Listener(source_of(tmp_path / "zeros.wav")) as listener:
        listener.state("ended")
    assert listener.states == ["healthy", "silent", "ended"]


def test_the_level_is_that_of_the_last_second(tmp_path: Path):
    loud = np.random.default_rng(0).standard_normal(16_000 * 30) * 0.1
    soundfile.write(tmp_path / "loud.wav", loud, 16_000)
    with Listener(source_of(tmp_path / "loud.wav", speed=10)) as listener:
        listener.more(10)
        assert listener.source.counters.level_dbfs == pytest.approx(-20, abs=0.5)


def test_stop_ends_the_child_and_the_thread_at_once(recording: Path):
    source = source_of(recording, speed=0.1)
    with Listener(source) as listener:
        listener.state("healthy")
        child = source._child
        source.take_changes()
    assert child.returncode is not None
    assert not source.alive
    assert source.take_changes() == []


def test_the_service_is_woken_by_samples_and_by_the_end(recording: Path):
    wake, states = threading.Event(), []
    source = CaptureSource("press", FileSettings(kind="file", path=recording, speed=SPEED), wake=wake)
    source.start()
    while "ended" not in states:
        assert wake.wait(60), f"not woken after {states}"
        wake.clear()
        states.append(source.state)
    source.stop()
    assert "healthy" in states


def test_sound_before_the_awaited_sample_wakes_nobody(recording: Path):
    ends: list[int] = []

    class Wake(threading.Event):
        def set(self) -> None:
            ends.append(source.ring.end)
            super().set()

    source = CaptureSource("press", FileSettings(kind="file", path=recording, speed=SPEED), wake=Wake())
    source.wake_at(10**9)
    with Listener(source) as listener:
        listener.state("ended")
    blocks = 8  # of 0.4 s each: 0.1 s, times a tenth of the speed
    assert source.ring.end > 6400 * (blocks - 1)
    assert len(set(ends)) < blocks / 2  # only changes of state and notices woke it


def test_a_recording_waits_for_its_readers_however_fast_it_is_played(tmp_path: Path):
    ramp = np.arange(16_000 * 100, dtype=np.float32) / 2**21
    soundfile.write(tmp_path / "ramp.wav", ramp, 16_000, subtype="FLOAT")
    source = CaptureSource("press", FileSettings(kind="file", path=tmp_path / "ramp.wav", speed=10_000.0))
    read = []
    with Listener(source) as listener:
        while len(read) < 10:
            source.keep_from(len(read) * 160_000)
            listener.until(lambda: source.ring.end >= (len(read) + 1) * 160_000)
            listener.until(lambda: not source.wait(0.3))
            read.append(source.ring.read(len(read) * 160_000, 160_000))
        source.keep_from(source.ring.end)
        listener.state("ended")
    assert np.array_equal(np.concatenate([stretch.samples[:, 0] for stretch in read]), ramp)
    assert source.counters.gaps == 0
