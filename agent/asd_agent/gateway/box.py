"""Answers about the box: the doctor's findings, and the support archive."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asd_agent.config.finding import worst
from asd_agent.config.model import Config
from asd_agent.doctor.checks import run_checks
from asd_agent.doctor.run import DoctorRun
from asd_agent.doctor.software import versions
from asd_agent.doctor.support import archive_bytes
from asd_agent.errors import AsdError
from asd_agent.gateway.server import GatewayAnswer

DOCTOR_SECONDS = 30.0
"""Seconds for which the doctor's findings are given again: several people who look cost one run."""


class BoxAnswers:
    """Runs the doctor on request.

    Args:
        config: The configuration.
        file: Path of agent.yaml; None where the service was started without.
    """

    def __init__(self, config: Config, file: Path | None) -> None:
        self._config, self._file = config, file
        self._ran = float("-inf")
        self._found: dict[str, Any] = {}

    def doctor(self, _document: dict[str, Any]) -> GatewayAnswer:
        """Return the doctor's findings, each with its remedy, and the versions."""
        return GatewayAnswer(self._findings())

    def support(self, _document: dict[str, Any]) -> GatewayAnswer:
        """Return the support archive, secrets masked, as the bytes of a .tar.gz."""
        found = self._findings()
        return GatewayAnswer({}, archive_bytes(self._path(), found))

    def _findings(self) -> dict[str, Any]:
        if time.monotonic() - self._ran >= DOCTOR_SECONDS:
            results = run_checks(DoctorRun(self._config, self._path()).checks())
            findings = [{"check": r.name, **asdict(f)} for r in results for f in r.findings]
            level = worst([f for r in results for f in r.findings])
            self._found = {"worst": level, "findings": findings, "versions": versions(), "utc": time.time()}
            self._ran = time.monotonic()
        return self._found

    def _path(self) -> Path:
        if self._file is None:
            raise AsdError("the service was not started from a file", "Start it with `asd-agent run -c agent.yaml`.")
        return self._file
