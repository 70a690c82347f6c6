"""Losses of a microphone, and what the box shows: monitor, event, Home Assistant, doctor and status side by side.

    python benchmarks/deaf_box.py

Needs PulseAudio and Mosquitto. Each case runs `asd-agent run` with a virtual microphone and a real broker. Home
Assistant's state is what its published discovery gives for the retained messages. Exit code 1 where a monitor that
cannot judge is shown as normal.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from jinja2 import Environment

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone

STATE, ALERT, EVENT = "asd/box/monitor/m/state", "asd/box/monitor/m/alert", "asd/box/event"
JUDGED = {"sound"}
"""Checks of the doctor that know the sound."""
SOON = {"hop_seconds": 1, "alarm": {"stale_after": 2}}


@dataclass(frozen=True)
class Case:
    """A loss: device, settings, sound, and whether the box can judge in the end."""

    name: str
    act: Callable[[VirtualMicrophone, Listener, Path], None]
    judges: bool = False
    rate: int = 16_000
    channels: int = 1
    source: dict[str, Any] | None = None
    gate: bool = False


def stereo(path: Path, left: np.ndarray, right: np.ndarray, rate: int) -> Path:
    soundfile.write(path, np.stack([left, right], axis=1), rate, subtype="PCM_16")
    return path


def missing(microphone: VirtualMicrophone, _listener: Listener, _folder: Path) -> None:
    microphone.unplug()


def muted(_microphone: VirtualMicrophone, _listener: Listener, _folder: Path) -> None:
    return


def left_dead(microphone: VirtualMicrophone, _listener: Listener, folder: Path) -> None:
    sound = hum(300, 51)
    microphone.play(stereo(folder / "left-dead.wav", np.zeros_like(sound), sound, 16_000))


def healthy_48_khz(microphone: VirtualMicrophone, _listener: Listener, folder: Path) -> None:
    sound = soxr.resample(hum(300, 51), 16_000, 48_000)
    microphone.play(stereo(folder / "both.wav", sound, sound, 48_000))


def unplugged(microphone: VirtualMicrophone, listener: Listener, folder: Path) -> None:
    microphone.play(write_wav(folder / "sound.wav", hum(300, 51)))
    listener.wait_where(STATE, lambda s: s["score"] is not None)
    microphone.unplug()


CASES = (
    Case("missing at boot", missing),
    Case("muted", muted),
    Case("left channel dead", left_dead, channels=2, source={"channels": [0]}),
    Case("48 kHz stereo, healthy", healthy_48_khz, judges=True, rate=48_000, channels=2, source={"channels": [0]}),
    Case("unplugged behind a gate", unplugged, gate=True),
)


def home_assistant(listener: Listener) -> str:
    """Return the state of `Anomaly` that Home Assistant makes of the newest messages by the discovery."""
    topic = next(
        m.topic for m in listener.heard if m.topic.startswith("homeassistant/") and m.topic.endswith("_m/config")
    )
    component = json.loads(listener.texts(topic)[-1])["components"]["anomaly"]

    def rendered(template: str, topic: str) -> str:
        text = listener.texts(topic)[-1]
        value = json.loads(text) if text.startswith("{") else text
        return Environment(autoescape=False).from_string(template).render(value_json=value, value=text)

    for one in component["availability"]:
        if rendered(one.get("value_template", "{{ value }}"), one["topic"]) != "online":
            return "unavailable"
    return {"ON": "problem", "OFF": "no problem"}[rendered(component["value_template"], component["state_topic"])]


def agent(config: Path, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", "from asd_agent.cli import main; main()", *arguments, "-c", config, "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)


def run(case: Case, bundle: Path, folder: Path) -> bool:
    folder.mkdir()
    source = {"kind": "microphone", "device": DEVICE, **(case.source or {})}
    monitor = {**SOON, **({"active_when": {"level_above_dbfs": -60}} if case.gate else {})}
    with VirtualMicrophone(case.rate, case.channels) as microphone, Broker(folder / "broker") as broker:
        config = write_config(folder, bundle, source, broker.port, **monitor)
        config.write_text(config.read_text().replace("mqtt:\n", "mqtt:\n  home_assistant: homeassistant\n"))
        with Listener(broker.settings(), "#") as listener:
            if case.name == "missing at boot":
                case.act(microphone, listener, folder)
            with running(config, microphone.environment):
                if case.name != "missing at boot":
                    case.act(microphone, listener, folder)
                wanted = (lambda s: s["score"] is not None) if case.judges else (lambda s: s["stale"])
                state = listener.wait_where(STATE, wanted)
                status, doctor = agent(config, "status"), agent(config, "doctor")
                shown = home_assistant(listener)
            events = [a["event"] for a in listener.objects(ALERT)] + [e["event"] for e in listener.objects(EVENT)]
    problems = [f["what"] for f in doctor["findings"] if f["level"] == "problem" and f["check"] in JUDGED]
    print(f"\n{case.name}")
    print(f"  monitor         {state['state']}{': ' + state['reason'] if state.get('reason') else ''}")
    print(f"  events          {', '.join(events) or 'none'}")
    print(f"  Home Assistant  {shown}")
    print(f"  doctor          {'; '.join(problems) or 'no problem with sound or service'}")
    source = status["health"]["sources"]["sound"]
    print(f"  status          monitor {status['monitors']['m']['state']}, source {source['state']}", end=", ")
    print(
        f"opened at {source['opened_rate']} Hz, {source['opened_channels']} channels, resampler {source['resampler']}"
    )
    deaf_shown_normal = not case.judges and (state["state"] == "normal" or shown == "no problem")
    return not deaf_shown_normal


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        bundle = make_bundle(Path(place) / "bundle").path
        results = [run(case, bundle, Path(place) / str(i)) for i, case in enumerate(CASES)]
    print(f"\n{sum(results)} of {len(results)} cases are shown as they are")
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
