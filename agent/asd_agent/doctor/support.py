"""Support archive: everything that helps to find a fault of a box, and nothing that must not leave it."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import yaml

from asd_agent.config.file import ConfigFileError, load_config, read_yaml
from asd_agent.config.model import Config
from asd_agent.config.yaml_reader import YamlMistakeError, construct
from asd_agent.doctor.mask import hidden_words, mask_document, mask_text, secret_words
from asd_agent.doctor.outbox import counts
from asd_agent.doctor.running import ask_health
from asd_agent.doctor.unit import NAME, read_unit, show, with_credential
from asd_agent.errors import AsdError
from asd_agent.whole_files import write_whole

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
    try:
        if not out.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        write_whole(out, content, 0o600)
    except OSError as error:
        raise AsdError(f"{out} cannot be written: {error.strerror}", "Name another place with --out.") from error


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
    packed, words = _masked_config(file)
    texts = {
        "doctor.json": json.dumps(findings, indent=1, ensure_ascii=False),
        "agent.yaml": packed,
        "unit.txt": show() or "no systemd answers here",
        "log.txt": _log(),
    }
    if config is not None:
        health = ask_health(config.paths.state)
        texts["health.json"] = health.model_dump_json(indent=1, by_alias=True) if health else "null"
        texts["outbox.json"] = _outbox(config.paths.state)
    if config is not None:
        words |= hidden_words(with_credential(config.mqtt, read_unit(show())))
    return {name: mask_text(text, words) + "\n" for name, text in texts.items()}


def _masked_config(file: Path) -> tuple[str, dict[str, str]]:
    """Return the masked configuration, and the mask of each word that was taken out of it or that it refers to."""
    try:
        document = construct(read_yaml(file))
    except (ConfigFileError, YamlMistakeError):  # doctor.json has the reason
        return "# cannot be read", {}
    masked = mask_document(document)
    text = yaml.safe_dump(masked.content, sort_keys=False, allow_unicode=True)
    return text, {**masked.words, **secret_words(document, file.parent)}


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
