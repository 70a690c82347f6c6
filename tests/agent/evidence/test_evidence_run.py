"""Evidence and the running service: a kill, and a microphone pulled while the sound after an alarm is awaited."""

from __future__ import annotations

import base64
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from asd_agent.evidence.store import CLIP, PICTURE, list_evidence
from asd_agent.outbox.reader import open_outbox, states
from asd_agent.outbox.schema import OUTBOX_NAME
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import RATE, hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone

pytestmark = pytest.mark.rig
ALERT, EVENT = "asd/box/monitor/m/alert", "asd/box/event"


def with_evidence(config: Path, **settings: float) -> Path:
    content = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump(content | {"evidence": {"free_megabytes": 0, **settings}}))
    return config


def test_a_kill_between_alarm_and_proof_drops_the_proof_and_says_so(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(20, 61), hum(200, 62, knocks=True)])
    faulty = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", sound)), "speed": 5}
    quiet = {"kind": "file", "path": str(write_wav(tmp_path / "b.wav", hum(20, 63))), "speed": 20}
    with running(with_evidence(write_config(tmp_path, bundle_path, faulty, 1), post_seconds=120)) as agent:
        agent.wait_log("monitor m: raised")
        agent.kill()
    unfinished = tmp_path / "state" / "evidence" / "m" / ".unfinished-x"
    unfinished.mkdir(parents=True)
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        heard.wait_subscribed()
        config = with_evidence(write_config(tmp_path, bundle_path, quiet, broker.port))
        with running(config) as agent:
            agent.wait_log("is dropped")
            heard.wait_for(ALERT, 1)
            heard.wait_for(EVENT, 1)
            assert agent.close() == 0
        alerts, events = heard.objects(ALERT), heard.objects(EVENT)
    raised = alerts[0]
    assert (raised["event"], raised["evidence"]) == ("raised", None)
    assert "evidence" not in [a["event"] for a in alerts]
    (lost,) = [e for e in events if e["event"] == "evidence_lost"]
    assert raised["evidence_id"] in lost["text"]
    with open_outbox(tmp_path / "state" / OUTBOX_NAME) as db:
        state = states(db)["m"]
    assert (state.pending_evidence, state.evidence_id) == ((), None)
    assert not unfinished.exists()
    assert list_evidence(tmp_path / "state" / "evidence") == []


def test_home_assistant_gets_the_picture_that_is_stored(bundle_path: Path, tmp_path: Path):
    sound = write_wav(tmp_path / "a.wav", hum(30, 61, knocks=True))
    source = {"kind": "file", "path": str(sound), "speed": 20}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = with_evidence(write_config(tmp_path, bundle_path, source, broker.port, hop_seconds=1), post_seconds=1)
        content = yaml.safe_load(config.read_text())
        content["mqtt"]["home_assistant"] = "homeassistant"
        config.write_text(yaml.safe_dump(content))
        with running(config):
            (text,) = heard.wait_for("asd/box/monitor/m/picture")
        with Listener(broker.settings(), "asd/#", client_id="later") as later:
            assert later.wait_for("asd/box/monitor/m/picture") == [text]  # retained
    (one,) = list_evidence(tmp_path / "state" / "evidence")
    assert base64.b64decode(text) == (one.path / PICTURE).read_bytes()


def test_a_microphone_pulled_after_the_alarm_leaves_a_gap_that_is_named(bundle_path: Path, tmp_path: Path):
    faulty = write_wav(tmp_path / "faulty.wav", hum(60, 52, knocks=True))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker:
        config = write_config(
            tmp_path, bundle_path, {"kind": "microphone", "device": DEVICE}, broker.port, hop_seconds=1
        )
        with (
            Listener(broker.settings(), "asd/#") as heard,
            running(with_evidence(config), microphone.environment) as agent,
        ):
            player = microphone.play(faulty)
            agent.wait_log("monitor m: raised")
            microphone.unplug()
            heard.wait_for(EVENT, 1)  # source_lost
            microphone.plug()
            agent.wait_log("monitor m: evidence")
            player.kill()
            player.wait()
    (one,) = list_evidence(tmp_path / "state" / "evidence")
    clip, _rate = soundfile.read(one.path / CLIP, dtype="float32")
    pulled = max(one.record.gaps, key=lambda gap: gap.end - gap.start)
    assert pulled.end - pulled.start > 0.5
    assert pulled.start > one.record.window.end - 1.0
    for gap in one.record.gaps:
        assert not clip[round(gap.start * RATE) : round(gap.end * RATE)].any()
    assert len(clip) / RATE == pytest.approx(one.record.window.end + 10.0, abs=0.01)


def test_a_monitor_that_is_removed_while_its_proof_is_awaited_leaves_it_whole(bundle_path: Path, tmp_path: Path):
    sound = np.concatenate([hum(20, 61), hum(400, 62, knocks=True)])
    source = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", sound)), "speed": 10}
    config = with_evidence(write_config(tmp_path, bundle_path, source, 1), post_seconds=60)
    both = yaml.safe_load(config.read_text())
    other = {**both["monitors"]["m"], "alarm": {"raise_after": "1000 of 1000"}}
    config.write_text(yaml.safe_dump(both | {"monitors": {**both["monitors"], "other": other}}))
    with running(config) as agent:
        agent.wait_log("monitor m: raised")
        config.write_text(yaml.safe_dump(both | {"monitors": {"other": other}}))
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_log("reloaded: ")
        agent.wait_log("is kept")
        assert agent.close() == 0
    (one,) = list_evidence(tmp_path / "state" / "evidence")
    assert (one.record.lacks, one.record.clip.samples) == ((), 90 * RATE)
