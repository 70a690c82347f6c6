"""Check of sources: each is opened for a few seconds, through the same child as in service, and its sound is judged."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asd_agent.audio.band import band_edge
from asd_agent.audio.files import SAMPLE_RATE, Signal
from asd_agent.audio.quality import FLOOR_DBFS, QualityLimits, assess
from asd_agent.audio.ring import Missing
from asd_agent.audio.source import CaptureSource
from asd_agent.bundle import Bundle
from asd_agent.config.finding import Finding, ok, problem, warning
from asd_agent.config.model import Config
from asd_agent.doctor.cards import CaptureDevice

LISTEN_SECONDS = 3.0
OPEN_SECONDS = 12.0
"""Time to open a device; PortAudio takes seconds on a slow box."""
_TICK_SECONDS = 0.1


@dataclass(frozen=True)
class ListenResult:
    """Sound of a few seconds.

    Attributes:
        samples: Shape (samples, channels), 16 kHz; None when none came.
        fault: Why none came, or how the source failed; empty when all is well.
        rate: Hz that the device was opened with; None when it was not.
        channels: Number of channels that it was opened with; None likewise.
        resampler: Part that converts to 16 kHz, see `asd_agent.audio.opening.Opening`; None likewise.
        lost: Samples that did not arrive.
        codec: Codec of a stream where it loses sound; else empty.
    """

    samples: Signal | None
    fault: str = ""
    rate: int | None = None
    channels: int | None = None
    resampler: str | None = None
    lost: int = 0
    codec: str = ""


def check_sources(config: Config, bundles: Mapping[Path, Bundle], devices: Sequence[CaptureDevice]) -> list[Finding]:
    """Listen to every source in turn and judge its sound.

    Args:
        config: The configuration.
        bundles: Bundles that can be opened; they hold the usual levels.
        devices: Capture devices of this box.
    """
    return [
        finding
        for name in config.sources
        for finding in judge_source(name, config, listen(name, config), devices, bundles)
    ]


def listen(name: str, config: Config, seconds: float = LISTEN_SECONDS) -> ListenResult:
    """Open a source for a while and return its sound."""
    source = CaptureSource(name, config.sources[name], seconds=seconds + 2.0)
    wanted = round(seconds * SAMPLE_RATE)
    until, pause = time.monotonic() + seconds + OPEN_SECONDS, threading.Event()
    source.start()
    try:
        while source.ring.end < wanted and time.monotonic() < until:
            source.tick(time.monotonic())
            if source.attempted and source.status.state not in {"healthy", "silent"}:
                break
            pause.wait(_TICK_SECONDS)
        status, end = source.status, source.ring.end
        stretch = source.ring.read(max(0, end - wanted), min(end, wanted)) if end else Missing.OVERWRITTEN
        opened = source.opened
        nothing = "it was opened and delivers nothing" if opened else "it does not open"
        fault = "" if status.state in {"healthy", "silent", "ended"} else status.reason or nothing
        # Before the first sample the ring holds gaps alone.
        samples = None if isinstance(stretch, Missing) or not source.counters.samples else stretch.samples.copy()
        return ListenResult(
            samples,
            fault,
            opened.get("rate"),
            opened.get("opened_channels"),
            opened.get("resampler"),
            source.counters.samples_lost,
            str(opened.get("codec", "")) if opened.get("lossy") else "",
        )
    finally:
        source.stop()


def judge_source(
    name: str, config: Config, result: ListenResult, devices: Sequence[CaptureDevice], bundles: Mapping[Path, Bundle]
) -> list[Finding]:
    """Judge the sound of a source."""
    settings = config.sources[name]
    key = f"sources.{name}"
    if result.samples is None or len(result.samples) == 0:
        if settings.hardware is not None:
            return [_not_opened(key, settings.hardware, result, devices)]
        if not settings.files:
            return [problem(key, result.fault or "no sound came", "Is the stream's server up, and its URL right?")]
        return [problem(f"{key}.path", result.fault or "no sound came", "Name a wav or flac recording")]
    found = _opening(key, result)
    if result.rate is not None and result.rate < SAMPLE_RATE:
        text = f"opened at {result.rate} Hz: everything above {result.rate / 2000:g} kHz is missing"
        found.append(warning(f"{key}.rate", text, "Use a microphone that takes 16 kHz or more"))
    if result.codec:
        text = f"codec {result.codec} loses sound: scores differ from those of the sound itself"
        found.append(warning(key, text, "Send PCM or FLAC, or train with sound that went through this codec"))
    edge = band_edge(result.samples)
    if edge is not None:
        text = f"nothing arrives above {edge / 1000:.1f} kHz: something on the way limits the band"
        found.append(warning(key, text, "Raise the bit rate, or switch off the filter of the device or codec"))
    if result.lost:
        text = f"{result.lost} samples were lost within seconds"
        found.append(warning(key, text, "Another USB port, no hub, or fewer programs on this box"))
    for column, channel in enumerate(settings.channels):
        found += _judge_channel(name, channel, result.samples[:, column], config, bundles)
    return found


def _opening(key: str, result: ListenResult) -> list[Finding]:
    if result.rate is None or result.channels is None or result.resampler is None:
        return []
    channels = "1 channel" if result.channels == 1 else f"{result.channels} channels"
    text = f"opened at {result.rate / 1000:g} kHz with {channels}"
    if result.resampler == "sound server":
        text = f"{text}: the sound server resamples where its microphone has another rate"
        return [
            warning(f"{key}.rate", text, "Remove 'rate': then a high rate is opened, and soxr resamples as in training")
        ]
    by = "as the device gives it" if result.resampler == "none" else "resampled to 16 kHz by soxr"
    return [ok(key, f"{text}, {by}")]


def _not_opened(key: str, hardware: str, result: ListenResult, devices: Sequence[CaptureDevice]) -> Finding:
    # The child's remedy is for the log of a service that waits; the doctor has a better one.
    fault = result.fault.split(": waiting for it")[0] or "no sound came"
    meant = [d for d in devices if hardware in d.names or f"{hardware}:" in d.names] or list(devices)
    for device in meant:
        if not device.allowed:
            remedy = "Add the service's user to the group of that file: `usermod -aG audio asd`, then restart it"
            return problem(key, f"{fault}. The service's user may not open {device.node}", remedy)
        if device.held_by:
            remedy = "End that program, or keep the sound server off this card"
            return problem(key, f"{fault}. Card {device.card} is in use by {device.held_by}", remedy)
    if "no microphone" in fault:
        remedy = "Plug it in, and give the name that `asd-agent devices` shows"
        return problem(f"{key}.device", fault, remedy)
    if "Invalid sample rate" in fault or "sample rate" in fault.lower():
        return problem(f"{key}.rate", fault, "Remove 'rate', or set one that `asd-agent devices` shows under 'takes'")
    if "no channel" in fault or "channels" in fault:
        return problem(f"{key}.channels", fault, "Channels are counted from 0; `asd-agent devices` shows how many")
    remedy = "Plug it in again; `asd-agent devices --level` shows its level, `arecord -L` lists what ALSA has"
    return problem(key, fault, remedy)


def _judge_channel(
    name: str, channel: int, signal: Signal, config: Config, bundles: Mapping[Path, Bundle]
) -> list[Finding]:
    key = f"sources.{name}"
    quality = assess(signal, limits=_limits(name, channel, config, bundles))
    name_of_channel = f"channel {channel}"
    level = "silence" if quality.level_dbfs <= FLOOR_DBFS else f"{quality.level_dbfs:.1f} dBFS"
    found = []
    # The level of silence or of a constant means nothing.
    silent = {"silence", "dc"} & set(quality.reasons)
    for reason in quality.reasons:
        if silent and reason == "too_quiet":
            continue
        text, remedy = _REASONS[reason]
        kind = warning if reason in {"clipping", "too_quiet", "too_loud"} else problem
        found.append(kind(key, f"{name_of_channel} {text} ({level})", remedy))
    peak = float(np.nanmax(np.abs(signal))) if len(signal) else 0.0
    return found or [ok(key, f"{name_of_channel} hears {level}, peak {peak:.2f}")]


_REASONS = {
    "gap": ("has gaps", "Another USB port, no hub, or fewer programs on this box"),
    "not_finite": (
        "delivers values that are no numbers",
        "Its driver is broken: another microphone, or another kernel",
    ),
    "silence": (
        "is digitally silent",
        "Is it muted (`alsamixer`), its switch off, or the wrong channel given? A real room is never silent",
    ),
    "dc": ("delivers a constant and no sound", "Its cable or its supply is broken: try another microphone"),
    "clipping": ("is overloaded: peaks are cut off", "Lower its gain (`alsamixer`), or move it away"),
    "too_quiet": (
        "is quieter than the machine was when it was trained",
        "Does the machine run? Is the gain as it was, the microphone where it was?",
    ),
    "too_loud": (
        "is louder than the machine was when it was trained",
        "Is the gain as it was, the microphone where it was? Else calibrate again",
    ),
}


def _limits(name: str, channel: int, config: Config, bundles: Mapping[Path, Bundle]) -> QualityLimits:
    """Return the usual level of the monitors on this channel."""
    levels = [
        c.level_dbfs
        for m in config.monitors.values()
        if (m.source, m.channel) == (name, channel) and (bundle := bundles.get(config.bundle_path(m.bundle)))
        for c in bundle.manifest.conditions
        if c.section == m.section and m.domain in {c.domain, "auto"}
    ]
    if not levels:
        return QualityLimits()
    return QualityLimits(low_dbfs=min(low for low, _ in levels), high_dbfs=max(high for _, high in levels))
