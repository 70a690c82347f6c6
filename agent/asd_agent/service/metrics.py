"""Metrics for Prometheus: `/metrics` from the health report, and `/healthz` with the watchdog's judgement.

It is off by default. All that can be dropped, skipped, late or invalid is a counter.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, get_args

from asd_agent.alarm.state import StateName
from asd_agent.config.model import MetricsSettings
from asd_agent.mqtt.health import Health, MonitorHealth, SourceHealth, WindowCounts

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 16
"""Connections at once; Prometheus has one for each server that reads. Each costs a thread."""
CONNECTION_SECONDS = 20.0
"""Time of a whole connection: a request that comes byte by byte must not keep its thread for hours."""
_OUTCOMES = ("scored", "skipped", "invalid", "suspended")
_SOURCE_STATES = ("starting", "healthy", "silent", "stalled", "restarting", "failed", "ended")


class HealthSource(Protocol):
    """The service, as its metrics see it; both methods may be called from any thread."""

    def health(self) -> Health:
        """Return the health report."""

    def complaint(self) -> str:
        """Return why the watchdog is not fed; empty while it is."""


class MetricsExporter:
    """Answers Prometheus on a thread of its own; where it cannot listen, it logs why and the service runs without.

    Args:
        settings: Address and port.
    """

    def __init__(self, settings: MetricsSettings) -> None:
        self._settings = settings
        self._server: _MetricsServer | None = None
        self._thread: threading.Thread | None = None
        self.fault = ""
        """Reason why there are no metrics; empty while they are served."""

    @property
    def port(self) -> int:
        """Port that it listens on; 0 while it does not."""
        return int(self._server.server_address[1]) if self._server else 0

    def start(self, source: HealthSource) -> None:
        """Begin to listen, and answer from this source."""
        where = f"{self._settings.address}:{self._settings.port}"
        try:
            from prometheus_client import CollectorRegistry
        except ImportError:
            self.fault = (
                "prometheus-client is not installed, so there are none. "
                "Run `make upgrade EXTRAS=metrics,calibrate` in the agent's source"
            )
            log.warning("metrics: %s", self.fault)
            return
        registry = CollectorRegistry()
        registry.register(_Collector(source))
        try:
            self._server = _MetricsServer((self._settings.address, self._settings.port), registry, source)
        except OSError as error:
            self.fault = (
                f"{where} cannot be listened on ({error.strerror}), so there are none. Choose another metrics.port"
            )
            log.warning("metrics: %s", self.fault)
            return
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()
        log.info("metrics on http://%s/metrics", where)

    def alive(self) -> bool:
        """Return whether the port is served; one that could not be opened is no failure of the thread."""
        return self._thread is None or self._thread.is_alive()

    def stop(self) -> None:
        """Close the port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None


