"""The demo: shipped sound through the service, a broker that fails on purpose, and a verdict against the labels."""

from __future__ import annotations

import copy
import json
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from asd_agent.alarm import Event, ScoredWindow
from asd_agent.config.model import Config
from asd_agent.demo.assets import demo_bundle, demo_recording, demo_truth
from asd_agent.demo.broker import HOST, DemoBroker
from asd_agent.demo.screen import Picture
from asd_agent.demo.verdict import Fault, Raised, Truth, judge
from asd_agent.errors import AsdError
from asd_agent.evidence.export import export_to
from asd_agent.evidence.store import FOLDER, held
from asd_agent.monitor import Monitor
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.loop import Service

AGENT = "demo"
BROKER_RETURNS_AFTER = 10.0
"""Seconds of recording after the end of a fault at which the broker that stopped during it comes back."""
LAST_WORDS_SECONDS = 30.0
"""How long the end waits for alerts that are still on their way."""


@dataclass(frozen=True)
class Outcome:
    """What the demo showed; the fields of `asd-agent demo --json`.

    Attributes:
        seconds: Of the recording that were played.
        faults: Labelled faults in them.
        detected: Faults that raised an alarm.
        false_alarms: Alarms without a fault.
        latency_seconds: From each detected fault's start to the end of the window that raised its alarm.
        raised: Alarms that the agent raised.
        received: Different `raised` alerts that reached the subscriber.
        received_late: Those of them that say they are late.
        repeated: Copies that came again under the same id.
        evidence: Alarms whose sound and picture were kept.
    """

    seconds: float
    faults: int
    detected: int
    false_alarms: int
    latency_seconds: tuple[float, ...]
    raised: int
    received: int
    received_late: int
    repeated: int
    evidence: int

    @property
    def good(self) -> bool:
        """Every fault found, nothing said without cause, everything delivered."""
        return self.detected == self.faults and self.false_alarms == 0 and self.received == self.raised

    def to_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        return asdict(self) | {"ok": self.good}


