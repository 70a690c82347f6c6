"""Sources that deliver no sound: their monitors become stale, never normal and never suspended; losses are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone

pytestmark = pytest.mark.rig

MONITOR = "asd/box/monitor/m/state"
ALERT = "asd/box/monitor/m/alert"
EVENT = "asd/box/event"
HEALTH = "asd/box/health"
SOURCE = {"kind": "microphone", "device": DEVICE}
SOON = {"hop_seconds": 1, "alarm": {"stale_after": 2}}
BEHIND_A_GATE = {**SOON, "active_when": {"level_above_dbfs": -60}}


def test_a_microphone_that_is_missing_from_the_start_makes_its_monitor_stale(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "sound.wav", hum(120, 51))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        microphone.unplug()
        config = write_config(tmp_path, bundle_path, SOURCE, broker.port, **SOON)
        with (
            Listener(broker.settings(), "asd/#") as heard,
            running(config, microphone.environment),
        ):
            heard.wait_where(EVENT, lambda e: e["event"] == "source_lost" and f"no microphone '{DEVICE}'" in e["text"])
            heard.wait_where(ALERT, lambda a: a["event"] == "stale")
            state = heard.wait_where(MONITOR, lambda s: s["stale"])
            assert state["state"] == "stale"
            microphone.plug()
            microphone.play(sound)
            heard.wait_where(
                MONITOR, lambda s: not s["stale"] and s["score"] is not None, after=len(heard.objects(MONITOR))
            )
            assert [a["event"] for a in heard.objects(ALERT)][:1] == ["stale"]


@pytest.mark.parametrize("loss", ["muted", "unplugged"])
def test_a_dead_microphone_is_no_stopped_machine(bundle_path: Path, tmp_path: Path, loss: str):
    """Zeros are quieter than any gate; a machine at rest still has noise."""
    sound = write_wav(tmp_path / "sound.wav", np.tile(hum(12, 51), 25))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        config = write_config(tmp_path, bundle_path, SOURCE, broker.port, **BEHIND_A_GATE)
        with (
            Listener(broker.settings(), "asd/#") as heard,
            running(config, microphone.environment),
        ):
            if loss == "unplugged":
                microphone.play(sound)
                heard.wait_where(MONITOR, lambda s: s["score"] is not None)
                microphone.unplug()
            heard.wait_where(MONITOR, lambda s: s["stale"])
            assert not any(s["suspended"] for s in heard.objects(MONITOR))


def test_a_quiet_machine_behind_a_gate_is_suspended(bundle_path: Path, tmp_path: Path):
    quiet = (hum(300, 3) / 300).astype(np.float32)
    sound = write_wav(tmp_path / "sound.wav", np.concatenate([hum(3, 51), quiet]))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        config = write_config(tmp_path, bundle_path, SOURCE, broker.port, **BEHIND_A_GATE)
        with (
            Listener(broker.settings(), "asd/#") as heard,
            running(config, microphone.environment) as agent,
        ):
            agent.wait_log("source sound is")
            microphone.play(sound)
            heard.wait_where(MONITOR, lambda s: s["suspended"])


def test_recordings_that_cannot_be_read_are_reported(bundle_path: Path, tmp_path: Path):
    folder = tmp_path / "sounds"
    write_wav(folder / "a.wav", hum(12, 1))
    (folder / "b.wav").write_bytes(b"this is no sound")
    write_wav(folder / "c.wav", hum(12, 2))
    source = {"kind": "file", "path": str(folder), "loop": True, "speed": 10}
    with Broker(tmp_path) as broker:
        config = write_config(tmp_path, bundle_path, source, broker.port)
        with Listener(broker.settings(), "asd/#") as heard, running(config) as agent:
            notice = heard.wait_where(EVENT, lambda e: e["event"] == "recording_skipped")
            assert notice["subject"] == "sound"
            assert "b.wav: is text, not audio" in notice["text"]
            agent.wait_log("b.wav: is text, not audio")
            heard.wait_where(HEALTH, lambda h: h["sources"]["sound"]["skipped"] >= 2)
        events = [e["event"] for e in heard.objects(EVENT)]
    assert events.count("recording_skipped") == 1  # not once for every time that it is played
