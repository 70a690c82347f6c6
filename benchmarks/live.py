"""The service on a live microphone: at rest, with many monitors, and with more of them than the box carries.

    python benchmarks/live.py --monitors 1 2 16 --hop 5 --seconds 60
    python benchmarks/live.py --bundle FULL-SIZE --monitors 2 --hop 1 --seconds 120

A private sound server plays the demo's recording into a virtual microphone; a real Mosquitto takes the scores. Told are
the seconds from the start to READY and to the first score (a window of 10 s has to fill first), the processor time at
work, memory, windows scored and skipped, and the age of each score on arrival: how long ago its window ended.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import soundfile
from agent_process import AgentProcess, Use

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.demo.assets import demo_bundle, demo_recording
from rigs.broker import Broker, Listener
from rigs.microphone import DEVICE, VirtualMicrophone

SCORES = "asd/box/monitor/+/score"
SETTLED = 3
"""Scores of one monitor after which the service is taken to be at its work."""


@dataclass(frozen=True)
class Result:
    """Results of one run.

    Attributes:
        ready_seconds: From the start to READY.
        first_score_seconds: From the start to the first score's arrival.
        core_share: Of one core, the capture child included.
        resident_mib: At the start and at the end of the time that was watched.
        descriptors, threads: Likewise.
        windows: By the last health message.
        age_seconds: Of scores on arrival: median, 99th percentile, largest.
        interval_seconds: From one score of a monitor to its next: median, largest.
    """

    monitors: int
    hop_seconds: float
    ready_seconds: float
    first_score_seconds: float
    core_share: float
    resident_mib: tuple[float, float]
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    windows: dict[str, int]
    age_seconds: tuple[float, float, float]
    interval_seconds: tuple[float, float]


def live(folder: Path, bundle: Path, monitors: int, hop: float, seconds: float, sound: Path | None = None) -> Result:
    """Listen for so long after the first score.

    Args:
        folder: Private to it.
        bundle: That all monitors use.
        monitors: How many; they take the bundle's sections in turn.
        hop: In seconds.
        seconds: To watch.
        sound: A recording that is long enough; the demo's by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        VirtualMicrophone() as microphone,
        Broker(folder / "broker", log="error") as broker,
        Listener(broker.settings(), SCORES) as scores,
        Listener(broker.settings(), "asd/box/health", client_id="health") as health,
    ):
        microphone.play(sound or as_wav(demo_recording(), folder / "sound.wav"))
        begun = time.time()
        settings = _settings(bundle, monitors, hop, broker.port)
        with AgentProcess(folder / "agent", settings, microphone.environment) as agent:
            ready = agent.wait_ready()
            scores.wait_for("asd/box/monitor/m0/score", 1)
            first = scores.arrived[0] - begun
            scores.wait_for("asd/box/monitor/m0/score", SETTLED)
            before = _use(agent)
            time.sleep(seconds)
            after = _use(agent)
        watched = list(zip(scores.heard, scores.arrived, strict=True))
        health.wait_for("asd/box/health", 1)
        windows = json.loads(health.texts("asd/box/health")[-1])["windows"]
    ages = [at - _seconds(json.loads(m.payload)["window_end"]) for m, at in watched]
    own = [at for m, at in watched if m.topic == "asd/box/monitor/m0/score"]
    gaps = np.diff(own) if len(own) > 1 else np.array([float("nan")])
    return Result(
        monitors=monitors,
        hop_seconds=hop,
        ready_seconds=ready,
        first_score_seconds=first,
        core_share=(after.cpu_seconds - before.cpu_seconds) / (after.at - before.at),
        resident_mib=(before.resident / 2**20, after.resident / 2**20),
        descriptors=(before.descriptors, after.descriptors),
        threads=(before.threads, after.threads),
        windows=windows,
        age_seconds=(float(np.median(ages)), float(np.quantile(ages, 0.99)), max(ages)),
        interval_seconds=(float(np.median(gaps)), float(gaps.max())),
    )


def as_wav(recording: Path, path: Path) -> Path:
    """Sound that `paplay` surely plays."""
    sound, rate = soundfile.read(recording, dtype="int16")
    assert rate == SAMPLE_RATE
    soundfile.write(path, sound, rate, subtype="PCM_16")
    return path


def _settings(bundle: Path, monitors: int, hop: float, port: int) -> dict[str, Any]:
    listed = json.loads((bundle / "manifest.json").read_text())["conditions"]
    sections = sorted({c["section"] for c in listed})
    each = {
        f"m{i}": {
            "source": "sound",
            "bundle": str(bundle.resolve()),
            "section": sections[i % len(sections)],
            "hop_seconds": hop,
        }
        for i in range(monitors)
    }
    return {
        "agent": {"name": "box"},
        "mqtt": {"host": "127.0.0.1", "port": port, "reconnect_seconds": [0.2, 0.5]},
        "sources": {"sound": {"kind": "microphone", "device": DEVICE}},
        "monitors": each,
    }


def _use(agent: AgentProcess) -> Use:
    use = agent.use()
    assert use is not None, "".join(agent.lines)
    return use


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=None)
    parser.add_argument("--monitors", type=int, nargs="+", default=[1])
    parser.add_argument("--hop", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    for count in asked.monitors:
        folder = Path(tempfile.mkdtemp(prefix="asd-live-"))
        try:
            result = live(folder, asked.bundle or demo_bundle(), count, asked.hop, asked.seconds)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
