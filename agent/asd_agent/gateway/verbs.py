"""Verbs of the gateway: everything that the page may ask for, and nothing else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from asd_agent import __version__
from asd_agent.config.model import Config, MonitorSettings
from asd_agent.control_client import SOCKET_NAME, ask
from asd_agent.errors import AsdError
from asd_agent.gateway.box import BoxAnswers
from asd_agent.gateway.bundles import BundleAnswers
from asd_agent.gateway.calibration import apply_level
from asd_agent.gateway.fields import number_field, person_field, text_field
from asd_agent.gateway.jobs import JobRunner
from asd_agent.gateway.listen import LiveSound
from asd_agent.gateway.live import LiveStates
from asd_agent.gateway.microphone_level import MicrophoneLevel
from asd_agent.gateway.new_machine import NewMachine
from asd_agent.gateway.past import PastAnswers
from asd_agent.gateway.server import GatewayAnswer
from asd_agent.gateway.site import SiteAnswers

log = logging.getLogger(__name__)

FOLLOW_SECONDS = 3600.0
"""Length of one stream of updates; its reader then asks again."""
ACTIONS = ("acknowledge", "shelve", "unshelve", "out_of_service", "verdict")
_ONE_METER = threading.BoundedSemaphore(1)
"""Held while a meter opens a microphone, whatever the configuration."""
_ARGUMENTS = ("alarm_id", "minutes", "one_shot", "note", "verdict", "label")

Verb = Callable[[dict[str, Any]], "GatewayAnswer | Generator[dict[str, Any], None, None]"]


class Verbs:
    """Answers the requests of the page.

    Args:
        config: The configuration that the service runs with.
        file: Path of agent.yaml; None where the service was started without.
        jobs: Runs long work; it outlives the configuration.
    """

    def __init__(self, config: Config, file: Path | None, jobs: JobRunner) -> None:
        self._config, self._socket = config, config.paths.state / SOCKET_NAME
        self._live = LiveStates(self._socket)
        past, box = PastAnswers(config), BoxAnswers(config, file)
        site = SiteAnswers(config, file, self._socket, jobs)
        bundles = BundleAnswers(config, file, jobs)
        machine = NewMachine(config, file, jobs)
        self._past = past
        self._heavy = threading.BoundedSemaphore(1)
        self._verbs: dict[str, Verb] = {
            "about": self._about,
            "states": lambda _document: GatewayAnswer(self._live.newest()),
            "updates": lambda _document: self._live.follow(FOLLOW_SECONDS),
            "series": past.series,
            "overview": past.overview,
            "alarms": past.alarms,
            "alarm": past.alarm,
            "evidence": past.evidence,
            "replay": self._one_at_a_time(past.replay),
            "listen": LiveSound(config, self._socket).listen,
            "action": self._action,
            "test_alarm": self._test_alarm,
            "apply_level": self._apply_level,
            "calibrations": site.stored,
            "calibrate": site.calibrate,
            "cancel_job": site.cancel,
            "bundles": bundles.stored,
            "bundle_piece": bundles.piece,
            "install_bundle": bundles.install,
            "rollback_bundle": bundles.rollback,
            "inputs": self._one_at_a_time(machine.inputs),
            "microphone_level": MicrophoneLevel(config, machine.settings_of, _ONE_METER).listen,
            "new_machine": machine.state,
            "choose_machine": machine.choose,
            "record_machine": machine.record,
            "learn_machine": machine.learn,
            "add_machine": machine.add,
            "discard_machine": machine.discard,
            "remove_machine": machine.remove,
            "undo_machines": machine.undo,
            "apply_calibration": site.apply_draft,
            "undo_calibration": site.undo,
            "reload": self._reload,
            "doctor": self._one_at_a_time(box.doctor),
            "support": self._one_at_a_time(box.support),
            "log": lambda _document: GatewayAnswer(ask(self._socket, {"command": "log"})),
        }

    def answer(self, document: dict[str, Any]) -> GatewayAnswer | Generator[dict[str, Any], None, None]:
        """See `asd_agent.gateway.server.RequestHandler`."""
        verb = self._verbs.get(str(document.get("verb")))
        if verb is None:
            raise ValueError("there is no such verb")
        return verb(document)

    def _one_at_a_time(self, verb: Verb) -> Verb:
        """Return a verb of which only one runs at a time: it takes a core for seconds."""

        def run(document: dict[str, Any]) -> GatewayAnswer | Generator[dict[str, Any], None, None]:
            if not self._heavy.acquire(timeout=20.0):
                raise AsdError("the box is busy with another request of this kind", "Try again in a minute.")
            try:
                return verb(document)
            finally:
                self._heavy.release()

        return run

    def _about(self, _document: dict[str, Any]) -> GatewayAnswer:
        config = self._config
        return GatewayAnswer(
            {
                "agent": config.agent.name,
                "version": __version__,
                "utc": time.time(),
                "monitors": {name: _monitor(m) for name, m in config.monitors.items()},
                "sources": {
                    name: {"kind": s.kind, "channels": list(s.channels), "live": s.is_live}
                    for name, s in config.sources.items()
                },
                "history": config.history.enabled,
                "evidence": config.evidence.enabled,
                "window_days": config.history.window_days,
            }
        )

    def _action(self, document: dict[str, Any]) -> GatewayAnswer:
        monitor, by, action = self._past.monitor(document), person_field(document), text_field(document, "action", 20)
        if action not in ACTIONS:
            raise ValueError(f"'action' is one of {', '.join(ACTIONS)}")
        args = {key: document[key] for key in _ARGUMENTS if document.get(key) is not None}
        request = {"command": "alarm", "verb": action, "monitor": monitor, "args": args, "by": by}
        return GatewayAnswer(ask(self._socket, request))

    def _test_alarm(self, document: dict[str, Any]) -> GatewayAnswer:
        monitor, by = self._past.monitor(document), person_field(document)
        log.info("test alarm of monitor %s by %r", monitor, by)
        return GatewayAnswer(ask(self._socket, {"command": "test_alarm", "monitor": monitor}))

    def _apply_level(self, document: dict[str, Any]) -> GatewayAnswer:
        monitor, by = self._past.monitor(document), person_field(document)
        level = number_field(document, "level", -1e6, 1e6)
        found = self._past.replay({**document, "level": level}).document
        applied = apply_level(self._config, monitor, level, found, by)
        log.info("raise level %.3f of monitor %s by %r as site calibration", level, monitor, by)
        text = ask(self._socket, {"command": "reload"}).get("text", "") if applied["in_use"] else ""
        return GatewayAnswer({**applied, "reloaded": text})

    def _reload(self, document: dict[str, Any]) -> GatewayAnswer:
        log.info("reload by %r", person_field(document))
        return GatewayAnswer(ask(self._socket, {"command": "reload"}))


def _monitor(settings: MonitorSettings) -> dict[str, Any]:
    after = settings.alarm.raise_after
    return {
        "source": settings.source,
        "channel": settings.channel,
        "bundle": settings.bundle,
        "section": settings.section,
        "domain": settings.domain,
        "hop_seconds": settings.hop_seconds,
        "k": after.k,
        "n": after.n,
        "clear_after": settings.alarm.clear_after,
        "max_shelve_minutes": settings.alarm.max_shelve_minutes,
        "settings": settings.model_dump(mode="json", by_alias=True),
    }
