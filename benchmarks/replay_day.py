"""A day of four monitors: the alarms that the service published against those that a replay of its history gives.

    python benchmarks/replay_day.py
    python benchmarks/replay_day.py --hours 2 --speed 300

The simulator's fan runs for an hour in each of two sections, with faults of several severities. The real service plays
each hour again and again from a file, at many times its speed, scores it with the demo's bundle and publishes to a real
Mosquitto. Each repetition begins elsewhere between two windows, so that no two hours are judged alike. Four monitors
follow the two sections by four rules. Afterwards the history is replayed with the same rules. Exit code 0: every alarm
of one is an alarm of the other, raised and cleared by the same windows; 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import soundfile
from agent_process import AgentProcess

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.config.model import AlarmSettings
from asd_agent.demo.assets import demo_bundle
from asd_agent.history.reader import open_history
from asd_agent.history.replay import replay
from asd_trainer.simulator import faults, stream
from rigs.broker import Broker, Listener

MONITORS = {
    "fan-a": ("00", {"raise_after": "3 of 4"}),
    "fan-b": ("00", {"raise_after": "1 of 1", "clear_after": 3}),
    "fan-c": ("01", {"raise_after": "3 of 12"}),
    "fan-d": ("01", {"raise_after": "5 of 6"}),
}
HOUR_SECONDS = 3593.0
"""Not a multiple of the hop: each repetition is cut into other windows."""
HOP = 5.0
Turns = dict[str, list[tuple[str, float]]]


def hour(section: str, path: Path) -> Path:
    """Write an hour of a fan whose faults come, grow and go."""
    kinds = faults("fan")
    schedule = [
        (300.0 * (i + 1), 300.0 * (i + 1) + 40.0 + 20.0 * i, kinds[i % len(kinds)], 0.15 + 0.08 * i) for i in range(10)
    ]
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, "PCM_16") as file:
        for chunk in stream("fan", section, "source", seed=41, seconds=HOUR_SECONDS, schedule=schedule):
            file.write(chunk)
    return path


def play(folder: Path, hours: float, speed: float) -> tuple[Turns, float]:
    """Run the service for a day of sound; return what it published of each monitor, and the seconds that it took."""
    sources = {
        f"sound-{section}": {"kind": "file", "path": str(hour(section, folder / f"{section}.wav")), "loop": True,
                             "speed": speed}
        for section in sorted({section for section, _ in MONITORS.values()})
    }  # fmt: skip
    monitors = {
        name: {"source": f"sound-{section}", "bundle": str(demo_bundle()), "section": section, "domain": "source",
               "hop_seconds": HOP, "alarm": alarm}
        for name, (section, alarm) in MONITORS.items()
    }  # fmt: skip
    wanted = hours * 3600 / HOP
    begun = time.monotonic()
    with Broker(folder / "broker", log="error") as broker, Listener(broker.settings(), "asd/box/#") as listener:
        settings = {
            "agent": {"name": "box"},
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "sources": sources,
            "monitors": monitors,
        }
        with AgentProcess(folder / "agent", settings) as agent:
            agent.wait_ready()
            while not (scored := _counted(folder)) or min(scored.values()) < wanted:
                assert agent.process.poll() is None, "".join(agent.lines)
                print(f"\r{min(scored.values(), default=0):6.0f} of {wanted:.0f} windows", end="", file=sys.stderr)
                time.sleep(5)
        print(file=sys.stderr)
        published = {name: listener.texts(f"asd/box/monitor/{name}/alert") for name in MONITORS}
    turns = {}
    for name, texts in published.items():
        alerts = [json.loads(text) for text in texts]
        turns[name] = [(a["event"], _utc(a["window_end"])) for a in alerts if a["event"] in {"raised", "cleared"}]
    return turns, time.monotonic() - begun


def replayed(folder: Path) -> tuple[Turns, dict[str, int]]:
    """Replay the history that the service left; return the turns of each monitor, and its number of windows."""
    turns, count = {}, {}
    with open_history(folder / "agent" / "state" / "history.sqlite3") as history:
        for name, (_, alarm) in MONITORS.items():
            block = history.windows(name, 0.0, 1e11)
            found = replay(block, AlarmSettings.model_validate(alarm))
            times = [("raised", r.raised_utc) for r in found]
            times += [("cleared", r.cleared_utc) for r in found if r.cleared_utc is not None]
            turns[name], count[name] = sorted(times, key=lambda t: t[1]), len(block)
    return turns, count


def same(published: list[tuple[str, float]], found: list[tuple[str, float]]) -> bool:
    """Return true for the same turns at the same windows; times on the wire have milliseconds."""
    return len(published) == len(found) and all(
        a[0] == b[0] and abs(a[1] - b[1]) < 0.002 for a, b in zip(published, found, strict=True)
    )


def _counted(folder: Path) -> dict[str, int]:
    path = folder / "agent" / "state" / "history.sqlite3"
    if not path.exists():
        return {}
    with open_history(path) as history:
        return {name: len(history.windows(name, 0.0, 1e11)) for name in history.monitors()}


def _utc(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24.0, help="sound of each monitor")
    parser.add_argument("--speed", type=float, default=1000.0, help="most seconds of sound in a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asd-replay-") as name:
        folder = Path(name)
        published, seconds = play(folder, asked.hours, asked.speed)
        found, windows = replayed(folder)
    equal = {monitor: same(published[monitor], found[monitor]) for monitor in MONITORS}
    print(f"{asked.hours:g} h of sound in {seconds:.0f} s\n")
    print("| monitor | rule | windows | raised | cleared | replay gives the same |\n|---|---|---|---|---|---|")
    for monitor, (_, alarm) in MONITORS.items():
        raised = sum(event == "raised" for event, _ in published[monitor])
        cleared = len(published[monitor]) - raised
        print(
            f"| {monitor} | {alarm['raise_after']} | {windows[monitor]} | {raised} | {cleared} | "
            f"{'yes' if equal[monitor] else 'NO'} |"
        )
    return 0 if all(equal.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
