"""The support archive: what helps is in it, and no planted secret in any file of it."""

from __future__ import annotations

import contextlib
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
from asd_agent.config.file import ConfigFileError, load_config
from asd_agent.config.model import MqttSettings
from asd_agent.doctor import support
from asd_agent.doctor.mask import hidden_words, mask_document, mask_text, secret_words
from asd_agent.doctor.support import contents
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


SECRET = "hunter2-Zq9"
GOOD = "agent: {name: box}\nsources: {s: {kind: file, path: /a.wav}}\nmonitors: {m: {source: s, bundle: b}}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}mqtt: {{password: {SECRET}}}",
        f"{GOOD}mqtt: {{username: u, pw: {SECRET}}}",
        f"{GOOD}mqtt: {{auth: {SECRET}}}",
        f"{GOOD}mqtt: {{auth: {{user: u, value: [{SECRET}, {{a: {SECRET}}}]}}}}",
        f"{GOOD}mqtt: {{host: 'mqtt://u:{SECRET}@broker'}}",
        f"{GOOD}mqtt: {{passwrod: {SECRET}}}",
        f"{GOOD}mqtt: {{username: u, password: &p {SECRET}}}",
        f"x: &p {SECRET}\n{GOOD}mqtt: {{username: u, password: *p}}",
        f"{GOOD}mqtt: {{username: u, password: {{fil: {SECRET}}}}}",
        f"{GOOD}mqtt: {{username: u, password: {{file: {SECRET}}}}}",
        f"{GOOD}mqtt: {{tls: {{key: {SECRET}, certificate: /c.pem}}}}",
        f"{GOOD}notify: {{t: {{url: 'ntfys://{SECRET}@host/topic'}}}}",
        f"{GOOD}extra: [{{name: token, value: {SECRET}}}]",
        f"{GOOD}install_bundle: {{url_prefixes: ['https://u:{SECRET}@host/']}}",
        f"{GOOD}web: {{public_url: 'https://u:{SECRET}@host/'}}",
        f"{GOOD}mqtt: {{port: {SECRET}}}",
        f"{GOOD}mqtt: {{password: {SECRET * 10}}}",
        f"{GOOD}mqtt: {{username: {SECRET}}}\n" + "".join(f"k{n}: {SECRET}{n}\n" for n in range(300)),
        f"mqtt: {{password: {SECRET}\n",
        f"- {SECRET}",
        SECRET,
    ],
)
def test_a_secret_is_masked_wherever_it_stands(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(support, "_log", lambda: "")
    file = tmp_path / "agent.yaml"
    file.write_text(text)
    with contextlib.suppress(ConfigFileError):
        load_config(file)
    for name, content in contents(file, {}).items():
        assert SECRET not in content, f"{name}: {content}"


def test_what_is_no_secret_stays(tmp_path: Path):
    document = yaml.safe_load(GOOD) | {"mqtt": {"username": USER, "password": {"file": "/etc/asd-agent/pw"}}}
    masked = mask_document(document)
    assert masked.content == document | {"mqtt": {"username": "<username>", "password": {"file": "/etc/asd-agent/pw"}}}
    assert masked.words == {USER: "<username>"}


def test_secrets_in_files_and_logs_are_masked_too(tmp_path: Path):
    (tmp_path / "url").write_text("slack://TokenAAAAAAA/TokenBBBBBBB")
    words = secret_words({"notify": {"t": {"url": {"file": "url"}}}, "refused": 1}, tmp_path)
    text = "slack://TokenAAAAAAA/TokenBBBBBBB TokenBBBBBBB mqtt://u:hush@h API_KEY=hush ?token=hush"
    shown = mask_text(f"{text} Authorization: Bearer hush", words)
    assert "Token" not in shown
    assert "hush" not in shown
