"""SIGHUP and `reload`: another configuration or bundle is taken over whole and without losing sound, or not at all."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.bundle import Bundle
from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from asd_agent.evidence.store import FOLDER, RECORD
from rigs.agent import Agent, running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.waiting import PATIENCE

pytestmark = pytest.mark.rig

SCORES = "asd/box/monitor/m/score"
STATE = "asd/box/monitor/m/state"
HEALTH = "asd/box/health"
EVENTS = "asd/box/event"


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same machine fitted to fewer clips: another digest."""
    return make_bundle(tmp_path_factory.mktemp("other") / "hum", sections=("00", "01"), clips=20).path


def edit(config: Path, change: Callable[[dict[str, Any]], object]) -> None:
    settings = yaml.safe_load(config.read_text())
    change(settings)
    config.write_text(yaml.safe_dump(settings))


def starts(scores: list[dict[str, Any]]) -> list[float]:
    return [datetime.fromisoformat(s["window_start"].replace("Z", "+00:00")).timestamp() for s in scores]


def looped(folder: Path, seconds: float = 30, speed: float = 4) -> dict[str, Any]:
    path = write_wav(folder / "looped.wav", hum(seconds, 91))
    return {"kind": "file", "path": str(path), "speed": speed, "loop": True}


def reload(agent: Agent, heard: Listener, event: str = "reloaded") -> dict[str, Any]:
    before = len(heard.texts(EVENTS))
    agent.process.send_signal(signal.SIGHUP)
    return heard.wait_where(EVENTS, lambda e: e["event"] == event, after=before)


def test_a_microphone_goes_on_under_another_bundle_without_a_lost_window(
    bundle_path: Path, other_bundle: Path, tmp_path: Path
):
    link = tmp_path / "in-use"
    link.symlink_to(bundle_path)
    sound = write_wav(tmp_path / "normal.wav", hum(60, 90))
    with VirtualMicrophone() as microphone, Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        source = {"kind": "microphone", "device": DEVICE}
        config = write_config(tmp_path, link, source, broker.port, hop_seconds=0.5)
        with running(config, microphone.environment) as agent:
            microphone.play(sound)
            heard.wait_for(SCORES, 4)
            (child,) = agent.children()
            link.unlink()
            link.symlink_to(other_bundle)
            changed = reload(agent, heard, "bundle_changed")
            heard.wait_where(EVENTS, lambda e: e["event"] == "reloaded")
            done = len(heard.texts(SCORES))
            heard.wait_for(SCORES, done + 6)
            assert agent.children() == [child]
            assert agent.close() == 0
        heard.wait_text("asd/box/status", "offline")
        scores, states = heard.objects(SCORES), heard.objects(STATE)
        health = heard.objects(HEALTH)[-1]
    old, new = Bundle.open(bundle_path).digest, Bundle.open(other_bundle).digest
    assert changed["subject"] == "m"
    assert new[:12] in changed["text"]
    assert old[:12] in changed["text"]
    assert [s["bundle"] for s in states[:1] + states[-1:]] == [old, new]
    # Every window follows the one before it by a hop: none comes twice, and none is missing but those that a busy
    # machine had no time to score.
    hops = [round((b - a) / 0.5) for a, b in pairwise(starts(scores))]
    windows = health["monitors"]["m"]
    assert min(hops) >= 1
    assert sum(hops) - len(hops) <= windows["skipped"]
    assert windows["due"] - windows["skipped"] == len(scores)
    assert windows["due"] == sum(windows[k] for k in ("scored", "skipped", "invalid", "suspended"))
    assert health["sources"]["sound"]["restarts"] == 0


def test_monitors_and_sources_come_change_and_go(bundle_path: Path, tmp_path: Path):
    with Broker(tmp_path) as broker, Listener(broker.settings(), "#") as heard:
        config = write_config(tmp_path, bundle_path, looped(tmp_path), broker.port)
        edit(config, lambda c: c["mqtt"].update(home_assistant="homeassistant"))
        second = looped(tmp_path / "b")
        with running(config) as agent:
            heard.wait_for(SCORES, 2)
            (child,) = agent.children()

            def grow(settings: dict[str, Any]) -> None:
                settings["sources"]["second"] = second
                settings["monitors"]["n"] = {"source": "second", "bundle": str(bundle_path), "section": "01"}
                settings["monitors"]["m"]["hop_seconds"] = 2.5
                settings["commands"] = ["shelve"]

            edit(config, grow)
            said = reload(agent, heard)["text"]
            assert "source second added" in said
            assert "monitor n added; monitor m changed; commands changed" in said
            heard.wait_for("asd/box/monitor/n/score", 2)
            assert child in agent.children()
            assert len(agent.children()) == 2
            heard.wait_for("homeassistant/device/asd_box_n/config", 1)

            def shrink(settings: dict[str, Any]) -> None:
                del settings["sources"]["second"]
                del settings["monitors"]["n"]

            edit(config, shrink)
            reload(agent, heard)
            for topic in (
                "asd/box/monitor/n/state",
                "asd/box/source/second/state",
                "homeassistant/device/asd_box_n/config",
            ):
                heard.wait_text(topic, "")
            assert agent.children() == [child]
            assert agent.close() == 0
        heard.wait_text("asd/box/status", "offline")
        health = heard.objects(HEALTH)[-1]
    assert list(health["monitors"]) == ["m"]
    whole = health["windows"]
    assert whole["due"] == sum(whole[k] for k in ("scored", "skipped", "invalid", "suspended"))
    assert whole["due"] > health["monitors"]["m"]["due"]  # those of `n` stay counted
    hops = [b - a for a, b in pairwise(starts(heard.objects(SCORES)))]
    assert set(map(round, [10 * h for h in hops])) == {50, 25}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["monitors"]["m"].update(hop_secnds=5), "Did you mean 'hop_seconds'?"),
        (lambda c: c["agent"].update(name="other"), "'agent' differs from what the service was started with"),
        (lambda c: c["mqtt"].update(keepalive_seconds=77), "'mqtt' differs"),
        (lambda c: c["monitors"]["m"].update(section="09"), "has no section '09'"),
    ],
)
def test_a_configuration_that_cannot_be_used_changes_nothing(bundle_path: Path, tmp_path: Path, change: Any, said: str):
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, bundle_path, looped(tmp_path), broker.port)
        with running(config) as agent:
            heard.wait_for(SCORES, 1)
            children = agent.children()
            edit(config, change)
            event = reload(agent, heard, "reload_failed")
            assert said in event["text"]
            agent.wait_log("not reloaded: ")
            with pytest.raises(ControlError, match="the service refused: "):
                ask(tmp_path / "state" / SOCKET_NAME, {"command": "reload"})
            scored = len(heard.texts(SCORES))
            heard.wait_for(SCORES, scored + 2)
            assert agent.children() == children