class _MetricsServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], registry: Any, source: HealthSource) -> None:
        self.registry, self.source = registry, source
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _MetricsRequest)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer on a thread of its own; a connection beyond the most is closed at once."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no further thread
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, which may send as slowly as it likes for `CONNECTION_SECONDS` in all."""
        end = threading.Timer(CONNECTION_SECONDS, _hang_up, (request,))
        end.daemon = True
        try:
            end.start()
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        log.debug("metrics: a reader closed its connection before the answer")


def _hang_up(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _MetricsRequest(BaseHTTPRequestHandler):
    timeout = 10.0
    server: _MetricsServer

    def do_GET(self) -> None:
        """Answer `/metrics` or `/healthz`."""
        path = self.path.split("?", 1)[0]
        if path == "/metrics":
            from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
        elif path == "/healthz":
            complaint = self.server.source.complaint()
            self._answer(503 if complaint else 200, f"{complaint or 'ok'}\n".encode(), "text/plain; charset=utf-8")
        else:
            self._answer(404, b"/metrics or /healthz\n", "text/plain; charset=utf-8")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        """Log nothing for each request."""

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Collector:
    """Converts the health report into metrics on each request."""

    def __init__(self, source: HealthSource) -> None:
        self._source = source

    def describe(self) -> Iterator[Any]:
        """Describe nothing: there is no report yet when the collector is registered."""
        yield from ()

    def collect(self) -> Iterator[Any]:
        """Yield every metric."""
        health = self._source.health()
        yield _gauge("asd_info", "Version of the agent", {(health.versions.get("asd-agent", ""),): 1.0}, "version")
        yield _gauge("asd_uptime_seconds", "Time since the start", health.uptime_seconds)
        yield from _windows(health.monitors)
        yield from _states(health.monitor_states)
        yield from _sources(health.sources)
        yield from _delivery(health)
        yield from _notify(health)
        yield from _box(health)


def _windows(monitors: Mapping[str, WindowCounts]) -> Iterator[Any]:
    outcomes = {(name, what): float(getattr(w, what)) for name, w in monitors.items() for what in _OUTCOMES}
    text = "Windows that were due, by outcome"
    yield _counter("asd_windows", text, outcomes, "monitor", "outcome")
    suspect = {(name,): float(w.suspect) for name, w in monitors.items()}
    yield _counter("asd_windows_suspect", "Scored, yet overloaded or at an unusual level", suspect, "monitor")


def _states(monitors: Mapping[str, MonitorHealth]) -> Iterator[Any]:
    states = {(n, state): float(m.state == state) for n, m in monitors.items() for state in get_args(StateName)}
    yield _gauge("asd_monitor_state", "1 for the state that the monitor is in", states, "monitor", "state")
    for field, text in {
        "score": "Score of the newest window",
        "threshold": "Raise level of the newest window",
        "scoring_seconds": "Time that the newest window took to score",
    }.items():
        values = {(n,): float(v) for n, m in monitors.items() if (v := getattr(m, field)) is not None}
        yield _gauge(f"asd_{field}", text, values, "monitor")
    raised = {(n,): float(m.alarms_raised) for n, m in monitors.items()}
    yield _counter("asd_alarms_raised", "Alarms raised since the start", raised, "monitor")


def _sources(sources: Mapping[str, SourceHealth]) -> Iterator[Any]:
    states = {(n, state): float(s.state == state) for n, s in sources.items() for state in _SOURCE_STATES}
    yield _gauge("asd_source_state", "1 for the state that the source is in", states, "source", "state")
    counters = {
        "samples": "Samples received, of each channel",
        "frames": "The same as asd_source_samples, under its first name",
        "samples_lost": "Samples lost, of each channel",
        "gaps": "Gaps in the sound",
        "overflows": "Times that the device lost sound",
        "drops": "Times that the capture process lost sound",
        "restarts": "Times that the capture process was replaced",
        "wall_steps": "Steps of the wall clock",
        "skipped": "Recordings that could not be read and were skipped",
    }
    for field, text in counters.items():
        values = {(n,): float(getattr(s, field)) for n, s in sources.items()}
        yield _counter(f"asd_source_{field}", text, values, "source")
    levels = {(n,): s.level_dbfs for n, s in sources.items() if s.level_dbfs is not None}
    yield _gauge("asd_source_level_dbfs", "Level of the last second", levels, "source")
    yield _gauge(
        "asd_source_drift_ppm", "Drift of its clock", {(n,): s.drift_ppm for n, s in sources.items()}, "source"
    )


def _delivery(health: Health) -> Iterator[Any]:
    outbox, sent = health.outbox, health.delivery
    yield _gauge("asd_outbox_waiting", "Alerts and events that wait for the broker", outbox.depth)
    yield _gauge("asd_outbox_oldest_seconds", "Age of the oldest of them", outbox.oldest_seconds)
    yield _gauge("asd_outbox_durable", "0 while the disk refuses and alerts are kept in memory", float(outbox.durable))
    yield _counter("asd_outbox_dropped", "Alerts and events dropped from a full outbox", outbox.dropped)
    yield _gauge("asd_broker_connected", "1 while a broker has accepted the connection", float(sent.connected))
    yield _counter("asd_broker_connects", "Connections that a broker accepted", sent.connects)
    yield _counter("asd_published", "Alerts and events that the broker acknowledged", sent.sent)
    yield _counter("asd_published_late", "Those of them that were sent as late", sent.late)
    yield _counter("asd_publications_refused", "Publications that the broker refused", sent.refused)
    yield _counter("asd_scores_dropped", "Scores not published for want of a connection", sent.scores_dropped)


def _notify(health: Health) -> Iterator[Any]:
    gauges = {"waiting": "Messages that wait for the target"}
    counters = {
        "sent": "Messages that the target accepted",
        "late": "Those of them that were sent as late",
        "failed": "Attempts that failed",
        "dropped": "Messages dropped because too many waited",
    }
    for field, text in {**gauges, **counters}.items():
        values = {(name,): float(getattr(target, field)) for name, target in health.notify.items()}
        make = _gauge if field in gauges else _counter
        yield make(f"asd_notify_{field}", text, values, "target")


def _box(health: Health) -> Iterator[Any]:
    yield _gauge("asd_disk_free_bytes", "Free space on the disk of the state folder", health.disk_free_bytes)
    if health.temperature_celsius is not None:
        yield _gauge("asd_temperature_celsius", "Temperature of the hottest zone", health.temperature_celsius)
    yield _gauge("asd_clock_synchronised", "1 while it follows a time server", float(health.clock == "synchronised"))
    faults = {(part,): 1.0 for part in health.faults}
    yield _gauge("asd_fault", "1 for each present fault, by part", faults, "part")
    yield _gauge("asd_evidence_kept", "Evidence stored", health.evidence.kept)
    yield _gauge("asd_evidence_bytes", "Size of the stored evidence", health.evidence.bytes)
    yield _counter("asd_evidence_lost", "Evidence lost", health.evidence.lost)


_Values = float | Mapping[Any, float]
"""One value; or one for each combination of labels, a tuple."""


def _gauge(name: str, text: str, values: _Values, *labels: str) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily, name, text, values, labels)


def _counter(name: str, text: str, values: _Values, *labels: str) -> Any:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily, name, text, values, labels)


def _filled(family: Any, name: str, text: str, values: _Values, labels: tuple[str, ...]) -> Any:
    if not isinstance(values, Mapping):
        return family(name, text, value=float(values))
    metric = family(name, text, labels=list(labels))
    for label, value in values.items():
        metric.add_metric(list(label), value)
    return metric
