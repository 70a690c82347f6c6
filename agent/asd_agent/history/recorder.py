"""Rows of the history from what happens in the service: windows, and alarms from their raising to their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from asd_agent.alarm import Event, ScoredWindow
from asd_agent.clock import seconds_of
from asd_agent.history.store import AlarmRow, EventRow
from asd_agent.history.writer import HistoryWriter
from asd_agent.monitor import Monitor
from asd_agent.mqtt.payloads import Alert

_UPDATES = {"raised", "escalated", "cleared", "acknowledged", "evidence"}
"""Events that change the row of their alarm."""


class HistoryRecorder:
    """Hands what happens to the writer of the history; it never waits.

    Args:
        writer: Writes the rows.
    """

    def __init__(self, writer: HistoryWriter) -> None:
        self._writer = writer
        self._peaks: dict[str, float] = {}

    def record_window(self, monitor: Monitor, window: ScoredWindow) -> None:
        """Record a judged window, and the highest score of a standing alarm."""
        self._writer.add_window(monitor.name, window)
        alarm_id = monitor.state.alarm_id
        if alarm_id is not None and window.score is not None:
            self._peaks[alarm_id] = max(window.score, self._peaks.get(alarm_id, window.score))

    def record_test(self, monitor: Monitor, alerts: Sequence[Alert]) -> None:
        """Record a test alarm, which has cleared and needs no acknowledgement."""
        raised = alerts[0]
        utc = seconds_of(raised.time)
        self._writer.add_rows(
            AlarmRow(
                alarm_id=str(raised.alarm_id),
                monitor=monitor.name,
                machine=monitor.identity.machine,
                section=monitor.identity.section,
                domain=raised.domain,
                bundle=raised.bundle,
                raised_utc=utc,
                severity=raised.severity,
                text="test alarm",
                cleared_utc=utc,
                ended_utc=utc,
                peak_score=raised.score,
                level=raised.threshold,
                test=True,
            )
        )

    def record_event(self, monitor: Monitor, event: Event) -> None:
        """Record an event, and what it changes of its alarm."""
        utc = event.clock.utc
        row = EventRow(
            event.id, event.alarm_id, monitor.name, utc, event.event, event.seq, event.state, event.severity,
            event.by, event.note, event.verdict, event.label,
        )  # fmt: skip
        if event.alarm_id is None or event.event not in _UPDATES:
            self._writer.add_rows(row)
            return
        window = event.window
        named = event.event == "raised"
        past = next((p for p in monitor.state.past if p.alarm_id == event.alarm_id), None)
        ended = utc if past is not None and past.acknowledged else None
        started = monitor.state.raised_utc if past is None else past.raised_utc
        alarm = AlarmRow(
            alarm_id=event.alarm_id,
            monitor=monitor.name,
            machine=monitor.identity.machine,
            section=monitor.identity.section,
            domain=window.domain if window is not None and window.domain else monitor.identity.domain,
            bundle=monitor.identity.bundle,
            raised_utc=utc if started is None else started,
            severity=event.severity if event.event in {"raised", "escalated"} else 1,
            text=window.explanation.text if named and window is not None and window.explanation is not None else "",
            cleared_utc=utc if event.event == "cleared" else None,
            ended_utc=ended if event.event in {"cleared", "acknowledged"} else None,
            acknowledged_utc=utc if event.event == "acknowledged" else None,
            peak_score=self._peaks.get(event.alarm_id),
            level=window.threshold if named and window is not None else None,
            evidence_id=event.evidence_id if event.event == "evidence" else None,
        )
        if event.event == "cleared":
            self._peaks.pop(event.alarm_id, None)
        self._writer.add_rows(alarm, row)
