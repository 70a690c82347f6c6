"""Requests from this box through the control socket: each command and its answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from asd_agent.audio.window_source import answer_sound
from asd_agent.errors import AsdError
from asd_agent.monitor import MonitorEvents
from asd_agent.service.control import Request
from asd_agent.service.health import health_of
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.status import status_of

log = logging.getLogger(__name__)


def answer_requests(parts: LoadedRuntime) -> Iterator[MonitorEvents]:
    """Answer all requests that wait, and yield the events that they cause, already stored."""
    for request in parts.control.take():
        try:
            yield from _answer(request, parts)
        except AsdError as error:
            request.reply({"error": str(error)})
        except Exception as error:
            # A request of one process must not end the service for all others.
            log.exception("control socket: a request failed; the service continues")
            request.reply({"error": f"the service failed on this request ({type(error).__name__}); see its log"})


def _answer(request: Request, parts: LoadedRuntime) -> Iterator[MonitorEvents]:
    match request.document.get("command"):
        case "reload":
            parts.reloader.ask(request)  # answered when that is done
        case "health":
            request.reply({"health": health_of(parts).model_dump(mode="json", by_alias=True)})
        case "status":
            request.reply(status_of(parts))
        case "log":
            request.reply({"lines": parts.recent_lines.newest()})
        case "sound":
            try:
                source = parts.sources.get(str(request.document.get("source")))
                request.reply(answer_sound(source, request.document))
            except ValueError as error:
                request.reply({"error": str(error)})
        case "test_alarm":
            _test_alarm(request, parts)
        case "alarm":
            yield from parts.commands.apply_request(request, parts.monitors)
        case _:
            request.reply({"error": "unknown command"})


def _test_alarm(request: Request, parts: LoadedRuntime) -> None:
    name = str(request.document.get("monitor"))
    monitor = parts.monitors.get(name)
    if monitor is None:
        request.reply({"error": f"there is no monitor {name[:64]!r}"})
        return
    alerts, score = parts.chain_tests.run(monitor, parts.config.agent.name)
    parts.reporter.store_alerts(monitor.name, alerts)
    if parts.history:
        parts.history.record_test(monitor, alerts)
    log.warning("monitor %s: test alarm %s", name, alerts[0].alarm_id)
    request.reply({"alarm_id": alerts[0].alarm_id, "score": score.score, "threshold": score.threshold})
