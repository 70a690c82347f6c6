"""The reporter: stores alerts with the state that caused them, and publishes states, scores, health and notices."""

from __future__ import annotations

import base64
import logging
from collections.abc import Collection, Iterable, Sequence

from asd_agent.alarm import AlarmState, Event, ScoredWindow
from asd_agent.audio.source import CaptureSource
from asd_agent.clock import Clock, ClockReading, iso_utc
from asd_agent.config.model import Config
from asd_agent.monitor import Identity, Monitor
from asd_agent.mqtt.health import Health
from asd_agent.mqtt.home_assistant import DiscoveryOptions, MonitorDevice, announce
from asd_agent.mqtt.mapping import alert_of, clock_word, message_of, monitor_state_of, score_of
from asd_agent.mqtt.payloads import AgentEvent, Alert, SourceState
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.notices import AgentNotice
from asd_agent.outbox.schema import CommandRecord, Message
from asd_agent.outbox.store import Outbox

log = logging.getLogger(__name__)

MOST_PICTURE_BYTES = 256 * 1024
"""Size of a picture on MQTT; pictures of 40 s have about 70 kB."""
_LOST, _BACK = {"stalled", "restarting", "failed"}, {"healthy", "silent", "ended"}


class Reporter:
    """Hands alerts and notices to the outbox, and states and scores to the publisher.

    Args:
        topics: Topics of this agent.
        outbox: Store of alerts until a broker has acknowledged them.
        publisher: Connection to the broker; started and stopped by the service.
        clock: The clocks.
        public_url: URL of the page, as alerts name it; None where there is none.
    """

    def __init__(
        self, topics: Topics, outbox: Outbox, publisher: Publisher, clock: Clock, public_url: str | None = None
    ) -> None:
        self._public_url = public_url.rstrip("/") if public_url else None
        self._topics, self._outbox, self._publisher, self._clock = topics, outbox, publisher, clock
        self._started = clock.monotonic()
        self._lost: dict[str, set[str]] = {}
        self._retained: frozenset[str] = frozenset()
        self._pictures: frozenset[str] = frozenset()
        self._notices = 0

    def announce(self, config: Config, monitors: Sequence[Monitor], sources: Collection[str]) -> None:
        """Publish discovery and the state of every monitor, and clear retained topics that are no longer used."""
        self._lost = {name: reasons for name, reasons in self._lost.items() if name in sources}
        keep = self._topics.retained([m.name for m in monitors], sources)
        self._pictures = frozenset(m.name for m in monitors) if _shows_pictures(config) else frozenset()
        keep |= {self._topics.picture(name) for name in self._pictures}
        self._publisher.keep_retained(keep)
        announced: Collection[str] = ()
        if config.mqtt.home_assistant:
            devices = {
                m.name: MonitorDevice(m.identity.machine, m.identity.section, m.source.name, m.settings.hop_seconds)
                for m in monitors
            }
            announced = announce(
                self._publisher,
                config.mqtt.home_assistant,
                devices,
                DiscoveryOptions(
                    commands=config.commands,
                    removed_sources=self._topics.sources_among(self._outbox.retained()) - set(sources),
                    public_url=self._public_url,
                    pictures=config.evidence.enabled,
                    updates=config.install_bundle is not None,
                ),
            )
        before, self._retained = self._retained, keep | set(announced)
        self._publisher.clear(before - self._retained)
        for monitor in monitors:
            self.publish_state(monitor)

    def store(
        self,
        monitor: Monitor,
        events: Sequence[Event],
        more: Sequence[Message] = (),
        record: CommandRecord | None = None,
    ) -> None:
        """Store a monitor's state with the alerts that its change caused, in one transaction.

        Args:
            monitor: The monitor, its state changed.
            events: Events of the change.
            more: Other messages that belong to it.
            record: The command that caused it, for the log.
        """
        topic = self._topics.alert(monitor.name)
        alerts = [
            message_of(topic, self._linked(alert_of(e, monitor.identity, never_normal=monitor.never_normal)))
            for e in events
        ]
        self._outbox.commit(monitor.name, monitor.state.to_json(), [*alerts, *more], record)
        if alerts or more:
            self._publisher.wake()
        for event in events:
            _log_event(monitor, event)

    def store_alerts(self, monitor: str, alerts: Sequence[Alert]) -> None:
        """Store alerts that belong to no change of a monitor's state, such as those of a test alarm."""
        self._outbox.append([message_of(self._topics.alert(monitor), self._linked(alert)) for alert in alerts])
        self._publisher.wake()

    def _linked(self, alert: Alert) -> Alert:
        """Return the alert with the page of its alarm, where there is a page."""
        if self._public_url is None or alert.alarm_id is None:
            return alert
        return alert.model_copy(update={"url": f"{self._public_url}/alarms/{alert.alarm_id}"})

    def publish_state(self, monitor: Monitor) -> None:
        """Publish a monitor's state, retained."""
        payload = monitor_state_of(monitor.state, monitor.identity, ClockReading.read(self._clock))
        self._publisher.publish_state(self._topics.monitor_state(monitor.name), payload)

    def publish_picture(self, monitor: str, picture: bytes) -> None:
        """Publish the newest evidence picture of a monitor, retained, where Home Assistant shows it."""
        if monitor not in self._pictures:
            return
        if len(picture) > MOST_PICTURE_BYTES:
            log.warning("monitor %s: its picture of %d bytes is too large for MQTT", monitor, len(picture))
            return
        self._publisher.publish_state(self._topics.picture(monitor), base64.b64encode(picture).decode())

    def publish_out_of_service(self, monitors: Iterable[tuple[AlarmState, Identity, str]]) -> None:
        """Publish monitors that cannot judge as out of service, each with its reason."""
        now = ClockReading.read(self._clock)
        for state, identity, reason in monitors:
            payload = monitor_state_of(state, identity, now).model_copy(update={"reason": reason})
            self._publisher.publish_state(self._topics.monitor_state(payload.monitor), payload)

    def publish_score(self, monitor: Monitor, window: ScoredWindow) -> None:
        """Publish a window's score, if a broker is connected now."""
        self._publisher.publish_score(self._topics.score(monitor.name), score_of(window, monitor.identity))

    def publish_source(self, source: CaptureSource) -> None:
        """Log and publish changes of a source's state; store its notices, and one when it is lost or back."""
        for notice in source.take_notices():
            log.warning("source %s: a recording is skipped, or the rest of it: %s", source.name, notice.text)
            self.store_notice(notice)
        changes = source.take_changes()
        for change in changes:
            reason = f": {change.reason}" if change.reason else ""
            waits = change.state == "starting" and source.attempted
            level = logging.INFO
            if change.state in _LOST or waits:
                if source.name not in self._lost:
                    self._lost[source.name] = set()
                    self.store_notice(AgentNotice("source_lost", source.name, change.reason or change.state))
                # A line for each reason, once; the attempts in between only change the source's topic.
                known = self._lost[source.name]
                level = logging.DEBUG if change.reason in known else logging.WARNING
                known.add(change.reason)
            elif change.state in _BACK and self._lost.pop(source.name, None) is not None:
                self.store_notice(AgentNotice("source_back", source.name, "delivers again"))
            if change.state == "silent":
                level = logging.WARNING
            log.log(level, "source %s is %s%s", source.name, change.state, reason)
        if changes:
            newest = changes[-1]
            since = self._clock.utc() - (self._clock.monotonic() - newest.since)
            restarts = source.counters.restarts
            payload = SourceState(
                state=newest.state,
                reason=newest.reason,
                since=iso_utc(since),
                restarts=restarts,
                agent=self._topics.agent,
                source=source.name,
            )
            self._publisher.publish_state(self._topics.source_state(source.name), payload)

    def publish_health(self, health: Health) -> None:
        """Publish the health report, retained."""
        self._publisher.publish_state(self._topics.health, health)

    def store_outbox_notices(self) -> None:
        """Store the notices of the outbox about itself."""
        for notice in self._outbox.notices():
            self.store_notice(notice)

    def store_notice(self, notice: AgentNotice) -> None:
        """Store a notice of the agent as a whole, for the topic `event`."""
        self._notices += 1
        boot_id = self._clock.boot_id
        payload = AgentEvent(
            id=f"{self._topics.agent}-{boot_id[:8]}-{round(self._started * 1000)}-{self._notices}",
            event=notice.event,
            subject=notice.subject,
            text=notice.text,
            count=notice.count,
            time=iso_utc(self._clock.utc()),
            boot_id=boot_id,
            clock=clock_word(self._clock.synchronised()),
            late=False,
            durable=True,
            agent=self._topics.agent,
        )
        self._outbox.append([message_of(self._topics.event, payload)])
        self._publisher.wake()


def _shows_pictures(config: Config) -> bool:
    return config.mqtt.home_assistant is not None and config.evidence.enabled


def _log_event(monitor: Monitor, event: Event) -> None:
    """Log an event; a person who reads the journal at night finds the alarm with all that it rests on."""
    window, machine = event.window, monitor.identity
    who = f" by {event.by}" if event.by else ""
    where = f"{machine.machine} section {machine.section}"
    if event.event not in {"raised", "escalated", "realarmed"} or window is None:
        level = logging.WARNING if event.event == "stale" else logging.INFO
        log.log(level, "monitor %s: %s%s (%s), severity %d", monitor.name, event.event, who, where, event.severity)
        return
    score = "no score" if window.score is None else f"score {window.score:.2f}"
    threshold = "" if window.threshold is None else f" over {window.threshold:.2f}"
    text = f": {window.explanation.text}" if window.explanation else ""
    log.warning(
        "monitor %s: %s (%s), severity %d, %s%s%s",
        monitor.name, event.event, where, event.severity, score, threshold, text,
    )  # fmt: skip
