"""A running service with a gateway, a seeded history and a standing alarm, for tests of the page."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from asd_agent.control_client import WEB_SOCKET_NAME
from asd_agent.demo.broker import free_port
from asd_agent.history import FILE_NAME
from asd_agent.history.store import AlarmRow, Batch, EventRow, HistoryStore
from rigs.agent import Agent
from rigs.bundles import hum, write_wav
from rigs.history import named, windows
from rigs.waiting import PATIENCE, wait_until

EVIL = '<script>alert("x")</script>'
"""A text that must reach no page unescaped."""


@dataclass
class PageBox:
    """A box with the service running.

    Attributes:
        config: agent.yaml.
        state: The state folder.
        agent: The service.
        port: Port of the page; nothing listens on it yet.
    """

    config: Path
    state: Path
    agent: Agent
    port: int

    @property
    def socket(self) -> Path:
        """The gateway's socket."""
        return self.state / WEB_SOCKET_NAME

    def ask(self, verb: str, **fields: Any) -> tuple[dict[str, Any], bytes]:
        """Send a request; return the document and the bytes behind it."""
        return ask_gateway(self.socket, {"verb": verb, **fields})

    def standing(self, monitor: str = "m") -> str:
        """Id of the monitor's standing alarm."""
        return str(self.ask("states")[0]["monitors"][monitor]["alarm_id"])


def ask_gateway(path: Path, document: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Send one request over a gateway's socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(json.dumps(document).encode() + b"\n")
        with connection.makefile("rb") as stream:
            answer = json.loads(stream.readline())
            return answer, stream.read(answer.get("bytes", 0))


def seed_history(path: Path, monitor: str, now: float, *, hours: float = 6.0) -> None:
    """Write some hours of calm scores with two faults, a gap, and their alarms, one judged and one with evil texts."""
    count, hop = round(hours * 720), 5.0
    scores = np.random.default_rng(3).normal(0.5, 0.6, count)
    first, second = count // 3, count // 2
    scores[first : first + 40] += 6.0
    scores[second : second + 12] += 4.5
    values: list[float | None] = [float(s) for s in scores]
    values[2 * count // 3 : 2 * count // 3 + 60] = [None] * 60
    start = now - hours * 3600.0
    store = HistoryStore(path)
    alarms, events = [], []
    for name, place, verdict in (("seed-true", first, "true"), ("seed-false", second, "false")):
        raised = start + (place + 3) * hop
        cleared = start + (place + (45 if name == "seed-true" else 17)) * hop
        alarms.append(
            AlarmRow(name, monitor, "hum", "00", "source", "b" * 64, raised, 350, f"3.0 kHz {EVIL}", cleared, None,
                     None, 6.5, 4.0)
        )  # fmt: skip
        events += [
            EventRow(f"{name}-r", name, monitor, raised, "raised", 1, "active", 350),
            EventRow(f"{name}-v", name, monitor, cleared + 60, "verdict", 2, "returned", 350, f"anna {EVIL}",
                     f"note {EVIL}", verdict, f"label {EVIL}"),
        ]  # fmt: skip
    for hour in range(0, count, 720):
        batch = named(monitor, windows(values[hour : hour + 720], start=start + hour * hop, first=hour))
        store.commit(Batch(batch, alarms if hour == 0 else (), events if hour == 0 else ()), start + (hour + 720) * hop)
    store.close()


@contextmanager
def page_box(folder: Path, bundle: Path, *, knocks: bool = True, **web: Any) -> Iterator[PageBox]:
    """Run a service whose monitor `m` has raised an alarm that stands, with its evidence stored.

    The calm stretch of the looped sound is shorter than `clear_after`, so that the alarm never clears.
    """
    port, state, sound = free_port(), folder / "state", folder / "sound.wav"
    write_wav(sound, np.concatenate([hum(25, 71), hum(40, 72, knocks=knocks)]))
    settings = {
        "agent": {"name": "box"},
        "mqtt": {"host": "127.0.0.1", "port": free_port(), "reconnect_seconds": [30, 60]},
        "sources": {"sound": {"kind": "file", "path": str(sound), "speed": 10, "loop": True}},
        "monitors": {
            "m": {"source": "sound", "bundle": str(bundle), "section": "00", "hop_seconds": 5,
                  "alarm": {"raise_after": "3 of 4", "clear_after": 20}},
        },
        "paths": {"state": str(state)},
        "evidence": {"pre_seconds": 5, "post_seconds": 2, "free_megabytes": 0},
        "web": {"port": port, "users": str(folder / "users.json"), "public_url": "https://box.plant/asd/", **web},
    }  # fmt: skip
    config = folder / "agent.yaml"
    config.write_text(yaml.safe_dump(settings))
    state.mkdir(parents=True, exist_ok=True)
    if not (state / FILE_NAME).exists():
        seed_history(state / FILE_NAME, "m", time.time())
    agent = Agent(config)
    box = PageBox(config, state, agent, port)
    try:
        agent.wait_log("listening")
        wait_until(box.socket.exists, lambda: f"no gateway: {agent.lines}")
        if knocks:
            agent.wait_log("raised")
            wait_until(
                lambda: box.ask("states")[0].get("monitors", {}).get("m", {}).get("evidence_id"),
                lambda: f"no evidence: {agent.lines}",
            )
        yield box
    finally:
        if box.agent.process.poll() is None:
            box.agent.close()


@contextmanager
def page_process(box: PageBox) -> Iterator[subprocess.Popen[str]]:
    """`asd-agent web`, once it answers."""
    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", "web", "-c", str(box.config)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: process.poll() is not None or get(box, "/healthz") == 200, "the page does not answer")
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)


def get(box: PageBox, path: str, source: str = "127.0.0.1") -> int:
    """Status of an answer; 0 where nothing listens."""
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=PATIENCE, source_address=(source, 0))
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
