"""A day of sound through the service and a real broker, faster than it sounds; every window and every fault counted.

    python benchmarks/soak.py --hours 24

Four monitors of the demo's bundle hear four simulated fans, each of which breaks in every way at once at known times:
what is measured is the service, not how faint a fault the model hears. One loses its cable now and then (digital
silence: invalid), one stands still now and then (suspended). The scenes are played again and again in an order drawn
from the seed. At the end

- due = scored + skipped + invalid + suspended, exactly, and as many as the sound holds;
- every fault has raised its alarm to within one hop of its beginning, K hops after it; beside that, by how many hops
  the alarm came after the earliest that any window with a part of the fault allows, and after the earliest that windows
  wholly of the fault allow, for each place of a fault between two windows;
- nothing else has raised an alarm;
- memory, descriptors and threads over the last 80 % are a line, whose slope is shown.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import soundfile
from agent_process import AgentProcess, Use

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.demo.assets import demo_bundle
from asd_trainer.simulator import faults, stream
from rigs.broker import Broker, Listener

HOP, WINDOW = 5, 10
K, N = 3, 4
FAULT_SECONDS, QUIET_SECONDS = 60, 60
SPEED = 5000
"""More than any box reaches: the recording waits for its readers."""
SAMPLE_SECONDS = 1.0
STEADY_SHARE = 0.8
STANDING_STILL_DBFS = -60.0


@dataclass(frozen=True)
class Track:
    """Sound of one monitor."""

    name: str
    source: str
    channel: int
    section: str
    seed: int
    loses_cable: bool = False
    stands_still: bool = False


TRACKS = (
    Track("fan-a", "east", 0, "00", 101),
    Track("fan-b", "east", 1, "01", 102, stands_still=True),
    Track("fan-c", "west", 0, "00", 103, loses_cable=True),
    Track("fan-d", "west", 1, "01", 104),
)
SOURCES = ("east", "west")


@dataclass
class Place:
    """A fault of one monitor in one scene: it lies between two windows' beginnings in the same way each time.

    Attributes:
        monitor: That hears it.
        scene: Its number.
        before_window_seconds: From the fault's beginning to the next window's.
        faults: Times that it was played.
        after_part: Alarms by the hops that they came after the K-th window with any of the fault in it.
        after_whole: Alarms by the hops that they came after the K-th window wholly of the fault; below 0, before it.
    """

    monitor: str
    scene: int
    before_window_seconds: float
    faults: int = 0
    after_part: dict[int, int] = field(default_factory=dict)
    after_whole: dict[int, int] = field(default_factory=dict)

    def count(self, alarm_after: float) -> None:
        """Count an alarm.

        Args:
            alarm_after: Seconds from the fault's beginning to the end of the window that raised.
        """
        whole = self.before_window_seconds + WINDOW + (K - 1) * HOP
        part = (self.before_window_seconds or HOP) + (K - 1) * HOP
        for counts, earliest in ((self.after_part, part), (self.after_whole, whole)):
            hops = round((alarm_after - earliest) / HOP)
            counts[hops] = counts.get(hops, 0) + 1


@dataclass
class Result:
    """Counts of one run.

    Attributes:
        hours: Of sound, each source's.
        wall_seconds: That it took.
        due: Windows that the sound holds.
        windows: Counts in the last health message of the service.
        faults: Injected.
        found: Of these, raised at their time.
        raised: Alarms in all.
        stray: Of these, raised far from any fault.
        late_seconds: From each found fault's beginning to the sound that raised it, K hops before the alarm.
        missed: Faults that raised nothing at their time, with what came nearest.
        places: The alarms of each fault that is played again and again.
        resident_mib, descriptors, threads: First and last of the steady part's line, and its range.
        exit_code: Of the agent.
    """

    hours: float
    wall_seconds: float = 0.0
    due: int = 0
    windows: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    found: int = 0
    raised: int = 0
    stray: int = 0
    late_seconds: tuple[float, float] = (0.0, 0.0)
    missed: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    resident_mib: dict[str, float] = field(default_factory=dict)
    descriptors: dict[str, float] = field(default_factory=dict)
    threads: dict[str, float] = field(default_factory=dict)
    exit_code: int = -1

    @property
    def accounted(self) -> int:
        """Windows that the service gave an account of."""
        return sum(self.windows[k] for k in ("scored", "skipped", "invalid", "suspended"))


@dataclass(frozen=True)
class Scene:
    """A stretch of sound with at most one fault and one break a track; seconds from its start."""

    seconds: int
    faults: dict[str, float]
    breaks: dict[str, float]


def scenes(count: int, seconds: int, seed: int) -> list[Scene]:
    """Scenes with faults and breaks at drawn times, far enough from each other and from both ends."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        half = seconds / 2
        room = half - FAULT_SECONDS - QUIET_SECONDS
        if room <= 0:
            raise ValueError(f"a scene of {seconds} s has no room for a fault and a break")
        faults = {t.name: float(rng.uniform(30, 30 + room)) for t in TRACKS}
        breaks = {t.name: float(half + rng.uniform(30, room)) for t in TRACKS if t.loses_cable or t.stands_still}
        found.append(Scene(seconds, faults, breaks))
    return found


