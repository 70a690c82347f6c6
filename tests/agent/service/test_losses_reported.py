"""A microphone lost in every way, as a subscriber sees it: noticed, published, found again, and no window invented."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rigs.agent import Agent, running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone

pytestmark = pytest.mark.rig

STATE = "asd/box/source/sound/state"
SCORES = "asd/box/monitor/m/score"
EVENTS = "asd/box/event"
Loss = Callable[[VirtualMicrophone, Agent], Callable[[], None]]


def suspend(microphone: VirtualMicrophone, _agent: Agent) -> Callable[[], None]:
    microphone.suspend()
    return microphone.resume


def unplug(microphone: VirtualMicrophone, _agent: Agent) -> Callable[[], None]:
    microphone.unplug()
    return microphone.plug


def kill_server(microphone: VirtualMicrophone, _agent: Agent) -> Callable[[], None]:
    microphone.kill()
    return microphone.start


def kill_child(_microphone: VirtualMicrophone, agent: Agent) -> Callable[[], None]:
    os.kill(agent.children()[0], signal.SIGKILL)
    return lambda: None


def stop_child(_microphone: VirtualMicrophone, agent: Agent) -> Callable[[], None]:
    os.kill(agent.children()[0], signal.SIGSTOP)
    return lambda: None


LOSSES: tuple[Loss, ...] = (suspend, unplug, kill_server, kill_child, stop_child)


def test_every_loss_is_reported_and_mended_and_its_windows_are_invalid(bundle_path: Path, tmp_path: Path):
    """The times that this may take are held by test_source_state.py, under a clock of its own."""
    sound = write_wav(tmp_path / "sound.wav", hum(120, 51))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        source = {"kind": "microphone", "device": DEVICE}
        config = write_config(tmp_path, bundle_path, source, broker.port, hop_seconds=1)
        with (
            Listener(broker.settings(), "asd/#") as heard,
            running(config, microphone.environment) as agent,
        ):
            microphone.play(sound)
            heard.wait_where(SCORES, lambda s: s["score"] is not None)
            for lose in LOSSES:
                told = len(heard.objects(STATE)), len(heard.objects(SCORES))
                give_back = lose(microphone, agent)
                heard.wait_where(STATE, lambda s: s["state"] in {"stalled", "restarting"}, after=told[0])
                told = len(heard.objects(STATE)), told[1]
                give_back()
                microphone.play(sound)
                heard.wait_where(STATE, lambda s: s["state"] in {"healthy", "silent"}, after=told[0])
                heard.wait_where(SCORES, lambda s: "gap" in s["quality"]["reasons"], after=told[1])
            since = len(heard.objects(SCORES))
            heard.wait_where(SCORES, lambda s: s["score"] is not None, after=since)
        scores = heard.objects(SCORES)
        events = [e["event"] for e in heard.objects(EVENTS)]
    assert all(s["score"] is None for s in scores if "gap" in s["quality"]["reasons"])
    changes = [e for e in events if e in {"source_lost", "source_back"}]
    assert changes == ["source_lost", "source_back"] * (len(changes) // 2)
    assert len(changes) >= 2 * len(LOSSES)  # more where the machine holds the sound server up
