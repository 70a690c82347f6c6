"""Test alarms: an anomalous window through scoring, alarm, outbox and broker, as the button of a smoke detector.

The window comes from the bundle's golden windows. The test has a state of its own, so that the monitor's alarm, its
votes and its sequence are not touched; its alerts are marked `test`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asd_agent.alarm import AlarmState, Event, ScoredWindow, step
from asd_agent.audio.files import Signal
from asd_agent.bundle.arrays import load_arrays
from asd_agent.bundle.files import GOLDEN
from asd_agent.clock import Clock, ClockReading, iso_utc
from asd_agent.errors import AsdError
from asd_agent.inference.scorer import WindowScore
from asd_agent.monitor import Monitor
from asd_agent.mqtt.mapping import alert_of
from asd_agent.mqtt.payloads import Alert
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox
from asd_agent.whole_files import write_whole

FILE_NAME = "test-alarm.json"
"""Name of the record of the last proof, in the state folder."""
KNOCKS = (0.05, 0.2, 0.5, 1.0)
"""Heights of the knocks that make a normal window anomalous, in parts of full scale; the lowest that works is used."""
LOOKED_AT = 200
"""Newest rows of the outbox among which an acknowledged test alert is looked for."""


@dataclass(frozen=True)
class ChainProof:
    """The last test alert that a broker acknowledged.

    Attributes:
        time: Time of the acknowledgement, UTC.
        monitor: Monitor whose bundle was used.
        alarm_id: Id of the test alarm.
        seconds: Seconds from the request to the acknowledgement.
    """

    time: str
    monitor: str
    alarm_id: str
    seconds: float


@dataclass(frozen=True)
class _PendingTest:
    message_id: str
    monitor: str
    alarm_id: str
    started: float


class ChainTests:
    """Runs test alarms and keeps the record of the last one that reached a broker.

    Args:
        state: The state folder.
        outbox: Store of the alerts.
        clock: The clocks.
    """

    def __init__(self, state: Path, outbox: Outbox, clock: Clock) -> None:
        self._path, self._outbox, self._clock = state / FILE_NAME, outbox, clock
        self._pending: _PendingTest | None = None
        self.proof = read_proof(self._path)

    def run(self, monitor: Monitor, agent: str) -> tuple[list[Alert], WindowScore]:
        """Score an anomalous window and return its alerts, `raised` and `cleared`, to be stored.

        Raises:
            AsdError: The bundle has no golden window of the monitor's condition, or finds none of them anomalous.
        """
        got = anomalous(monitor)
        events = _events(monitor, agent, got, ClockReading.read(self._clock))
        # A test has no place in the monitor's sequence: a reader would take the next number for a loss.
        alerts = [alert_of(e, monitor.identity).model_copy(update={"test": True, "seq": 0}) for e in events]
        self._pending = _PendingTest(alerts[0].id, monitor.name, str(alerts[0].alarm_id), self._clock.monotonic())
        return alerts, got

    def cycle(self) -> None:
        """Record the proof once a broker has acknowledged the test alert."""
        pending = self._pending
        if pending is None or not _acknowledged(self._outbox.history(LOOKED_AT), pending.message_id):
            return
        self._pending = None
        seconds = round(self._clock.monotonic() - pending.started, 3)
        self.proof = ChainProof(iso_utc(self._clock.utc()), pending.monitor, pending.alarm_id, seconds)
        try:
            write_whole(self._path, (json.dumps(asdict(self.proof)) + "\n").encode())
        except OSError:
            return  # the proof is in memory, and a disk that refuses is a fault of the outbox already


def read_proof(path: Path) -> ChainProof | None:
    """Return the record of the last proof; None where there is none or it cannot be read."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8")[:4096])
        time, monitor, alarm_id = (str(stored[name]) for name in ("time", "monitor", "alarm_id"))
        return ChainProof(time, monitor, alarm_id, float(stored["seconds"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def anomalous(monitor: Monitor) -> WindowScore:
    """Return the score of a golden window over the monitor's level; a normal one is given knocks.

    Raises:
        AsdError: There is no golden window, or none is over the level even with knocks.
    """
    settings, scorer = monitor.settings, monitor.scorer
    golden = load_arrays(scorer.bundle.path / GOLDEN)
    chosen = golden["sections"] == settings.section
    if not chosen.any():
        raise AsdError(f"{scorer.bundle.path}: has no golden window of section {settings.section}", "Export it again.")
    windows = golden["windows"][chosen]
    window = windows[int(np.argmax(golden["scores"][chosen]))].astype(np.float32) / 32768.0
    for height in (0.0, *KNOCKS):
        sound, asked = _knocked(window, height)[None], [(settings.section, settings.domain)]
        (got,) = scorer.score_each(sound, asked, explained="all")
        if got.score > got.threshold:
            return got
    raise AsdError(
        f"monitor {monitor.name}: loud knocks score {got.score:.2f} and do not exceed the level, {got.threshold:.2f}",
        "This monitor would hardly raise on a fault; calibrate it, or give its level again.",
    )


def _knocked(window: Signal, height: float) -> Signal:
    """Add five decaying knocks a second, at 3 kHz."""
    time = np.arange(len(window)) / 16_000.0
    phase = np.mod(time, 0.2)
    knocks = height * np.exp(-phase / 0.01) * np.sin(2 * np.pi * 3000.0 * phase)
    return np.asarray(np.clip(window + knocks, -1.0, 1.0), dtype=np.float32)


def _events(monitor: Monitor, agent: str, got: WindowScore, now: ClockReading) -> list[Event]:
    """Return the events of a state of its own: windows over the level until it raises, then as many as clear it."""
    settings = monitor.settings
    state, events = AlarmState(monitor=f"{agent}/{monitor.name}"), []
    below = min(got.clear_level, got.threshold) - 1.0
    scores = [got.score] * settings.alarm.raise_after.k + [below] * settings.alarm.clear_after
    for index, score in enumerate(scores):
        # Windows that share no sound count at once.
        window = ScoredWindow(
            index=index,
            start=index * 10.0,
            end=(index + 1) * 10.0,
            utc_start=now.utc - 10.0,
            utc_end=now.utc,
            verdict="scored",
            score=score,
            threshold=got.threshold,
            clear_level=got.clear_level,
            domain=got.domain,
            experts=got.experts,
            explanation=got.explanation,
        )
        state, found = step(state, window, settings.alarm, now)
        events += [e for e in found if e.event in {"raised", "cleared"}]
    return events


def _acknowledged(rows: Sequence[tuple[Message, bool]], message_id: str) -> bool:
    return any(sent and message.id == message_id for message, sent in rows)
