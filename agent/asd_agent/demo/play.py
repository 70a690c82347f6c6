"""Run of the demo: shipped sound through the service, a broker that fails on purpose, and a comparison with labels."""

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
from asd_agent.demo.assets import demo_bundle, demo_labels, demo_recording
from asd_agent.demo.broker import HOST, DemoBroker
from asd_agent.demo.screen import ScreenContent
from asd_agent.demo.verdict import LabelledFault, LabelledRecording, RaisedAlarm, judge
from asd_agent.errors import AsdError
from asd_agent.evidence.store import FOLDER, export_evidence, list_evidence
from asd_agent.monitor import Monitor
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.loop import Service

AGENT = "demo"
BROKER_RETURNS_AFTER = 10.0
"""Seconds of recording after the end of a fault at which the broker that stopped during it comes back."""
DELIVERY_SECONDS = 30.0
"""Time that the end waits for alerts that are still being delivered."""


@dataclass(frozen=True)
class DemoOutcome:
    """Result of the demo; the fields of `asd-agent demo --json`.

    Attributes:
        seconds: Seconds of the recording that were played.
        faults: Labelled faults in them.
        detected: Faults that raised an alarm.
        false_alarms: Alarms without a fault.
        latency_seconds: From each detected fault's start to the end of the window that raised its alarm.
        raised: Alarms that the agent raised.
        received: Different `raised` alerts that reached the subscriber.
        received_late: Those of them that are marked late.
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
        """True where every fault raised an alarm, nothing else did, and every alarm was delivered."""
        return self.detected == self.faults and self.false_alarms == 0 and self.received == self.raised

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return asdict(self) | {"ok": self.good}


class Demo:
    """Plays the shipped recording.

    Args:
        speed: Seconds of recording a second.
        seconds: Seconds of the recording to play; None plays all.
        show: Called with the screen's content whenever it has changed, from the service's thread.
        evidence: Folder to copy the evidence of the alarms to; None removes it with the demo.

    Attributes:
        content: Content of the screen now.
        at_last_alarm: Its content when the last alarm was raised.
    """

    def __init__(
        self,
        speed: float,
        seconds: float | None,
        show: Callable[[ScreenContent], None] | None = None,
        evidence: Path | None = None,
    ) -> None:
        self._labels: LabelledRecording = demo_labels()
        self._length = min(seconds or self._labels.seconds, self._labels.seconds)
        self._speed, self._show, self._evidence = speed, show, evidence
        self.content = ScreenContent(
            f"asd-agent demo: {self._labels.machine}, section {self._labels.section}, {speed:g}× real time",
            self._length,
        )
        self.at_last_alarm = self.content
        self._alarms: list[RaisedAlarm] = []
        self._kept = 0
        self._received: list[dict[str, Any]] = []
        self._broker: DemoBroker | None = None
        self._service: Service | None = None
        # The broker fails during the last fault, so that the demo shows an alert in time and one that waits.
        self._outage: LabelledFault | None = (self._labels.until(self._length) or (None,))[-1]
        self._returns = math.inf

    def run(self) -> DemoOutcome:
        """Play to the end, wait for the deliveries, and compare with the labels.

        Raises:
            AsdError: The demo's parts are not installed, or its subscriber fails.
        """
        with tempfile.TemporaryDirectory(prefix="asd-demo-") as state, DemoBroker() as broker:
            self._broker = broker
            topic = f"asd/{AGENT}/monitor/+/alert"
            subscriber = _Subscriber(broker.subscriber_port, topic, self._on_received, broker.admit_agent)
            try:
                self._service = Service(LoadedRuntime(self._config(Path(state), broker.agent_port)), observer=self)
                self._service.run(drain_seconds=DELIVERY_SECONDS)
                subscriber.wait_for(lambda: len(self._raised_ids()) >= len(self._alarms), DELIVERY_SECONDS)
            finally:
                subscriber.close()
            self._kept = self._copy_evidence(Path(state) / FOLDER)
        return self._outcome()

    def window(self, monitor: Monitor, scored: ScoredWindow) -> None:
        """Take a judged window of the service."""
        content = self.content
        content.seconds = scored.end
        content.truth = self._playing(scored.end)
        if monitor.source.state == "healthy":
            content.level_dbfs = monitor.source.counters.level_dbfs
        content.state = monitor.state.state
        if scored.score is not None and scored.threshold is not None:
            content.score, content.threshold = scored.score, scored.threshold
            content.scores.append((scored.score, scored.over))
        fault = self._outage
        if fault and self._broker and self._broker.running and scored.end >= fault.start:
            self._outage, self._returns = None, fault.end + BROKER_RETURNS_AFTER
            self._broker.stop()
            content.events.append("[yellow]the broker stops, while a fault begins[/]")
        over = scored.end >= self._length
        if self._broker and not self._broker.running and (over or scored.end >= self._returns):
            content.events.append("[green]the broker is back[/]")
            self._broker.start()
        if over and self._service:
            self._service.stop()
        self._changed()

    def event(self, monitor: Monitor, event: Event) -> None:
        """Take an event of an alarm."""
        window = event.window
        if event.event == "raised" and window is not None:
            self._alarms.append(RaisedAlarm(event.id, window.start, window.end))
        self.content.state = event.state
        if window is not None:
            self.content.seconds = window.end
        at = f"{window.end:.0f} s" if window else ""
        found = f": {window.explanation.text}" if window and window.explanation and event.event == "raised" else ""
        colour = "red" if event.event in ("raised", "escalated") else "green"
        severity = f", severity {event.severity}" if event.event in ("raised", "escalated") else ""
        line = f"[{colour}]{monitor.name} {event.event}[/] at {at}{severity}{found}"
        self.content.events.append(line)
        self._changed()
        if event.event == "raised":
            self.at_last_alarm = copy.deepcopy(self.content)

    def _copy_evidence(self, folder: Path) -> int:
        found = list_evidence(folder)
        if self._evidence is not None:
            for one in found:
                export_evidence(one, self._evidence)
        return len(found)

    def _on_received(self, alert: dict[str, Any]) -> None:
        self._received.append(alert)
        late = " [yellow]late[/]" if alert["late"] else ""
        self.content.events.append(f"[blue]subscriber received '{alert['event']}'{late}[/] seq {alert['seq']}")
        self._changed()

    def _changed(self) -> None:
        self.content.broker = bool(self._broker and self._broker.running)
        self.content.waiting = self._service.waiting if self._service else 0
        if self._show:
            self._show(self.content)

    def _playing(self, seconds: float) -> str:
        for fault in self._labels.faults:
            if fault.start < seconds <= fault.end:
                return f"fault: {fault.fault}, severity {fault.severity:g}"
        return "normal"

    def _raised_ids(self) -> set[str]:
        return {a["id"] for a in self._received if a["event"] == "raised"}

    def _outcome(self) -> DemoOutcome:
        verdict = judge(self._labels.until(self._length), self._alarms)
        ids = [a["id"] for a in self._received]
        return DemoOutcome(
            seconds=self.content.seconds,
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
                    self._labels.machine: {
                        "source": "recording",
                        "bundle": str(demo_bundle()),
                        "section": self._labels.section,
                    }
                },
                "paths": {"state": state},
                "evidence": {"free_megabytes": 0},  # its folder is temporary and small
            }
        )


class _Subscriber:
    """Process that subscribes to the alerts."""

    def __init__(
        self, port: int, topic: str, received: Callable[[dict[str, Any]], None], subscribed: Callable[[], None]
    ) -> None:
        command = [sys.executable, "-m", "asd_agent.demo.subscriber", HOST, str(port), topic]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._news: Queue[None] = Queue()
        self._ready = threading.Event()
        self._received, self._subscribed = received, subscribed
        self._thread = threading.Thread(target=self._read, name="demo-subscriber", daemon=True)
        self._thread.start()
        if not self._ready.wait(DELIVERY_SECONDS):
            self.close()
            raise AsdError("the demo's subscriber cannot reach the demo's broker", f"Is {HOST} free to be used?")

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until a message makes the condition true, or the time is up."""
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
                self._received(document["alert"])
                self._news.put(None)
            else:
                self._subscribed()
                self._ready.set()