def write_scene(folder: Path, number: int, scene: Scene) -> None:
    """One two-channel recording for each source."""
    for source in SOURCES:
        channels = [_track(t, number, scene) for t in TRACKS if t.source == source]
        (folder / source).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / source / f"{number}.wav", np.stack(channels, axis=1), SAMPLE_RATE, subtype="PCM_16")


def _track(track: Track, number: int, scene: Scene) -> np.ndarray:
    start = scene.faults[track.name]
    schedule = [(start, start + FAULT_SECONDS, fault, 1.0) for fault in faults("fan")]
    seed = track.seed * 1000 + number
    sound = np.concatenate(
        list(stream("fan", track.section, "source", seed=seed, seconds=scene.seconds, schedule=schedule))
    )
    if track.name in scene.breaks:
        first = round(scene.breaks[track.name] * SAMPLE_RATE)
        last = first + FAULT_SECONDS * SAMPLE_RATE
        hiss = np.random.default_rng(seed).normal(0, 2e-4, last - first)
        sound[first:last] = 0.0 if track.loses_cable else hiss
    return sound


class Soak:
    """One run.

    Args:
        folder: Private to it.
        hours: Of sound.
        scene_count: Different scenes.
        scene_seconds: Length of each.
        seed: Of scenes and their order.
        workers: Threads that simulate.
    """

    def __init__(
        self,
        folder: Path,
        hours: float,
        scene_count: int = 4,
        scene_seconds: int = 900,
        seed: int = 1,
        workers: int = 2,
    ) -> None:
        self.folder, self.scenes = folder, scenes(scene_count, scene_seconds, seed)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(lambda n: write_scene(folder / "scenes", n, self.scenes[n]), range(scene_count)))
        plays = max(1, round(hours * 3600 / scene_seconds))
        self.order = [int(n) for n in np.random.default_rng(seed).integers(scene_count, size=plays)]
        self.seconds = plays * scene_seconds
        for source in SOURCES:
            (folder / "day" / source).mkdir(parents=True)
            for place, number in enumerate(self.order):
                (folder / "day" / source / f"{place:05d}.wav").symlink_to(folder / "scenes" / source / f"{number}.wav")

    def run(self, verbose: bool = False) -> Result:
        """Play it all."""
        result = Result(self.seconds / 3600, due=len(TRACKS) * ((self.seconds - WINDOW) // HOP + 1))
        watched: list[Use] = []
        with Broker(self.folder / "broker", log="error") as broker:
            address = broker.settings()
            with (
                Listener(address, "asd/box/monitor/+/alert", client_id="alerts") as alerts,
                Listener(address, "asd/box/health", client_id="health") as health,
                Listener(address, "asd/box/status", client_id="status") as status,
                Listener(address, "asd/box/source/+/state", client_id="sources") as states,
            ):
                with AgentProcess(self.folder / "agent", self._settings(broker.port)) as agent:
                    for use in self._watch(agent):
                        watched.append(use)
                        if verbose:
                            _print_use(use, agent.started, health, result.due)
                    result.exit_code = agent.process.wait(60)
                    result.wall_seconds = time.monotonic() - agent.started
                status.wait_text("asd/box/status", "offline")
                result.windows = json.loads(health.texts("asd/box/health")[-1])["windows"]
                self._count_faults(result, alerts, states)
        _steady(result, watched)
        return result

    def _settings(self, port: int) -> dict[str, Any]:
        sources = {
            s: {"kind": "file", "path": str(self.folder / "day" / s), "channels": [0, 1], "speed": SPEED}
            for s in SOURCES
        }
        monitors: dict[str, Any] = {}
        for t in TRACKS:
            monitors[t.name] = {
                "source": t.source,
                "channel": t.channel,
                "bundle": str(demo_bundle()),
                "section": t.section,
                "hop_seconds": HOP,
                "alarm": {"raise_after": f"{K} of {N}"},
            }
            if t.stands_still:
                monitors[t.name]["active_when"] = {"level_above_dbfs": STANDING_STILL_DBFS}
        mqtt = {"host": "127.0.0.1", "port": port, "reconnect_seconds": [0.2, 0.5]}
        return {"agent": {"name": "box"}, "mqtt": mqtt, "sources": sources, "monitors": monitors}

    @staticmethod
    def _watch(agent: AgentProcess) -> Iterator[Use]:
        agent.wait_ready()
        while agent.process.poll() is None:
            use = agent.use()
            if use:
                yield use
            time.sleep(SAMPLE_SECONDS)

    def _count_faults(self, result: Result, alerts: Listener, states: Listener) -> None:
        late: list[float] = []
        for track in TRACKS:
            raised = [a for a in alerts.objects(f"asd/box/monitor/{track.name}/alert") if a["event"] == "raised"]
            result.raised += len(raised)
            (began,) = [
                _seconds(s["since"]) for s in states.objects(f"asd/box/source/{track.source}/state") if _has_judged(s)
            ]
            ends = np.array([_seconds(a["window_end"]) for a in raised]) - began
            # The state changes moments after the first sample; windows end a whole number of hops after it.
            ends = HOP * np.round(ends / HOP)
            places = [Place(track.name, n, -s.faults[track.name] % HOP) for n, s in enumerate(self.scenes)]
            near: set[int] = set()
            for turn, number in enumerate(self.order):
                start = turn * self.scenes[0].seconds + self.scenes[number].faults[track.name]
                after = ends - K * HOP - start
                closest = int(np.argmin(np.abs(after))) if len(after) else -1
                nearest = float(after[closest]) if len(after) else float("nan")
                result.faults += 1
                places[number].faults += 1
                if abs(nearest) <= FAULT_SECONDS:
                    near.add(closest)
                    places[number].count(nearest + K * HOP)
                if abs(nearest) <= HOP:
                    late.append(nearest)
                else:
                    result.missed.append(f"{track.name} at {start:.1f} s of scene {number}: {nearest:+.1f} s")
            result.stray += len(raised) - len(near)
            result.places += [p for p in places if p.faults]
        result.found = len(late)
        result.late_seconds = (min(late), max(late)) if late else (0.0, 0.0)


def _has_judged(state: dict[str, Any]) -> bool:
    return state["state"] == "healthy"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _steady(result: Result, watched: list[Use]) -> None:
    """Straight lines through the steady part, which ends when the first recording does."""
    watched = [u for u in watched if u.processes == 1 + len(SOURCES)]
    begun, ended = watched[0].at, watched[-1].at
    steady = [u for u in watched if u.at >= ended - STEADY_SHARE * (ended - begun)]
    at = np.array([u.at for u in steady])
    share = (at - begun) / max(ended - begun, 1e-9) * result.hours
    for name, values in (
        ("resident_mib", [u.resident / 2**20 for u in steady]),
        ("descriptors", [float(u.descriptors) for u in steady]),
        ("threads", [float(u.threads) for u in steady]),
    ):
        slope, start = np.polyfit(share, values, 1) if len(steady) > 2 else (0.0, values[0])
        line = {"from": start + slope * share[0], "to": start + slope * share[-1], "an_hour": slope}
        rounded = {k: round(float(v), 4) for k, v in line.items()}
        setattr(result, name, rounded | {"least": round(min(values), 2), "most": round(max(values), 2)})


def _print_use(use: Use, started: float, health: Listener, due: int) -> None:
    texts_ = health.texts("asd/box/health")
    done = sum(json.loads(texts_[-1])["windows"][k] for k in ("scored", "invalid", "suspended")) if texts_ else 0
    sys.stderr.write(
        f"\r{use.at - started:6.0f} s  {done:,} of {due:,} windows  {use.resident / 2**20:.1f} MiB  "
        f"{use.descriptors} descriptors  {use.threads} threads "
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--scenes", type=int, default=4)
    parser.add_argument("--scene-seconds", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asd-soak-"))
    try:
        sys.stderr.write("simulating\n")
        soak = Soak(folder, asked.hours, asked.scenes, asked.scene_seconds, asked.seed)
        result = soak.run(verbose=sys.stderr.isatty())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({**asdict(result), "accounted": result.accounted}, indent=1))
    whole = (result.accounted, result.found) == (result.due, result.faults)
    return int(not whole or result.stray != 0 or result.exit_code != 0)


if __name__ == "__main__":
    sys.exit(main())
