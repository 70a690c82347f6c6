"""A microphone that PulseAudio pretends to be: heard to the sample, lost in every way, and found again."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.quality import assess
from asd_agent.audio.ring import Stretch
from asd_agent.audio.source import CaptureSource
from asd_agent.audio.source_state import SourceTimeouts
from asd_agent.config.sources import MicrophoneSettings
from rigs.listening import Listener
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

pytestmark = pytest.mark.rig

TRUE_WITHIN = 0.4
"""Seconds; what a loaded machine does to a sound server and the outages of these tests, a second and more, lie apart
by far. test_sample_clock.py holds 50 ms with a clock of its own."""


@pytest.fixture
def microphone(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualMicrophone]:
    with VirtualMicrophone() as rig:
        for name, value in rig.environment.items():
            monkeypatch.setenv(name, value)
        yield rig


UNHURRIED = SourceTimeouts(stall=PATIENCE, first_sample=PATIENCE, at_boot=PATIENCE)
"""For tests of sources that are not lost: no machine is so slow that one is taken to be."""


def source_of(
    *, rate: int | None = 16_000, channels: tuple[int, ...] = (0,), timeouts: SourceTimeouts = UNHURRIED
) -> CaptureSource:
    settings = MicrophoneSettings(kind="microphone", device=DEVICE, rate=rate, channels=channels)
    return CaptureSource("press-mic", settings, timeouts=timeouts)


def place_of(stretch: Stretch, sound: np.ndarray) -> int:
    """Index of the first sample of `sound`, judged by this stretch of it (cross-correlation)."""
    size = 1 << (len(sound) + len(stretch.samples)).bit_length()
    spectrum = np.fft.rfft(sound.astype(np.float64), size) * np.conj(np.fft.rfft(stretch.samples[:, 0], size))
    shift = int(np.argmax(np.fft.irfft(spectrum, size)))
    return stretch.first - (shift if shift < size // 2 else shift - size)


def wait_true(listener: Listener, origin: float | None = None) -> float:
    """Listen for a second, and on until a sample has arrived so soon after its moment that this moment must be true.

    Args:
        listener: With a source that is heard.
        origin: Monotonic time of sample 0, to which the arrivals have to come as near.

    Returns:
        The monotonic time of sample 0 by the soonest arrival, whatever the source thinks of its samples' moments.
    """
    listener.arrivals.clear()
    listener.more(1.0)

    def soonest() -> float:
        return min(seen - end / 16_000 for end, seen in listener.arrivals)

    def true() -> bool:
        lag = min(seen - listener.source.monotonic(end) for end, seen in listener.arrivals)
        assert lag >= -0.005  # no sample is heard before its moment
        return lag < TRUE_WITHIN and (origin is None or soonest() < origin + TRUE_WITHIN)

    listener.until(true)
    return soonest()


def test_what_is_played_is_heard_to_the_sample(microphone: VirtualMicrophone, recording: Path, noise: np.ndarray):
    with Listener(source_of()) as listener:
        source = listener.source
        listener.state("healthy")
        microphone.play(recording)
        listener.until(lambda: source.counters.level_dbfs > -50)
        listener.more(len(noise) / 16_000 + 1)
        got = source.ring.read(0, source.ring.end)
        wait_true(listener)
    first = int(np.flatnonzero(got.samples)[0])
    assert np.array_equal(got.samples[first : first + len(noise), 0] * 32768, noise)
    assert got.gaps == ()
    assert (source.opened["device"], source.opened["rate"], source.opened["channels"]) == (DEVICE, 16_000, [0])


def test_a_device_at_another_rate_is_resampled(microphone: VirtualMicrophone, tmp_path: Path):
    tone = 0.25 * np.sin(2 * np.pi * 1000 * np.arange(16_000 * 5) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    with Listener(source_of(rate=44_100)) as listener:
        listener.state("healthy")
        player = microphone.play(tmp_path / "tone.wav")
        listener.until(lambda: listener.source.counters.level_dbfs > -20)
        listener.more(1)
        end = listener.source.ring.end
        got = listener.source.ring.read(end - 16_000, 16_000).samples[:, 0]
        player.kill()
    spectrum = np.abs(np.fft.rfft(got * np.hanning(16_000))) / 4000
    assert listener.source.opened["rate"] == 44_100
    assert int(np.argmax(spectrum)) == 1000
    assert spectrum[1000] == pytest.approx(0.25, rel=0.02)
    assert spectrum[1010:].max() < 1e-3


def suspend(microphone: VirtualMicrophone, _source: CaptureSource) -> Callable[[], None]:
    microphone.suspend()
    return microphone.resume


def unplug(microphone: VirtualMicrophone, _source: CaptureSource) -> Callable[[], None]:
    microphone.unplug()
    return microphone.plug


def kill_server(microphone: VirtualMicrophone, _source: CaptureSource) -> Callable[[], None]:
    microphone.kill()
    return microphone.start


def kill_child(_microphone: VirtualMicrophone, source: CaptureSource) -> Callable[[], None]:
    os.kill(source._child.pid, signal.SIGKILL)
    return lambda: None


def stop_child(_microphone: VirtualMicrophone, source: CaptureSource) -> Callable[[], None]:
    os.kill(source._child.pid, signal.SIGSTOP)
    return lambda: None


@pytest.mark.parametrize("lose", [suspend, unplug, kill_server, kill_child, stop_child])
def test_a_lost_microphone_is_noticed_said_and_found_again(microphone: VirtualMicrophone, lose: Callable):
    with Listener(source_of(timeouts=SourceTimeouts())) as listener:
        source = listener.source
        listener.state("healthy")
        origin = wait_true(listener)
        before, restarts = source.ring.end, source.counters.restarts
        give_back = lose(microphone, source)
        listener.state("stalled", "restarting")
        listener.state("restarting", "failed")
        assert source.status.reason
        give_back()
        listener.state("healthy", "silent")
        assert wait_true(listener, origin) > origin - TRUE_WITHIN
        window = source.ring.read(before - 8000, 24_000)
    assert isinstance(window, Stretch)
    assert window.has_gap
    assert assess(window.samples[:, 0], has_gap=window.has_gap).verdict == "invalid"
    counters = source.counters
    assert counters.gaps >= 1
    assert counters.samples + counters.samples_lost == source.ring.end
    assert counters.restarts > restarts


def test_sound_lies_in_its_place_after_a_restart(microphone: VirtualMicrophone, tmp_path: Path):
    long = (3000 * np.random.default_rng(5).standard_normal(16_000 * 12)).astype(np.int16)
    soundfile.write(tmp_path / "long.wav", long, 16_000)
    with Listener(source_of()) as listener:
        source = listener.source
        listener.state("healthy")
        player = microphone.play(tmp_path / "long.wav")
        listener.until(lambda: source.counters.level_dbfs > -30)
        listener.more(1)
        before = source.ring.read(source.ring.end - 8000, 8000)
        kill_child(microphone, source)
        listener.state("restarting")
        listener.state("healthy")
        listener.more(1)
        after = source.ring.read(source.ring.end - 8000, 8000)
        player.kill()
    assert not before.has_gap
    assert not after.has_gap
    assert abs(place_of(after, long) - place_of(before, long)) / 16_000 < TRUE_WITHIN


def test_a_microphone_that_is_absent_at_the_start_is_waited_for(microphone: VirtualMicrophone):
    microphone.kill()
    with Listener(source_of()) as listener:
        listener.until(lambda: listener.source.attempted)
        assert listener.source.state == "starting"
        assert "waiting for it" in listener.source.status.reason
        microphone.start()
        listener.state("healthy")
        listener.more(0.5)
    ring = listener.source.ring
    assert ring.read(0, 1).has_gap  # the time before it came counts, as a gap
    assert not ring.read(ring.end - 4000, 4000).has_gap


def test_a_channel_that_the_device_does_not_have_is_named(microphone: VirtualMicrophone):
    with Listener(source_of(channels=(0, 77))) as listener:
        listener.until(lambda: listener.source.attempted)
        assert f"microphone '{DEVICE}' has no channel 77" in listener.source.status.reason


def test_a_microphone_hung_for_a_moment_loses_nothing_or_says_what(microphone: VirtualMicrophone):
    with Listener(source_of()) as listener:
        source = listener.source
        listener.state("healthy")
        listener.more(0.5)
        stop_child(microphone, source)
        held = time.monotonic() + 1.2  # longer than the system keeps sound for a reader that is late
        listener.until(lambda: time.monotonic() > held)
        os.kill(source._child.pid, signal.SIGCONT)
        listener.more(3)
        wait_true(listener)
    assert "restarting" not in listener.states
    assert source.counters.samples + source.counters.samples_lost == source.ring.end


def test_an_agent_that_is_held_up_for_seconds_blames_no_microphone_and_loses_nothing(microphone: VirtualMicrophone):
    patience = SourceTimeouts(stall=2.0, first_sample=PATIENCE, at_boot=PATIENCE)
    with Listener(source_of(timeouts=patience)) as listener:
        source = listener.source
        listener.state("healthy")
        # As ONNX Runtime does while it creates a session, this keeps the interpreter's lock.
        ctypes.PyDLL(None).sleep(4)
        listener.more(5)
        wait_true(listener)
    assert not {"stalled", "restarting"} & set(listener.states)
    assert (source.counters.drops, source.counters.restarts) == (0, 0)
    assert source.counters.samples + source.counters.samples_lost == source.ring.end
