"""Calibration from the page: a job that writes a draft, and the draft put into use or a calibration taken back."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from asd_agent.bundle import Bundle
from asd_agent.bundle.bundle import SITE
from asd_agent.bundle.overlay import add_overlay, overlay_folder, overlay_numbers, read_overlay
from asd_agent.bundle.overlay import undo as take_back
from asd_agent.config.model import Config, MonitorSettings
from asd_agent.control_client import ask
from asd_agent.errors import AsdError
from asd_agent.gateway.fields import name_field, number_field, person_field
from asd_agent.gateway.jobs import BoxJob, JobRunner
from asd_agent.gateway.server import GatewayAnswer

log = logging.getLogger(__name__)

DRAFTS = "site-drafts"
"""Folder below `paths.state`; a draft counts for nothing until it is applied."""
MOST_MINUTES = 120.0
MOST_SHOWN = 20
"""Stored calibrations of one answer, the newest."""
KIND = "calibrate"


class SiteAnswers:
    """Runs `asd-agent calibrate` for the page, and changes the calibrations of a site.

    Args:
        config: The configuration.
        file: Path of agent.yaml; None where the service was started without.
        socket: Control socket of the service.
        jobs: Runs the calibration.
    """

    def __init__(self, config: Config, file: Path | None, socket: Path, jobs: JobRunner) -> None:
        self._config, self._file, self._socket, self._jobs = config, file, socket, jobs

    def stored(self, document: dict[str, Any]) -> GatewayAnswer:
        """Return the newest job, whether its draft can be applied, and the calibrations that are stored."""
        name, settings = self._monitor(document)
        bundle, folder = self._folder(settings)
        found = [_described(folder, number, bundle) for number in overlay_numbers(folder)[-MOST_SHOWN:]]
        job = self._jobs.newest()
        return GatewayAnswer(
            {
                "job": None if job is None else job.document(),
                "has_draft": self._draft(name) is not None,
                "stored": found[::-1],
                "in_use": settings.domain == SITE,
            }
        )

    def calibrate(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that listens to the healthy machine and writes a draft."""
        name, settings = self._monitor(document)
        by, minutes = person_field(document), number_field(document, "minutes", 0.5, MOST_MINUTES)
        if self._file is None:
            raise AsdError("the service was not started from a file", "Start it with `asd-agent run -c agent.yaml`.")
        _refuse_auto(name, settings)
        arguments = ["calibrate", name, "-c", str(self._file), "--minutes", f"{minutes:g}", "--json"]
        arguments += ["--draft", str(self._draft_folder(name) / "draft")]
        if document.get("with_false_alarms") is True:
            arguments.append("--with-false-alarms")
        self._jobs.start(
            BoxJob(KIND, name, by, 60.0 * minutes), arguments, lambda: _remove_draft(self._draft_folder(name))
        )
        log.info("calibration of monitor %s started by %r: %g min", name, by, minutes)
        return GatewayAnswer({})

    def cancel(self, document: dict[str, Any]) -> GatewayAnswer:
        """End the job that runs."""
        self._jobs.cancel(person_field(document))
        return GatewayAnswer({})

    def apply_draft(self, document: dict[str, Any]) -> GatewayAnswer:
        """Store the draft as the site's calibration; a monitor with `domain: site` uses it at once."""
        name, settings = self._monitor(document)
        by, draft = person_field(document), self._draft(name)
        if draft is None:
            raise AsdError(f"there is no new calibration of {name}", "Calibrate first.")
        _refuse_auto(name, settings)
        bundle, folder = self._folder(settings)
        overlay, arrays = read_overlay(draft, bundle)
        add_overlay(folder, overlay.model_copy(update={"report": {**overlay.report, "by": by}}), arrays)
        _remove_draft(self._draft_folder(name))
        log.info("calibration of monitor %s applied by %r", name, by)
        return GatewayAnswer(self._reloaded(settings))

    def undo(self, document: dict[str, Any]) -> GatewayAnswer:
        """Take the newest calibration back; the one before counts again."""
        name, settings = self._monitor(document)
        by = person_field(document)
        _, folder = self._folder(settings)
        if settings.domain == SITE and len(overlay_numbers(folder)) == 1:
            raise AsdError(
                f"monitor {name} has `domain: site` and no other calibration",
                "Choose source or target in agent.yaml first, or calibrate again.",
            )
        left = take_back(folder)
        log.info("calibration of monitor %s taken back by %r, %d left", name, by, left)
        return GatewayAnswer({**self._reloaded(settings), "left": left})

    def _reloaded(self, settings: MonitorSettings) -> dict[str, Any]:
        in_use = settings.domain == SITE
        text = ask(self._socket, {"command": "reload"}).get("text", "") if in_use else ""
        return {"in_use": in_use, "reloaded": text}

    def _monitor(self, document: dict[str, Any]) -> tuple[str, MonitorSettings]:
        name = name_field(document, "monitor")
        if name not in self._config.monitors:
            raise ValueError(f"there is no monitor {name!r}")
        return name, self._config.monitors[name]

    def _folder(self, settings: MonitorSettings) -> tuple[Bundle, Path]:
        bundle = Bundle.open(self._config.bundle_path(settings.bundle).resolve())
        return bundle, overlay_folder(self._config.paths.state, bundle, settings.section)

    def _draft_folder(self, monitor: str) -> Path:
        return self._config.paths.state / DRAFTS / monitor

    def _draft(self, monitor: str) -> Path | None:
        """Return the draft of a monitor; None while a job still writes one."""
        job = self._jobs.newest()
        if job is not None and job.monitor == monitor and job.state == "running":
            return None
        folder = self._draft_folder(monitor) / "draft"
        numbers = overlay_numbers(folder)
        return folder / f"{numbers[-1]:04d}" if numbers else None


def _described(folder: Path, number: int, bundle: Bundle) -> dict[str, Any]:
    """Return a stored calibration for people; a damaged one with its fault."""
    try:
        overlay, _ = read_overlay(folder / f"{number:04d}", bundle)
    except AsdError as error:
        return {"number": number, "fault": str(error)}
    return {
        "number": number,
        "fault": None,
        "created_utc": overlay.created.timestamp(),
        "heard_from": overlay.heard_from,
        "heard_seconds": overlay.heard_seconds,
        "level": overlay.condition.threshold.raise_level,
        "by": overlay.report.get("by"),
    }


def _refuse_auto(name: str, settings: MonitorSettings) -> None:
    if settings.domain == "auto":
        raise AsdError(f"monitor {name} has `domain: auto`", "Choose source, target or site in agent.yaml first.")


def _remove_draft(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