def test_a_damaged_bundle_changes_nothing_and_its_repair_is_taken_over(
    bundle_path: Path, other_bundle: Path, tmp_path: Path
):
    place = Path(shutil.copytree(bundle_path, tmp_path / "in-use"))
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, place, looped(tmp_path), broker.port)
        with running(config) as agent:
            heard.wait_for(SCORES, 1)
            shutil.copyfile(other_bundle / "scorers.npz", place / "scorers.npz")
            assert "differs from what was exported" in reload(agent, heard, "reload_failed")["text"]
            scored = len(heard.texts(SCORES))
            heard.wait_for(SCORES, scored + 2)
            shutil.rmtree(place)
            shutil.copytree(other_bundle, place)
            answer = ask(tmp_path / "state" / SOCKET_NAME, {"command": "reload"})
            assert Bundle.open(other_bundle).digest[:12] in answer["text"]
            scored = len(heard.texts(SCORES))
            heard.wait_for(SCORES, scored + 2)


def test_a_standing_alarm_outlives_another_bundle(bundle_path: Path, other_bundle: Path, tmp_path: Path):
    link = tmp_path / "in-use"
    link.symlink_to(bundle_path)
    path = write_wav(tmp_path / "faulty.wav", hum(30, 92, knocks=True))
    source = {"kind": "file", "path": str(path), "speed": 8, "loop": True}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, link, source, broker.port)
        with running(config) as agent:
            raised = heard.wait_where("asd/box/monitor/m/alert", lambda a: a["event"] == "raised")
            link.unlink()
            link.symlink_to(other_bundle)
            reload(agent, heard)
            digest = Bundle.open(other_bundle).digest
            state = heard.wait_where(STATE, lambda s: s["bundle"] == digest)
            assert (state["state"], state["alarm_id"]) == ("active", raised["alarm_id"])
            kept = heard.wait_where("asd/box/monitor/m/alert", lambda a: a["event"] == "evidence")
            assert kept["evidence_id"] == raised["evidence_id"]
            clip = tmp_path / "state" / FOLDER / kept["evidence"]["path"]
            record = json.loads(clip.with_name(RECORD).read_text())
            assert record["alert"]["bundle"] == raised["bundle"]  # whoever raised it, whoever is in use by now
    events = [a["event"] for a in heard.objects("asd/box/monitor/m/alert")]
    assert events.count("raised") == 1


def test_a_topic_that_says_whether_the_machine_runs_goes_on_saying_it(bundle_path: Path, tmp_path: Path):
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        heard.publish("plant/press", "off", retain=True)
        config = write_config(tmp_path, bundle_path, looped(tmp_path), broker.port)
        gate = {"topic": "plant/press", "equals": "on"}
        with running(config) as agent:
            heard.wait_where(SCORES, lambda s: s["quality"]["verdict"] == "scored")
            edit(config, lambda c: c["monitors"]["m"].update(active_when=gate))
            reload(agent, heard)
            heard.wait_where(SCORES, lambda s: s["quality"]["verdict"] == "suspended")
            # A second monitor on the same topic hears what it said last.
            both = {"source": "sound", "bundle": str(bundle_path), "section": "01", "active_when": gate}
            edit(config, lambda c: c["monitors"].update(n=both))
            reload(agent, heard)
            heard.wait_where("asd/box/monitor/n/score", lambda s: s["quality"]["verdict"] == "suspended")
            heard.publish("plant/press", "on", retain=True)
            for name in ("m", "n"):
                topic = f"asd/box/monitor/{name}/score"
                before = len(heard.texts(topic))
                heard.wait_where(topic, lambda s: s["quality"]["verdict"] == "scored", after=before)


def test_the_service_manager_is_told_of_a_reload_good_or_bad(bundle_path: Path, tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, Broker(tmp_path) as broker:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)

        def told(first_word: str) -> str:
            while not (said := manager.recv(4096).decode()).startswith(first_word):
                pass
            return said

        config = write_config(tmp_path, bundle_path, looped(tmp_path), broker.port)
        with running(config, {"NOTIFY_SOCKET": str(tmp_path / "notify")}) as agent:
            told("READY=1")
            for change in (lambda c: c["monitors"]["m"].update(section="01"), lambda c: c.update(nonsense=1)):
                edit(config, change)
                agent.process.send_signal(signal.SIGHUP)
                reloading = told("RELOADING=1").splitlines()
                assert reloading[1].startswith("MONOTONIC_USEC=")
                told("READY=1")
            agent.wait_log("reloaded: monitor m changed")
            agent.wait_log("not reloaded: ")