class Demo:
    """Plays the shipped recording.

    Args:
        speed: Seconds of recording a second.
        seconds: How much to play; None plays all.
        show: Called with the picture whenever it has changed, from the service's thread.
        evidence: Where to copy the evidence of the alarms; None lets it go with the demo.

    Attributes:
        picture: What the screen shows now.
        at_last_alarm: What it showed when the last alarm was raised.
    """

    def __init__(
        self,
        speed: float,
        seconds: float | None,
        show: Callable[[Picture], None] | None = None,
        evidence: Path | None = None,
    ) -> None:
        self._truth: Truth = demo_truth()
        self._length = min(seconds or self._truth.seconds, self._truth.seconds)
        self._speed, self._show, self._evidence = speed, show, evidence
        self.picture = Picture(
            f"asd-agent demo: {self._truth.machine}, section {self._truth.section}, {speed:g}× real time", self._length
        )
        self.at_last_alarm = self.picture
        self._alarms: list[Raised] = []
        self._kept = 0
        self._received: list[dict[str, Any]] = []
        self._broker: DemoBroker | None = None
        self._service: Service | None = None
        # The broker fails during the last fault, so that the demo shows an alert in time and one that waits.
        self._outage: Fault | None = (self._truth.until(self._length) or (None,))[-1]
        self._returns = math.inf

    def run(self) -> Outcome:
        """Play to the end, wait for what is on its way and judge.

        Raises:
            AsdError: The demo's parts are not installed, or its subscriber fails.
        """
        with tempfile.TemporaryDirectory(prefix="asd-demo-") as state, DemoBroker() as broker:
            self._broker = broker
            topic = f"asd/{AGENT}/monitor/+/alert"
            subscriber = _Subscriber(broker.subscriber_port, topic, self._on_received, broker.admit_agent)
            try:
                self._service = Service(LoadedRuntime(self._config(Path(state), broker.agent_port)), observer=self)
                self._service.run(drain_seconds=LAST_WORDS_SECONDS)
                subscriber.wait_for(lambda: len(self._raised_ids()) >= len(self._alarms), LAST_WORDS_SECONDS)
            finally:
                subscriber.close()
            self._kept = self._copy_evidence(Path(state) / FOLDER)
        return self._outcome()

    def window(self, monitor: Monitor, observation: ScoredWindow) -> None:
        """The service judged a window."""
        picture = self.picture
        picture.seconds = observation.end
        picture.truth = self._playing(observation.end)
        if monitor.source.state == "healthy":
            picture.level_dbfs = monitor.source.counters.level_dbfs
        picture.state = monitor.state.state
        if observation.score is not None and observation.threshold is not None:
            picture.score, picture.threshold = observation.score, observation.threshold
            picture.scores.append((observation.score, observation.over))
        fault = self._outage
        if fault and self._broker and self._broker.running and observation.end >= fault.start:
            self._outage, self._returns = None, fault.end + BROKER_RETURNS_AFTER
            self._broker.stop()
            picture.events.append("[yellow]the broker stops, while a fault begins[/]")
        over = observation.end >= self._length
        if self._broker and not self._broker.running and (over or observation.end >= self._returns):
            picture.events.append("[green]the broker is back[/]")
            self._broker.start()
        if over and self._service:
            self._service.stop()
        self._changed()

    def event(self, monitor: Monitor, event: Event) -> None:
        """The alarm spoke."""
        window = event.window
        if event.event == "raised" and window is not None:
            self._alarms.append(Raised(event.id, window.start, window.end))
        self.picture.state = event.state
        if window is not None:
            self.picture.seconds = window.end
        at = f"{window.end:.0f} s" if window else ""
        heard = f": {window.explanation.text}" if window and window.explanation and event.event == "raised" else ""
        colour = "red" if event.event in ("raised", "escalated") else "green"
        severity = f", severity {event.severity}" if event.event in ("raised", "escalated") else ""
        said = f"[{colour}]{monitor.name} {event.event}[/] at {at}{severity}{heard}"
        self.picture.events.append(said)
        self._changed()
        if event.event == "raised":
            self.at_last_alarm = copy.deepcopy(self.picture)

    def _copy_evidence(self, folder: Path) -> int:
        found = held(folder)
        if self._evidence is not None:
            for one in found:
                export_to(one, self._evidence)
        return len(found)

    def _on_received(self, alert: dict[str, Any]) -> None:
        self._received.append(alert)
        late = " [yellow]late[/]" if alert["late"] else ""
        self.picture.events.append(f"[blue]subscriber got '{alert['event']}'{late}[/] seq {alert['seq']}")
        self._changed()

    def _changed(self) -> None:
        self.picture.broker = bool(self._broker and self._broker.running)
        self.picture.waiting = self._service.waiting if self._service else 0
        if self._show:
            self._show(self.picture)

    def _playing(self, seconds: float) -> str:
        for fault in self._truth.faults:
            if fault.start < seconds <= fault.end:
                return f"fault: {fault.fault}, severity {fault.severity:g}"
        return "normal"

    def _raised_ids(self) -> set[str]:
        return {a["id"] for a in self._received if a["event"] == "raised"}

    def _outcome(self) -> Outcome:
        verdict = judge(self._truth.until(self._length), self._alarms)
        ids = [a["id"] for a in self._received]
        return Outcome(
            seconds=self.picture.seconds,
            faults=verdict.faults,
            detected=verdict.detected,
            false_alarms=verdict.false_alarms,
            latency_seconds=verdict.latency_seconds,
            raised=len(self._alarms),
            received=len(self._raised_ids()),
            received_late=len({a["id"] for a in self._received if a["event"] == "raised" and a["late"]}),
            repeated=len(ids) - len(set(ids)),
            evidence=self._kept,
        )

    def _config(self, state: Path, port: int) -> Config:
        return Config.model_validate(
            {
                "agent": {"name": AGENT},
                "mqtt": {"host": HOST, "port": port, "protocol": "3.1.1", "reconnect_seconds": [0.5, 1.0]},
                "sources": {"recording": {"kind": "file", "path": demo_recording(), "speed": self._speed}},
                "monitors": {
                    self._truth.machine: {
                        "source": "recording",
                        "bundle": str(demo_bundle()),
                        "section": self._truth.section,
                    }
                },
                "paths": {"state": state},
                "evidence": {"free_megabytes": 0},  # a bit of a temporary folder
            }
        )


class _Subscriber:
    """The process at the other end of the wire."""

    def __init__(
        self, port: int, topic: str, heard: Callable[[dict[str, Any]], None], subscribed: Callable[[], None]
    ) -> None:
        command = [sys.executable, "-m", "asd_agent.demo.subscriber", HOST, str(port), topic]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._news: Queue[None] = Queue()
        self._ready = threading.Event()
        self._heard, self._subscribed = heard, subscribed
        self._thread = threading.Thread(target=self._read, name="demo-subscriber", daemon=True)
        self._thread.start()
        if not self._ready.wait(LAST_WORDS_SECONDS):
            self.close()
            raise AsdError("the demo's subscriber cannot reach the demo's broker", f"Is {HOST} free to be used?")

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        """Sleep until something received makes the condition true, or the time is up."""
        while not condition():
            try:
                self._news.get(timeout=seconds)
            except Empty:
                return

    def close(self) -> None:
        """End the process."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(timeout=5)
        if self._process.stdout:
            self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            document = json.loads(line)
            if "alert" in document:
                self._heard(document["alert"])
                self._news.put(None)
            else:
                self._subscribed()
                self._ready.set()
