"""A box with a configuration that is sound until a provocation spoils it, and the two who are asked about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.bundle import Bundle
from asd_agent.commands.check import inspect
from asd_agent.config.file import load_config
from asd_agent.config.finding import Finding
from asd_agent.config.preflight import bundles as preflight
from asd_agent.doctor.checks import run_checks
from asd_agent.doctor.run import DoctorRun, Surroundings
from asd_agent.inference.isolated_check import GoldenResult, check_isolated
from rigs.bundles import hum, write_wav

UNIT = """\
LoadState=loaded
ActiveState=active
SubState=running
Result=success
ExecMainStatus=0
NRestarts=0
WatchdogUSec=1min
"""
"""As `systemctl show` prints it of a service that is well."""


_RESULTS: dict[tuple[str, ...], GoldenResult] = {}


def _checked_once(bundle: Bundle, providers: Sequence[str]) -> GoldenResult:
    """Score golden windows, of the bundle that most symptoms share once for all of them."""
    key = (str(bundle.path), bundle.digest, *providers)
    if key not in _RESULTS:
        _RESULTS[key] = check_isolated(bundle, providers)
    return _RESULTS[key]


@dataclass
class Box:
    """Everything that a provocation may spoil.

    Attributes:
        folder: Private to the test.
        bundle: A bundle, read only.
        request: Where session-wide rigs are found.
        patch: Undone after the test.
        settings: agent.yaml, as it will be written.
        around: What the doctor is shown of the box.
    """

    folder: Path
    bundle: Path
    request: pytest.FixtureRequest
    patch: pytest.MonkeyPatch
    settings: dict[str, Any] = field(default_factory=dict)
    around: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sound = write_wav(self.folder / "sound.wav", hum(10, 1))
        self.settings = {
            "agent": {"name": "box"},
            "mqtt": {"host": "127.0.0.1", "port": 1},
            "sources": {"s": {"kind": "file", "path": str(sound)}},
            "monitors": {"m": {"source": "s", "bundle": str(self.bundle)}},
            "paths": {"state": str(self.folder / "state")},
        }
        self.around = {"show": lambda: UNIT, "root": self.folder / "root"}
        (self.folder / "state").mkdir()
        self.patch.setattr(preflight, "check_isolated", _checked_once)

    @property
    def file(self) -> Path:
        """agent.yaml."""
        return self.folder / "agent.yaml"

    @property
    def monitor(self) -> dict[str, Any]:
        """The settings of its monitor."""
        return self.settings["monitors"]["m"]

    def put(self, name: str, text: str) -> Path:
        """A file below the faked root."""
        path = self.folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def write(self) -> Path:
        """Write agent.yaml."""
        if self.settings:
            self.file.write_text(yaml.safe_dump(self.settings))
        return self.file

    def check(self) -> list[Finding]:
        """Findings of `asd-agent check`, each error and warning with its line."""
        words = {"error": "problem", "warning": "warning", "note": "ok"}
        rows = inspect(self.write())
        assert all(r["line"] or r["level"] == "note" or not r["key"] for r in rows), "a finding has no line"
        return [Finding(words[r["level"]], r["key"], r["text"], r["remedy"]) for r in rows]

    def doctor(self, *names: str) -> list[Finding]:
        """Findings of `asd-agent doctor` under these checks; bundles are always opened first."""
        path = self.write()
        examination = DoctorRun(load_config(path), path, Surroundings(**self.around))
        checks = [c for c in examination.checks() if c.name in {"bundles", *names}]
        assert len(checks) == len({"bundles", *names})
        return [f for done in run_checks(checks) for f in done.findings]


Provoke = Callable[[Box], list[Finding]]


@dataclass(frozen=True)
class Symptom:
    """Fault, and the messages that must name it.

    Attributes:
        provoke: Makes it go wrong and asks `check` or the doctor.
        where: What the finding is about.
        what: Words of what it says.
        remedy: Words of its remedy.
        level: How grave it is.
    """

    provoke: Provoke
    where: str
    what: str
    remedy: str
    level: str = "problem"
