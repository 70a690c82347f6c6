"""Support archive: everything that helps to find a fault of a box, and nothing that must not leave it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import yaml

from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.model import Config
from asd_agent.doctor.mask import hidden_words, mask_document, mask_text
from asd_agent.doctor.outbox import counts
from asd_agent.doctor.running import ask_health
from asd_agent.doctor.unit import NAME, read_unit, show, with_credential
from asd_agent.errors import AsdError

LOG_LINES = 500
"""Some days of a healthy service, and the last minutes of one that fails in a loop."""
_ROOT = "asd-support"


def write_archive(out: Path, file: Path, findings: dict[str, Any]) -> None:
    """Write the archive, complete or not at all, readable for its owner alone.

    Args:
        out: A .tar.gz.
        file: agent.yaml.
        findings: The doctor's document.

    Raises:
        AsdError: It cannot be written.
    """
    content = archive_bytes(file, findings)
    stage = out.with_name(f".{out.name}.new")
    try:
        place = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(place, "wb") as raw:
            raw.write(content)
        stage.replace(out)
    except OSError as error:
        raise AsdError(f"{out} cannot be written: {error.strerror}", "Name another place with --out.") from error
    finally:
        stage.unlink(missing_ok=True)


def archive_bytes(file: Path, findings: dict[str, Any]) -> bytes:
    """Return the archive.

    Args:
        file: agent.yaml.
        findings: The doctor's document.
    """
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, text in contents(file, findings).items():
            data = text.encode()
            entry = tarfile.TarInfo(f"{_ROOT}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), round(time.time()), 0o600
            archive.addfile(entry, io.BytesIO(data))
    return whole.getvalue()


def contents(file: Path, findings: dict[str, Any]) -> dict[str, str]:
    """Return every file of the archive by name, masked.

    Args:
        file: agent.yaml.
        findings: The doctor's document.
    """
    config: Config | None = None
    try:
        config = load_config(file)
    except ConfigFileError as error:
        findings = {**findings, "configuration": str(error)}
    texts = {
        "doctor.json": json.dumps(findings, indent=1, ensure_ascii=False),
        "agent.yaml": _masked_config(file),
        "unit.txt": show() or "no systemd answers here",
        "log.txt": _log(),
    }
    if config is not None:
        health = ask_health(config.paths.state)
        texts["health.json"] = health.model_dump_json(indent=1, by_alias=True) if health else "null"
        texts["outbox.json"] = _outbox(config.paths.state)
    words = hidden_words(with_credential(config.mqtt, read_unit(show()))) if config is not None else {}
    return {name: mask_text(text, words) + "\n" for name, text in texts.items()}


def _masked_config(file: Path) -> str:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        return f"# cannot be read: {type(error).__name__}"
    return yaml.safe_dump(mask_document(document), sort_keys=False, allow_unicode=True)


def _log() -> str:
    command = ["journalctl", "-u", NAME, "-n", str(LOG_LINES), "--no-pager", "-o", "short-iso"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "no journal can be read here"
    return done.stdout or done.stderr


def _outbox(state: Path) -> str:
    try:
        return json.dumps(counts(state))
    except AsdError as error:
        return json.dumps({"error": str(error)})
