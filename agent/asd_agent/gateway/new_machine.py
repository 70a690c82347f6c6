"""A new machine from the page: its microphone, normal sound of it, a bundle learnt from that, and its monitor.

What is prepared is in a folder of its own, and nothing of it is in use until the machine is added. Each step that takes
long is a command of `asd-agent` as a job.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from asd_agent.alarm.rate import rate_text
from asd_agent.audio.devices import InputDevice, list_inputs
from asd_agent.audio.recording import CLIP_SECONDS, ClipFolder
from asd_agent.bundle import Bundle
from asd_agent.config.added import FILE_NAME, FORMER_NAME, MOST_MACHINES
from asd_agent.config.base import Name, Strict
from asd_agent.config.file import load_added
from asd_agent.config.model import Config
from asd_agent.config.sources import MicrophoneSettings
from asd_agent.config.sources.base import MOST_CHANNELS
from asd_agent.errors import AsdError, ConfigError
from asd_agent.gateway.fields import name_field, number_field, person_field, text_field
from asd_agent.gateway.jobs import BoxJob, JobRunner
from asd_agent.gateway.server import GatewayAnswer
from asd_agent.whole_files import write_json

log = logging.getLogger(__name__)

FOLDER = "new-machine"
"""Folder below `paths.state`."""
MOST_MINUTES = 120.0
LEAST_CLIPS = 10
"""Windows that `learn` needs."""
FREE_BYTES = 500_000_000
"""Space of the disk that a recording leaves: evidence and history need it."""
CLIP_BYTES = 320_044
"""A clip of 10 s of 16-bit sound."""
SECTION = "00"
LEARN_SECONDS, CHANGE_SECONDS = 60.0, 20.0
"""Times that jobs without a recording usually take."""


class MachineDraft(Strict):
    """A machine that is being prepared.

    Attributes:
        name: Name of the monitor, and of its bundle.
        machine: Machine type.
        device: Microphone that no source opens yet; None where `source` names one of the configuration.
        source: Source of the configuration.
        channel: Channel of either, counted from 0.
    """

    name: Name
    machine: Name
    device: str | None = Field(default=None, min_length=1, max_length=1000)
    source: Name | None = None
    channel: int = Field(default=0, ge=0, lt=MOST_CHANNELS)

    @model_validator(mode="after")
    def _one(self) -> MachineDraft:
        if (self.device is None) == (self.source is None):
            raise ValueError("give one of 'device' and 'source'")
        if self.device is not None:
            MicrophoneSettings(kind="microphone", device=self.device)
        return self


class NewMachine:
    """Prepares a machine step by step, and changes the machines that were added.

    Args:
        config: The configuration.
        file: Path of agent.yaml; None where the service was started without.
        jobs: Runs the steps that take long.
    """

    def __init__(self, config: Config, file: Path | None, jobs: JobRunner) -> None:
        self._config, self._file, self._jobs = config, file, jobs
        self._folder = config.paths.state / FOLDER

    def inputs(self, _document: dict[str, Any]) -> GatewayAnswer:
        """Return the sources of the configuration, and the microphones that none of them opens."""
        sources = [
            {"name": name, "kind": s.kind, "channels": list(s.channels), "hardware": s.hardware}
            for name, s in self._config.sources.items()
        ]
        opened = {s["hardware"] for s in sources}
        fault = ""
        try:
            found = list_inputs()
        except AsdError as error:
            found, fault = [], str(error)
        free = [d for d in found if not opened.intersection((d.name, *d.aliases)) and _is_valid(d.name)]
        return GatewayAnswer({"sources": sources, "devices": [_device(d) for d in free], "fault": fault})

    def state(self, _document: dict[str, Any]) -> GatewayAnswer:
        """Return how far the new machine is, and the machines that were added."""
        draft, job = self._draft(), self._jobs.newest()
        if draft is not None and draft.name in self._config.monitors and not self._is_running():
            shutil.rmtree(self._folder, ignore_errors=True)  # it was added
            draft = None
        added = load_added(self._config.paths.state / FILE_NAME)
        return GatewayAnswer(
            {
                "draft": None if draft is None else draft.model_dump(),
                "clips": 0 if draft is None else len(self._clips(draft).numbers()),
                "least_clips": LEAST_CLIPS,
                "learnt": None if draft is None else self._learnt(draft),
                "job": None if job is None else job.document(),
                "added": [
                    {"monitor": n, "source": m.source, "bundle": m.bundle} for n, m in sorted(added.monitors.items())
                ],
                "has_former": (self._config.paths.state / FORMER_NAME).exists(),
            }
        )

    def choose(self, document: dict[str, Any]) -> GatewayAnswer:
        """Begin with a microphone and a name."""
        by = person_field(document)
        wanted = ("name", "machine", "device", "source", "channel")
        fields = {key: document[key] for key in wanted if document.get(key) is not None}
        try:
            draft = MachineDraft.model_validate(fields)
        except ValidationError as error:
            raise ValueError("; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors()[:5])) from error
        self._refuse_while_running()
        if draft.name in self._config.monitors:
            raise AsdError(f"there is a machine {draft.name} already", "Give another name.")
        source = self._config.sources.get(draft.source or "")
        if draft.source is not None and (source is None or draft.channel not in source.channels):
            raise AsdError(f"there is no source {draft.source} with channel {draft.channel}", "Choose another one.")
        if len(load_added(self._config.paths.state / FILE_NAME).monitors) >= MOST_MACHINES:
            raise AsdError(f"{MOST_MACHINES} machines were added", "Move some to agent.yaml.")
        shutil.rmtree(self._folder, ignore_errors=True)
        write_json(self._folder / "draft.json", draft.model_dump())
        log.info(
            "new machine %s begun by %r: %s, channel %d", draft.name, by, draft.device or draft.source, draft.channel
        )
        return GatewayAnswer({})

    def record(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that records normal sound; it continues one that was cancelled."""
        draft, by = self._begun(), person_field(document)
        minutes = number_field(document, "minutes", 0.5, MOST_MINUTES)
        missing = max(0.0, 60.0 * minutes / CLIP_SECONDS - len(self._clips(draft).numbers()))
        if shutil.disk_usage(self._folder).free < FREE_BYTES + missing * CLIP_BYTES:
            raise AsdError("the disk is nearly full", "Remove old files of this box; the page Box shows what is left.")
        arguments = ["record", f"--machine={draft.machine}", "--section", SECTION, "--minutes", f"{minutes:g}"]
        arguments += ["--out", str(self._folder / "sound"), "--channel", str(draft.channel), *self._origin(draft)]
        arguments.append("--json")
        self._start(BoxJob("record", draft.name, by, CLIP_SECONDS * missing), arguments, removes_bundle=True)
        return GatewayAnswer({})

    def learn(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that learns a bundle from the recorded sound."""
        draft, by = self._begun(), person_field(document)
        if len(self._clips(draft).numbers()) < LEAST_CLIPS:
            raise AsdError(f"fewer than {LEAST_CLIPS} windows are recorded", "Record more first.")
        arguments = ["learn", f"--machine={draft.machine}", "--section", SECTION, f"--name={draft.name}", "--json"]
        arguments += ["--clips", str(self._clips(draft).train), "--out", str(self._folder / "learnt")]
        if document.get("alarms_per_day") is not None:
            arguments += ["--alarms-per-day", f"{number_field(document, 'alarms_per_day', 0.001, 1000.0):g}"]
        self._start(BoxJob("learn", draft.name, by, LEARN_SECONDS), arguments, removes_bundle=True)
        return GatewayAnswer({})

    def add(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that installs the bundle and lets the service watch the machine."""
        draft, by = self._begun(), person_field(document)
        if self._learnt(draft) is None:
            raise AsdError("no bundle is learnt yet", "Learn from the recorded sound first.")
        arguments = ["machines", "add", "--bundle", str(self._bundle(draft)), "--section", SECTION]
        arguments += ["--channel", str(draft.channel), "-c", str(self._path()), "--json"]
        arguments.append(f"--device={draft.device}" if draft.device is not None else f"--source={draft.source}")
        arguments += ["--", draft.name]
        self._start(BoxJob("add", draft.name, by, CHANGE_SECONDS), arguments)
        return GatewayAnswer({})

    def discard(self, document: dict[str, Any]) -> GatewayAnswer:
        """Remove what is prepared, the recorded sound included."""
        by = person_field(document)
        self._refuse_while_running()
        shutil.rmtree(self._folder, ignore_errors=True)
        log.info("new machine discarded by %r", by)
        return GatewayAnswer({})

    def remove(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that takes an added machine out."""
        by, name = person_field(document), name_field(document, "monitor")
        arguments = ["machines", "remove", "-c", str(self._path()), "--json", "--", name]
        self._start(BoxJob("remove", name, by, CHANGE_SECONDS), arguments)
        return GatewayAnswer({})

    def undo(self, document: dict[str, Any]) -> GatewayAnswer:
        """Start a job that takes the last change of the added machines back."""
        by = person_field(document)
        arguments = ["machines", "undo", "-c", str(self._path()), "--json"]
        self._start(BoxJob("undo", "", by, CHANGE_SECONDS), arguments)
        return GatewayAnswer({})

    def settings_of(self, document: dict[str, Any]) -> tuple[str | None, str | None, int]:
        """Return source or device and channel that a request names.

        Raises:
            ValueError: It names none, or a source that is not there.
        """
        channel = int(number_field(document, "channel", 0, MOST_CHANNELS - 1, 0))
        if document.get("source") is not None:
            source = name_field(document, "source")
            if source not in self._config.sources:
                raise ValueError(f"there is no source {source!r}")
            return source, None, channel
        return None, text_field(document, "device", 1000), channel

    def _start(self, job: BoxJob, arguments: list[str], *, removes_bundle: bool = False) -> None:
        def prepare() -> None:
            if removes_bundle:
                shutil.rmtree(self._folder / "learnt", ignore_errors=True)

        self._jobs.start(job, arguments, prepare)
        log.info("job %s of machine %s started by %r", job.kind, job.monitor or "–", job.by)

    def _origin(self, draft: MachineDraft) -> list[str]:
        """Return the options that name the source; a source of the configuration comes from the running service."""
        if draft.device is not None:
            return [f"--device={draft.device}"]
        return ["-c", str(self._path()), f"--source={draft.source}"]

    def _begun(self) -> MachineDraft:
        draft = self._draft()
        if draft is None:
            raise AsdError("no machine is being added", "Choose its microphone and its name first.")
        return draft

    def _draft(self) -> MachineDraft | None:
        try:
            return MachineDraft.model_validate(json.loads((self._folder / "draft.json").read_bytes()[:65_536]))
        except (OSError, ValueError):
            return None

    def _clips(self, draft: MachineDraft) -> ClipFolder:
        return ClipFolder(self._folder / "sound", draft.machine, SECTION, "source", "")

    def _bundle(self, draft: MachineDraft) -> Path:
        return self._folder / "learnt" / draft.name

    def _learnt(self, draft: MachineDraft) -> dict[str, Any] | None:
        """Return what is to be expected of the learnt bundle; None where there is none, or a job still writes it."""
        if self._is_running("learn") or not self._bundle(draft).is_dir():
            return None
        condition = Bundle.open(self._bundle(draft)).condition(SECTION, "source")
        level = condition.threshold
        return {
            "windows": condition.clips,
            "level": level.raise_level,
            "per_day": level.false_alarms_per_day,
            "upper_per_day": level.upper_per_day,
            "least_per_day": level.least_per_day,
            "wanted_per_day": level.wanted_per_day,
            "attainable": level.attainable,
            "rate": rate_text(level),
            "provisional": condition.provisional_text if condition.provisional else None,
        }

    def _is_running(self, kind: str | None = None) -> bool:
        job = self._jobs.newest()
        return job is not None and job.state == "running" and kind in {None, job.kind}

    def _refuse_while_running(self) -> None:
        if self._is_running():
            raise AsdError("a job is running", "Wait for it, or cancel it first.")

    def _path(self) -> Path:
        if self._file is None:
            raise AsdError("the service was not started from a file", "Start it with `asd-agent run -c agent.yaml`.")
        return self._file


def _device(found: InputDevice) -> dict[str, Any]:
    return {"name": found.name, "label": found.portaudio, "channels": found.channels, "stable": found.stable}


def _is_valid(device: str) -> bool:
    try:
        MicrophoneSettings(kind="microphone", device=device)
    except (ValidationError, ConfigError):
        return False
    return True
