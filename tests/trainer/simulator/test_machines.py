"""Sound of one simulated run: the same for the same seed, continuous, and changed by faults as physics demands."""

import numpy as np
import pytest
import scipy.signal

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.errors import UsageError
from asd_trainer.simulator import MACHINES, faults, render, stream
from asd_trainer.simulator.defects import Bearing
from asd_trainer.simulator.fan import FAN, Fan
from asd_trainer.simulator.parts import Filtered, Ringing, SlowNoise, Turning
from asd_trainer.simulator.seeding import SeedPath
from asd_trainer.simulator.valve import Valve

SEVEN = ["ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve"]
TEN_SECONDS = 10 * SAMPLE_RATE


def dry(voice, faults=None, seconds=10):
    return voice.take(seconds * SAMPLE_RATE, faults or {})


def spectrum_at(signal, hz):
    """Amplitude of the strongest line within 1 % of a frequency over the median of its surroundings."""
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    at = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE)
    near = np.abs(at / hz - 1) < 0.01
    around = np.abs(at / hz - 1) < 0.15
    return power[near].max() / np.median(power[around])


def envelope(signal, low, high):
    sos = scipy.signal.butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    heard = np.abs(scipy.signal.hilbert(scipy.signal.sosfiltfilt(sos, signal)))
    return heard - heard.mean()


def test_the_seven_machines_have_faults():
    assert sorted(MACHINES) == SEVEN
    for machine in SEVEN:
        assert len(faults(machine)) >= 4
        assert all(name.replace("-", "").isalpha() for name in faults(machine))  # one word of a file name


@pytest.mark.parametrize("machine", SEVEN)
def test_the_same_arguments_give_the_same_samples_and_others_do_not(machine):
    def sound(section=0, domain="source", seed=1, fault=None, severity=0.0):
        clip, _ = render(machine, section, domain, seed=seed, fault=fault, severity=severity, seconds=2.0)
        return clip

    first = sound()
    assert first.shape == (2 * SAMPLE_RATE,)
    assert first.dtype == np.float32
    assert np.array_equal(first, sound())
    for other in (sound(section=1), sound(domain="target"), sound(seed=2)):
        assert not np.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize("machine", SEVEN)
def test_every_clip_is_at_a_level_that_a_recorder_would_choose(machine):
    for domain in ("source", "target"):
        clip, _ = render(machine, 0, domain, seed=3, seconds=5.0)
        assert 0.01 < np.sqrt(np.mean(clip**2)) < 0.2
        assert np.mean(np.abs(clip) >= 1.0) < 1e-4
        assert abs(clip.mean()) < 0.01


@pytest.mark.parametrize("machine", SEVEN)
def test_severity_0_of_any_fault_is_the_healthy_machine_and_1_is_not(machine):
    healthy, _ = render(machine, 0, "source", seed=4, seconds=2.0)
    for fault in faults(machine):
        none, _ = render(machine, 0, "source", seed=4, fault=fault, severity=0.0, seconds=2.0)
        full, _ = render(machine, 0, "source", seed=4, fault=fault, severity=1.0, seconds=2.0)
        assert np.array_equal(none, healthy)
        assert np.sqrt(np.mean((full - healthy) ** 2)) > 0.02 * np.sqrt(np.mean(healthy**2))


