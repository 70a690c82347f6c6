"""A real sound server whose microphone is missing, silent, clipped; what no server can do is laid before the judge."""

from __future__ import annotations

from typing import Any

import numpy as np

from asd_agent.config.finding import Finding
from asd_agent.config.model import Config
from asd_agent.demo.broker import free_port
from asd_agent.doctor import sound
from asd_agent.doctor.sound import ListenResult, judge_source
from rigs.agent import running
from rigs.bundles import RATE, hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.stream_server import OPUS, WAV, StreamServer
from rigs.symptoms.box import Box, Symptom

_CARD = "proc/asound/card0"


def _listen(box: Box, signal: np.ndarray | None = None, **source: Any) -> list[Finding]:
    """Findings of the doctor about a microphone in whose air this is played."""
    microphone: VirtualMicrophone = box.request.getfixturevalue("symptom_microphone")
    for name, value in microphone.environment.items():
        box.patch.setenv(name, value)
    box.settings["sources"]["s"] = {"kind": "microphone", "device": DEVICE, **source}
    box.monitor["channel"] = source.get("channels", [0])[0]
    if signal is None:
        return box.doctor("sound")
    player = microphone.play(write_wav(box.folder / "played.wav", signal))
    try:
        return box.doctor("sound")
    finally:
        player.kill()
        player.wait()


def _constant(box: Box) -> list[Finding]:
    # Not quite a constant: an ADC flickers by a step.
    step = np.random.default_rng(0).integers(0, 2, 15 * RATE) / 32768
    return _listen(box, (0.5 + step).astype(np.float32))


def _clipped(box: Box) -> list[Finding]:
    return _listen(box, np.clip(40 * hum(15, 2), -1, 1))


def _quiet(box: Box) -> list[Finding]:
    return _listen(box, 0.01 * hum(15, 2))


def _asleep(box: Box) -> list[Finding]:
    microphone: VirtualMicrophone = box.request.getfixturevalue("symptom_microphone")
    box.patch.setattr(sound, "OPEN_SECONDS", 2.0)
    microphone.suspend()
    try:
        return _listen(box)
    finally:
        microphone.resume()


def _judged(box: Box, heard: ListenResult, **source: Any) -> list[Finding]:
    box.settings["sources"]["s"] = {"kind": "microphone", "device": "USB Audio", **source}
    return judge_source("s", Config.model_validate(box.settings), heard, [], {})


def _not_finite(box: Box) -> list[Finding]:
    samples = hum(3, 1)[:, None].copy()
    samples[100] = np.nan
    return _judged(box, ListenResult(samples, rate=16_000))


def _rate_refused(box: Box) -> list[Finding]:
    said = "microphone 'USB Audio' cannot be opened at 11025 Hz (Error opening RawInputStream: Invalid sample rate)"
    return _judged(box, ListenResult(None, said), rate=11_025)


def _low_rate(box: Box) -> list[Finding]:
    return _listen(box, hum(15, 2), rate=8000)


def _card(box: Box, mode: int) -> None:
    """A card as the kernel shows it, whose device PortAudio cannot open: there is none."""
    box.put(f"{_CARD}/id", "Device\n")
    box.put(f"{_CARD}/pcm0c/sub0/status", "closed\n")
    box.put("dev/snd/pcmC0D0c", "").chmod(mode)
    for folder in (box.folder, *box.folder.parents[:1]):
        folder.chmod(0o755)
    box.settings["sources"]["s"] = {"kind": "microphone", "device": "hw:CARD=Device"}


def _busy(box: Box) -> list[Finding]:
    _card(box, 0o666)
    box.put(f"{_CARD}/pcm0c/sub0/status", "state: RUNNING\nowner_pid   : 4711\n")
    box.put("proc/4711/comm", "pulseaudio\n")
    return box.doctor("sound")


def _forbidden(box: Box) -> list[Finding]:
    _card(box, 0o600)
    box.around["user"] = "nobody"
    return box.doctor("sound")


def _lossy(box: Box) -> list[Finding]:
    return _streamed(box, hum(15, 2), OPUS, 48_000)


def _limited_band(box: Box) -> list[Finding]:
    """A telephone's band, sent without loss."""
    spectrum = np.fft.rfft(hum(15, 2))
    spectrum[(3400 * 15) :] = 0
    return _streamed(box, np.fft.irfft(spectrum).astype(np.float32), WAV, RATE)


def _streamed(box: Box, signal: np.ndarray, output: tuple[str, ...], rate: int) -> list[Finding]:
    """Findings of the doctor about a stream of this sound."""
    with StreamServer(write_wav(box.folder / "sent.wav", signal), free_port(), output, pace=4.0) as server:
        box.settings["sources"]["s"] = {"kind": "stream", "url": server.url, "stream_rate": rate}
        return box.doctor("sound")


def _silent_in_service(box: Box) -> list[Finding]:
    """The service holds the microphone: it is asked, and nothing is opened."""
    write_wav(box.folder / "sound.wav", np.zeros(600 * RATE, dtype=np.float32))
    box.settings["mqtt"]["host"] = "127.0.0.1"
    box.patch.setattr(sound, "listen", _never)
    with running(box.write()) as agent:
        agent.wait_log("is silent")
        return box.doctor("sound")


def _never(*_: object) -> ListenResult:
    raise AssertionError("a microphone that the service holds was opened")


SYMPTOMS = {
    "microphone missing": Symptom(
        lambda b: _listen(b, device="USB Audio"), "sources.s.device", "no microphone 'USB Audio'", "Plug it in"
    ),
    "microphone busy": Symptom(_busy, "sources.s", "in use by pulseaudio (process 4711)", "End that program"),
    "no permission for the microphone": Symptom(_forbidden, "sources.s", "may not open", "usermod -aG audio"),
    "rate refused": Symptom(_rate_refused, "sources.s.rate", "Invalid sample rate", "Remove 'rate'"),
    "rate too low": Symptom(_low_rate, "sources.s.rate", "everything above 4 kHz is missing", "16 kHz", "warning"),
    "channel that the microphone lacks": Symptom(
        lambda b: _listen(b, channels=[40]), "sources.s.channels", "has no channel 40", "counted from 0"
    ),
    "microphone silent": Symptom(_listen, "sources.s", "digitally silent", "Is it muted"),
    "microphone delivers nothing": Symptom(_asleep, "sources.s", "delivers nothing", "Plug it in again"),
    "microphone overloaded": Symptom(_clipped, "sources.s", "peaks are cut off", "Lower its gain", "warning"),
    "constant instead of sound": Symptom(_constant, "sources.s", "a constant and no sound", "try another microphone"),
    "values that are no numbers": Symptom(_not_finite, "sources.s", "no numbers", "driver is broken"),
    "quieter than in training": Symptom(
        _quiet, "sources.s", "quieter than the machine", "Does the machine run", "warning"
    ),
    "codec loses sound": Symptom(_lossy, "sources.s", "codec opus loses sound", "Send PCM or FLAC", "warning"),
    "band of a stream is limited": Symptom(
        _limited_band, "sources.s", "nothing arrives above 3.4 kHz", "Raise the bit rate", "warning"
    ),
    "microphone silent in service": Symptom(_silent_in_service, "sources.s", "digitally silent", "Is it muted"),
}
