"""Bundles from the page: those that are installed, a file that is sent in pieces and installed, and the way back."""

from __future__ import annotations

import base64
import binascii
import logging
import shutil
from pathlib import Path
from typing import Any

from asd_agent.bundle.registry import BundleRegistry, InstalledBundle
from asd_agent.clock import SystemClock
from asd_agent.config.model import Config
from asd_agent.errors import AsdError
from asd_agent.gateway.fields import name_field, number_field, person_field, text_field
from asd_agent.gateway.jobs import BoxJob, JobRunner
from asd_agent.gateway.server import GatewayAnswer

log = logging.getLogger(__name__)

FOLDER = "upload"
"""Folder below `paths.state`."""
LARGEST_FILE = 1 << 30
"""Bytes of a bundle's file; 36 members of the largest recipe take 0.9 GB."""
LARGEST_PIECE = 45_000
"""Bytes of one piece: in base64 it fits into a request."""
FREE_BYTES = 500_000_000
"""Space of the disk that an upload leaves: evidence and history need it."""
INSTALL_SECONDS = 60.0
MOST_SHOWN = 200


class BundleAnswers:
    """Lists, installs and rolls back bundles.

    Args:
        config: The configuration.
        file: Path of agent.yaml; None where the service was started without.
        jobs: Runs the installation.
    """

    def __init__(self, config: Config, file: Path | None, jobs: JobRunner) -> None:
        self._config, self._file, self._jobs = config, file, jobs
        self._upload = config.paths.state / FOLDER / "bundle.tar"

    def stored(self, _document: dict[str, Any]) -> GatewayAnswer:
        """Return the newest job, and the installed bundles with the monitors that use them."""
        job = self._jobs.newest()
        if job is not None and job.kind == "install" and job.state != "running":
            shutil.rmtree(self._upload.parent, ignore_errors=True)
        registry = BundleRegistry(self._config.paths.bundles, lambda _: None, SystemClock().utc)
        listed = registry.listed()[:MOST_SHOWN]
        names = [b.name for b in listed]
        rows = [{**self._row(b), "has_former": names.count(b.name) > 1} for b in listed]
        return GatewayAnswer({"job": None if job is None else job.document(), "bundles": rows})

    def piece(self, document: dict[str, Any]) -> GatewayAnswer:
        """Take a piece of a bundle's file; the first one begins it anew."""
        person_field(document)
        offset = int(number_field(document, "offset", 0, LARGEST_FILE))
        text = text_field(document, "data", 4 * LARGEST_PIECE // 3 + 4)
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("'data' is no base64") from error
        self._refuse_while_running()
        self._upload.parent.mkdir(mode=0o700, exist_ok=True)
        there = self._upload.stat().st_size if offset and self._upload.exists() else 0
        if offset != there:
            raise AsdError("another file is being sent, or a piece is missing", "Send the file again.")
        if offset + len(data) > LARGEST_FILE:
            raise AsdError(
                f"the file has more than {LARGEST_FILE:,} bytes", "Install it with `asd-agent bundle install`."
            )
        if shutil.disk_usage(self._upload.parent).free < FREE_BYTES + 2 * (offset + len(data)):
            raise AsdError("the disk is nearly full", "Remove old files of this box; the page Box shows what is left.")
        with self._upload.open("ab" if offset else "wb") as file:
            file.write(data)
        return GatewayAnswer({"size": offset + len(data)})

    def install(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that checks the file that was sent, and puts it to use."""
        by, size = person_field(document), int(number_field(document, "size", 1, LARGEST_FILE))
        name = name_field(document, "name") if document.get("name") else ""
        if not self._upload.exists() or self._upload.stat().st_size != size:
            raise AsdError("the file did not arrive whole", "Send it again.")
        arguments = ["bundle", "install", str(self._upload), *([f"--name={name}"] if name else [])]
        self._start(BoxJob("install", name, by, INSTALL_SECONDS), arguments)
        return GatewayAnswer({})

    def rollback(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that puts the bundle to use again that was in use before."""
        by, name = person_field(document), name_field(document, "name")
        self._start(BoxJob("rollback", name, by, INSTALL_SECONDS), ["bundle", "rollback"], ["--", name])
        return GatewayAnswer({})

    def _start(self, job: BoxJob, arguments: list[str], last: list[str] | None = None) -> None:
        if self._file is None:
            raise AsdError("the service was not started from a file", "Start it with `asd-agent run -c agent.yaml`.")
        self._jobs.start(job, [*arguments, "-c", str(self._file), "--reload", "--json", *(last or [])], lambda: None)
        log.info("job %s of bundle %s started by %r", job.kind, job.monitor or "–", job.by)

    def _refuse_while_running(self) -> None:
        job = self._jobs.newest()
        if job is not None and job.state == "running" and job.kind == "install":
            raise AsdError("a bundle is being installed", "Wait for it, or cancel it first.")

    def _row(self, stored: InstalledBundle) -> dict[str, Any]:
        places = {stored.path, *([self._config.paths.bundles / stored.name] if stored.active else [])}
        return {
            "name": stored.name,
            "digest": stored.short,
            "active": stored.active,
            "installed_utc": stored.installed,
            "monitors": [n for n, m in self._config.monitors.items() if self._config.bundle_path(m.bundle) in places],
        }