@pytest.mark.parametrize("machine", SEVEN)
def test_a_stream_does_not_depend_on_its_chunks(machine):
    schedule = [(3.0, 8.0, faults(machine)[0], 0.7), (6.0, 11.5, faults(machine)[1], 0.4)]
    chunks = {
        seconds: np.concatenate(
            list(stream(machine, 1, "source", seed=9, seconds=12.5, schedule=schedule, chunk_seconds=seconds))
        )
        for seconds in (1.0, 10.0)
    }
    assert chunks[1.0].shape == (25 * SAMPLE_RATE // 2,)
    assert np.array_equal(chunks[1.0], chunks[10.0])


@pytest.mark.parametrize("machine", SEVEN)
def test_a_stream_does_not_break_where_its_blocks_meet(machine):
    whole = np.concatenate(list(stream(machine, 0, "source", seed=5, seconds=11.0)))
    seam = np.abs(np.diff(whole[TEN_SECONDS - 50 : TEN_SECONDS + 50]))
    usual = np.abs(np.diff(whole[TEN_SECONDS - 8000 : TEN_SECONDS + 8000]))
    assert seam[45:55].max() <= usual.max()
    clip, _ = render(machine, 0, "source", seed=5)
    assert np.array_equal(whole[:TEN_SECONDS], clip)


def test_a_fault_is_heard_in_its_time_alone():
    schedule = [(2.0, 4.0, "rub", 1.0)]
    healthy = np.concatenate(list(stream("fan", 0, "source", seed=6, seconds=8.0)))
    faulty = np.concatenate(list(stream("fan", 0, "source", seed=6, seconds=8.0, schedule=schedule)))
    change = np.abs(faulty - healthy).reshape(-1, SAMPLE_RATE // 2).max(axis=1)
    assert np.all(change[:3] == 0)
    assert np.all(change[4:8] > 0.01)
    assert np.all(change[10:] < 1e-6)  # the room's echo has died away


def test_a_bearing_defect_raises_the_envelope_spectrum_at_bpfo():
    unit, run = SeedPath(("fan", "00")), SeedPath(("run", "1"))
    healthy, faulty = Fan(unit, "source", run), Fan(unit, "source", run)
    bpfo = healthy.bearing.outer * healthy.hz
    before = spectrum_at(envelope(dry(healthy), 2000, 7000), bpfo)
    after = spectrum_at(envelope(dry(faulty, {"bearing": FAN.faults["bearing"]}), 2000, 7000), bpfo)
    assert before < 4
    assert after > 5 * before


def test_bearing_frequencies_follow_their_geometry():
    bearing = Bearing(balls=9, ratio=0.2)
    assert bearing.outer == pytest.approx(3.6)
    assert bearing.inner == pytest.approx(5.4)
    assert bearing.outer + bearing.inner == bearing.balls


def test_imbalance_raises_the_first_shaft_order():
    unit, run = SeedPath(("fan", "01")), SeedPath(("run", "2"))
    healthy, faulty = Fan(unit, "source", run), Fan(unit, "source", run)
    assert spectrum_at(dry(faulty, {"imbalance": 1.0}), healthy.hz) > 3 * spectrum_at(dry(healthy), healthy.hz)


def test_the_fan_sounds_its_blade_pass():
    fan = Fan(SeedPath(("fan", "02")), "source", SeedPath(("run", "3")))
    assert spectrum_at(dry(fan), fan.blades * fan.hz) > 5


def clicks(signal):
    loud = envelope(signal, 900, 6000)
    peaks, _ = scipy.signal.find_peaks(loud, height=0.4, distance=SAMPLE_RATE // 25)
    return len(peaks)


def test_missing_strokes_click_less():
    unit, run = SeedPath(("valve", "00")), SeedPath(("run", "4"))
    healthy = clicks(dry(Valve(unit, "source", run)))
    faulty = clicks(dry(Valve(unit, "source", run), {"missing": 0.6}))
    assert healthy >= 10
    assert faulty < 0.7 * healthy


def test_a_leak_hisses_while_the_valve_is_closed():
    unit, run = SeedPath(("valve", "03")), SeedPath(("run", "5"))
    quiet, leaking = (
        np.quantile(np.abs(scipy.signal.hilbert(dry(Valve(unit, "source", run), amounts))), 0.05)
        for amounts in ({}, {"leak": 0.2})
    )
    assert leaking > 1.5 * quiet


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("toaster", 0, "source"), "toaster"),
        (("fan", 100, "source"), "100"),
        (("fan", "x", "source"), "'x'"),
        (("fan", 0, "site"), "site"),
    ],
)
def test_what_is_impossible_is_refused_by_name(arguments, said):
    with pytest.raises(UsageError, match=said):
        render(*arguments, seed=0)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"fault": "flat", "severity": 0.5}, "flat"),
        ({"fault": "rub", "severity": 1.5}, r"1\.5"),
        ({"seconds": 0.0}, "too short"),
    ],
)
def test_an_impossible_fault_or_length_is_refused(keywords, said):
    with pytest.raises(UsageError, match=said):
        render("fan", 0, "source", seed=0, **keywords)


def test_drift_has_standard_deviation_1_from_the_start():
    rng = np.random.default_rng(0)
    starts = np.array([SlowNoise(rng, 0.5).take(64)[-1] for _ in range(2000)])
    assert starts.std() == pytest.approx(1.0, abs=0.06)
    assert SlowNoise(rng, 0.05).take(64 * 60_000).std() == pytest.approx(1.0, abs=0.06)


def test_filtering_in_blocks_is_filtering_the_whole():
    rng = np.random.default_rng(1)
    signal, response = rng.standard_normal(6400), rng.standard_normal(300)
    filtered = Filtered(response)
    blocks = [filtered.take(part) for part in np.split(signal, [64, 2560, 2624])]
    assert np.allclose(np.concatenate(blocks), np.convolve(signal, response)[:6400], atol=1e-9)


def test_a_mode_rings_at_its_frequency_and_decays_in_its_time():
    blow = np.zeros(SAMPLE_RATE)
    blow[0] = 1.0
    heard = Ringing([(1000.0, 0.05, 2.0)]).take(blow)
    n = np.arange(SAMPLE_RATE)
    expected = 2.0 * np.exp(-n / (0.05 * SAMPLE_RATE)) * np.sin(2 * np.pi * 1000 * n / SAMPLE_RATE)
    assert np.allclose(heard, expected, atol=1e-9)


def test_ticks_come_once_a_turn_over_any_number_of_blocks():
    turning = Turning(0.9)
    blocks = [turning.take(np.full(640, 1 / 100)) for _ in range(10)]
    at = np.concatenate([640 * i + block.ticks(offset=0.25) for i, block in enumerate(blocks)])
    assert len(at) == 64
    assert np.all(np.abs(np.diff(at) - 100) <= 1)
