"""Scoring with ten tabs of the page open against none, and the page's answer times.

    python benchmarks/ten_tabs.py [--rounds 6] [--seconds 25] [--json]

A service with four monitors and two years of history; the page as a process of its own at nice 10, as its unit runs it.
The tabs are plain HTTP clients, so that no browser takes the box's processors. They ask for what the page's scripts
ask for: an own stream of updates each (a browser shares one), five with the tiles every two seconds, two with the
alarms, one with a chart of two years every ten seconds, one with the live spectrogram, one with the page of the box.
Rounds with tabs and without alternate. Needs Mosquitto; run it with tests/ on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import history as filled
from agent_process import AgentProcess

from asd_agent.demo.assets import demo_bundle, demo_recording
from asd_agent.demo.broker import free_port
from rigs.broker import Broker, Listener

MONITORS = 4
HOP = 1.0
YEARS = 730 * 86_400.0
_X = {"HX-Request": "true", "X-Asd": "1"}


class Tabs:
    """Ten tabs that are open until they are closed.

    Args:
        port: Port of the page.
    """

    def __init__(self, port: int) -> None:
        self._port, self._over = port, threading.Event()
        self.answers: dict[str, list[float]] = {}
        self.refused = 0
        works: list[Callable[[], None]] = [*[lambda: self._stream("/updates")] * 10, self._spectrogram, self._chart]
        works += [lambda: self._repeat("/", 2.0)] * 5 + [lambda: self._repeat("/alarms", 2.0)] * 2
        works += [lambda: self._repeat("/box", 10.0)]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Close them."""
        self._over.set()
        for thread in self._threads:
            thread.join(15.0)

    def _chart(self) -> None:
        now = time.time()
        self._repeat(f"/machines/machine-0/series?start={now - YEARS}&end={now}", 10.0)

    def _spectrogram(self) -> None:
        self._stream("/machines/machine-0/listen/columns")

    def _repeat(self, path: str, pause: float) -> None:
        while not self._over.wait(pause):
            self.answers.setdefault(path.partition("?")[0], []).append(fetch(self._port, path))

    def _stream(self, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=12.0)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            self.refused += 1
            return
        while not self._over.is_set():
            if not answer.readline():
                break
        connection.close()


def fetch(port: int, path: str) -> float:
    """Return the milliseconds until an answer is there whole."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    start = time.perf_counter()
    connection.request("GET", path, headers=_X)
    answer = connection.getresponse()
    answer.read()
    took = 1e3 * (time.perf_counter() - start)
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return took


def cpu_seconds(pid: int) -> float:
    """Processor time of one process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def gateway(service: int) -> int:
    """Process id of the service's gateway."""
    children = [pid for path in Path(f"/proc/{service}/task").glob("*/children") for pid in path.read_text().split()]
    return next(int(pid) for pid in children if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes())


def measure(agent: AgentProcess, listener: Any, seconds: float) -> dict[str, float]:
    """Ages of the scores that arrive in a while, in ms, and the service's processor time for each."""
    first, before = len(listener.arrived), cpu_seconds(agent.process.pid)
    time.sleep(seconds)
    used, ages = cpu_seconds(agent.process.pid) - before, []
    for message, utc in list(zip(listener.heard, listener.arrived, strict=False))[first:]:
        if message.topic.endswith("/score"):
            end = datetime.fromisoformat(json.loads(message.payload)["window_end"].replace("Z", "+00:00")).timestamp()
            ages.append(1e3 * (utc - end))
    return {"age_ms": statistics.median(ages), "cpu_ms": 1e3 * used / len(ages), "windows": float(len(ages))}


def settings(folder: Path, mqtt_port: int, port: int) -> dict[str, Any]:
    """agent.yaml of the service."""
    return {
        "agent": {"name": "bench"},
        "mqtt": {"host": "127.0.0.1", "port": mqtt_port},
        "sources": {"s": {"kind": "file", "path": str(demo_recording()), "loop": True, "speed": 1.0}},
        "monitors": {
            f"machine-{i}": {"source": "s", "bundle": str(demo_bundle()), "section": "00", "hop_seconds": HOP}
            for i in range(MONITORS)
        },
        "web": {"port": port, "users": str(folder / "users.json")},
    }


def run(folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Fill the history, run service and page, and measure."""
    (folder / "state").mkdir(parents=True)
    filled.END = int(time.time()) // filled.HOUR
    store = filled.fill(folder / "state" / "history.sqlite3", MONITORS, 730)
    megabytes = store.bytes / 2**20
    store.close()
    port = free_port()
    with (
        Broker(folder / "broker") as broker,
        Listener(broker.settings(), "asd/#") as listener,
        AgentProcess(folder, settings(folder, broker.port, port)) as agent,
    ):
        agent.wait_ready()
        command = ["nice", "-n", "10", sys.executable, "-c", "from asd_agent.cli import main; main()"]
        page = subprocess.Popen([*command, "web", "-c", str(folder / "agent.yaml")], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            time.sleep(25.0)  # the first windows are whole, and the first alarm stands
            alone, processor = dict[str, list[float]](), dict[str, float]()
            for path in ("/", "/alarms"):
                before = cpu_seconds(page.pid) + cpu_seconds(gateway(agent.process.pid))
                alone[path] = [fetch(port, path) for _ in range(100)]
                used = cpu_seconds(page.pid) + cpu_seconds(gateway(agent.process.pid)) - before
                processor[path] = round(1e3 * used / 100, 1)
            pairs, tabs_answers, refused = [], dict[str, list[float]](), 0
            for number in range(rounds):
                found: dict[bool, dict[str, float]] = {}
                for is_open in ((False, True), (True, False))[number % 2]:
                    tabs = Tabs(port) if is_open else None
                    time.sleep(3.0)
                    found[is_open] = measure(agent, listener, seconds)
                    if tabs:
                        tabs.close()
                        refused += tabs.refused
                        for path, took in tabs.answers.items():
                            tabs_answers.setdefault(path, []).extend(took)
                pairs.append(found)
        finally:
            page.terminate()
            page.wait(15.0)
    result: dict[str, Any] = {"megabytes": round(megabytes), "rounds": rounds, "refused": refused}
    for key in ("age_ms", "cpu_ms"):
        ratios = sorted(p[True][key] / p[False][key] for p in pairs)
        result[key] = {
            "without": statistics.median(p[False][key] for p in pairs),
            "with": statistics.median(p[True][key] for p in pairs),
            "ratio_of_medians": statistics.median(p[True][key] for p in pairs)
            / statistics.median(p[False][key] for p in pairs),
            "ratios": [round(r, 3) for r in ratios],
        }
    result["windows"] = sum(p[o]["windows"] for p in pairs for o in p)
    result["answers_ms"] = {path: spread(took) for path, took in alone.items()}
    result["answers_processor_ms"] = processor
    result["answers_with_tabs_ms"] = {path: spread(took) for path, took in sorted(tabs_answers.items())}
    return result


def spread(values: list[float]) -> dict[str, float]:
    """Median and ninth decile."""
    if len(values) < 2:
        return {"median": round(values[0], 1)}
    return {"median": round(statistics.median(values), 1), "p90": round(statistics.quantiles(values, n=10)[-1], 1)}


def wait_for(port: int) -> None:
    """Wait until the page answers."""
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        try:
            fetch(port, "/healthz")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("the page does not answer")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder) / "box", options.rounds, options.seconds)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:22} {json.dumps(value)}")


if __name__ == "__main__":
    main()
