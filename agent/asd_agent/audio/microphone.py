"""Capture of source kind `microphone`: PortAudio with blocking reads, in the child; the agent never imports it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from asd_agent.audio.identity import card_of, find_input, read_cards
from asd_agent.audio.opening import Opening, opening_error, plan_opening, reason_of, running_rate, takes
from asd_agent.audio.protocol import ChildNotice
from asd_agent.audio.sender import Chunk, Sender, send
from asd_agent.errors import AudioError

_READ_SECONDS = 0.05
_LATENCY_SECONDS = 0.3
"""Sound that the system keeps for a reader that is late: six reads."""
_RATES = (8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def load_portaudio() -> Any:
    """Return the sounddevice module.

    Raises:
        AudioError: PortAudio is not installed.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise AudioError("PortAudio is not installed", "Run `apt-get install libportaudio2`.") from error
    return sounddevice


def capture(settings: dict[str, Any], pipe: int, anchor: float | None) -> None:  # noqa: ARG001 - a microphone has no past
    """See `asd_agent.audio.child.CaptureModule`."""
    listen(settings["device"], tuple(settings["channels"]), settings["rate"], pipe)


def listen(device: str, channels: tuple[int, ...], rate: int | None, pipe: int) -> None:
    """Open a microphone and send its sound, until it is lost.

    Args:
        device: A name that `find_input` understands.
        channels: Channels of the device to send, counted from 0.
        rate: Hz to open it with; None chooses, see `asd_agent.audio.opening`.
        pipe: File descriptor to write packets to.

    Raises:
        AudioError: The device is not there, cannot be opened with these settings, or was lost.
    """
    portaudio = load_portaudio()
    found = list(portaudio.query_devices())
    names = [d["name"] if d["max_input_channels"] > 0 else "" for d in found]
    try:
        place = find_input(device, names, read_cards())
    except AudioError as error:
        raise AudioError(f"{error.what}: waiting for it", error.remedy) from error
    offered = int(found[place]["max_input_channels"])
    if max(channels) >= offered:
        raise AudioError(
            f"microphone {device!r} has no channel {max(channels)}", f"It has channels 0 to {offered - 1}."
        )
    opening, stream = _open(
        portaudio, device, place, plan_opening(portaudio, place, channels, rate), chosen=rate is None
    )
    report = {
        "device": names[place],
        "rate": opening.rate,
        "channels": list(channels),
        "opened_channels": opening.channels,
        "resampler": opening.resampler,
    }
    send(pipe, ChildNotice("opened", report))
    sender = Sender(pipe, opening.rate, len(channels))
    try:
        for chunk in _chunks(portaudio, stream, channels, opening.rate):
            sender.put(chunk)
    except portaudio.PortAudioError as error:
        raise AudioError(f"microphone {device!r} was lost ({reason_of(error)})", "Plug it in again.") from error


def _open(portaudio: Any, device: str, place: int, opening: Opening, *, chosen: bool) -> tuple[Opening, Any]:
    """Open a device, a sound server at the rate of its hardware.

    Args:
        portaudio: The sounddevice module.
        device: Name in the configuration, for errors.
        place: Index of the device.
        opening: Settings to begin with.
        chosen: The rate is not one of the configuration and may be changed.

    Returns:
        The settings in use, and the running stream.
    """
    stream = _start(portaudio, device, place, opening)
    native = None if opening.hardware else running_rate()
    if native == opening.rate:
        return replace(opening, native=True), stream
    if native is None or not chosen or not takes(portaudio, place, native, opening.channels):
        return opening, stream
    stream.close()
    opening = replace(opening, rate=native, native=True)
    return opening, _start(portaudio, device, place, opening)


def _start(portaudio: Any, device: str, place: int, opening: Opening) -> Any:
    try:
        stream = portaudio.RawInputStream(
            samplerate=opening.rate,
            device=place,
            channels=opening.channels,
            dtype="float32",
            latency=_LATENCY_SECONDS,
        )
        stream.start()
    except portaudio.PortAudioError as error:
        raise opening_error(device, opening, error) from error
    return stream


def _chunks(portaudio: Any, stream: Any, channels: tuple[int, ...], rate: int) -> Iterator[Chunk]:
    """Yield chunks of the device, without end."""
    size, first, overran = round(_READ_SECONDS * rate), 0, False
    while True:
        data, overflow = stream.read(size)
        behind = _behind(portaudio, stream)
        end_time = time.monotonic() - (behind or 0) / rate
        samples = np.frombuffer(data, dtype=np.float32).reshape(-1, stream.channels)[:, list(channels)]
        yield Chunk(samples, first, end_time, overflow=bool(overflow) or overran)
        first, overran = first + len(samples), behind is None


def _behind(portaudio: Any, stream: Any) -> int | None:
    """Return the samples that wait to be read; None when they have overrun. The next read raises anything worse."""
    try:
        return max(0, int(stream.read_available))
    except portaudio.PortAudioError:
        return None


def list_inputs(*, probe_rates: bool) -> list[dict[str, Any]]:
    """Return the devices that can record.

    Args:
        probe_rates: Also probe each device for the common rates.

    Returns:
        One entry per device: `name` to give in the configuration, `aliases`, `portaudio`, `channels`, `rate`, `rates`,
        and the settings that it would be opened with: `opened_rate`, `opened_channels`, `resampler`; these three are
        None where it cannot be opened now.

    Raises:
        AudioError: PortAudio is not installed.
    """
    portaudio = load_portaudio()
    cards = read_cards()
    inputs = []
    for place, device in enumerate(portaudio.query_devices()):
        if device["max_input_channels"] < 1:
            continue
        card = card_of(device["name"], cards)
        aliases = [*(card.names if card else ()), device["name"]]
        opening = plan_opening(portaudio, place, (0,), None)
        rates = [rate for rate in _RATES if probe_rates and takes(portaudio, place, rate, opening.channels)]
        openable = takes(portaudio, place, opening.rate, opening.channels)
        inputs.append(
            {
                "name": aliases[0],
                "aliases": aliases[1:],
                "portaudio": device["name"],
                "channels": int(device["max_input_channels"]),
                "rate": round(device["default_samplerate"]),
                "rates": rates,
                "opened_rate": opening.rate if openable else None,
                "opened_channels": opening.channels if openable else None,
                "resampler": opening.resampler if openable else None,
            }
        )
    return inputs
