"""The support archive: what helps is in it, and no planted secret in any file of it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from asd_agent.clock import SystemClock
from asd_agent.config.base import Secret
from asd_agent.config.model import MqttSettings
from asd_agent.doctor.mask import hidden_words, mask_text
from asd_agent.outbox.store import Outbox
from rigs.bundles import hum, write_wav
from rigs.waiting import PATIENCE

PASSWORD, USER, HOST = "Xyzzy-4711-plugh", "press-hall-user", "secret-broker.factory.example"


def agent(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    command = [sys.executable, "-c", "from asd_agent.cli import main; main()", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env={**os.environ, **environment}
    )


@pytest.fixture
def config(bundle_path: Path, tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    sound = write_wav(tmp_path / "sound.wav", hum(5, 1))
    settings = {
        "agent": {"name": "box"},
        "mqtt": {"host": HOST, "username": USER, "password": {"file": str(tmp_path / "password")}},
        "sources": {"s": {"kind": "file", "path": str(sound)}},
        "monitors": {"m": {"source": "s", "bundle": str(bundle_path)}},
        "paths": {"state": str(tmp_path / "state")},
    }
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(settings))
    Outbox(tmp_path / "state" / "outbox.sqlite3", SystemClock()).close()
    return tmp_path / "agent.yaml"


def files(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as tar:
        return {m.name: tar.extractfile(m).read().decode() for m in tar.getmembers()}


def test_no_planted_secret_stands_in_any_file(config: Path, tmp_path: Path):
    # A journal that says the password, the user and the host, as a careless library might.
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "journalctl").write_text(
        f"#!/bin/sh\necho 'login {USER}:{PASSWORD}@{HOST.upper()} from 10.1.2.3 fe80::1'\n"
    )
    (tools / "journalctl").chmod(0o755)
    out = tmp_path / "support.tar.gz"
    import os

    done = agent("support", "-c", str(config), "--out", str(out), PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    found = files(out)
    names = {"doctor.json", "agent.yaml", "unit.txt", "log.txt", "health.json", "outbox.json"}
    assert set(found) == {f"asd-support/{n}" for n in names}
    for name, text in found.items():
        for secret in (PASSWORD, USER, HOST, HOST.upper(), "10.1.2.3", "fe80::1"):
            assert secret not in text, f"{secret} stands in {name}"
    assert found["asd-support/log.txt"].strip() == "login <username>:<password>@<host> from <address> <address>"
    assert yaml.safe_load(found["asd-support/agent.yaml"])["mqtt"]["username"] == "<username>"
    assert json.loads(found["asd-support/outbox.json"])["waiting"] == 0
    assert json.loads(found["asd-support/doctor.json"])["versions"]["asd-agent"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_configuration_that_cannot_be_used_is_packed_masked_too(tmp_path: Path):
    (tmp_path / "agent.yaml").write_text(f"mqtt: {{password: {PASSWORD}, username: {USER}, host: {HOST}}}\n")
    done = agent("doctor", "-c", str(tmp_path / "agent.yaml"), "--archive", str(tmp_path / "s.tar.gz"), "--json")
    assert done.returncode == 78
    assert json.loads(done.stdout)["worst"] == "problem"
    for text in files(tmp_path / "s.tar.gz").values():
        assert PASSWORD not in text
        assert USER not in text
        assert HOST not in text


def test_a_place_that_cannot_be_written_is_said_in_one_line(config: Path, tmp_path: Path):
    done = agent("support", "-c", str(config), "--out", str(tmp_path / "nowhere" / "s.tar.gz"))
    assert done.returncode == 1
    assert "Name another place with --out" in done.stderr.splitlines()[-1]


def test_the_longest_word_is_masked_first_and_times_are_no_addresses():
    words = hidden_words(MqttSettings(host="hall.example", username="hall", password=Secret(file=Path("/nowhere"))))
    said = mask_text("hall.example hall 12:34:56 127.0.0.1 /home/ada/x", words)
    assert said == "<host> <username> 12:34:56 127.0.0.1 /home/<user>/x"
