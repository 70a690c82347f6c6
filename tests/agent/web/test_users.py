"""The file of users, and the commands that write it."""

from __future__ import annotations

import io
import json
import stat
import sys
from pathlib import Path

import pytest
import yaml

from asd_agent.cli import main
from asd_agent.errors import AsdError, ConfigError
from asd_agent.web.users import UserFile
from rigs.command import call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An agent.yaml with a page."""
    path = tmp_path / "agent.yaml"
    document = {
        "agent": {"name": "box"},
        "sources": {"mic": {"kind": "microphone", "device": "USB"}},
        "monitors": {"press": {"source": "mic", "bundle": "fan"}},
        "web": {"users": str(tmp_path / "users.json")},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_passwords_are_stored_as_hashes_that_only_the_group_may_read(tmp_path: Path):
    users = UserFile(tmp_path / "users.json")
    users.put("anna", "long enough", "operator")
    text = (tmp_path / "users.json").read_text()
    assert "long enough" not in text
    assert stat.S_IMODE((tmp_path / "users.json").stat().st_mode) == 0o640
    first = json.loads(text)["users"]["anna"]["password"]
    users.put("anna", "long enough", "operator")
    assert json.loads((tmp_path / "users.json").read_text())["users"]["anna"]["password"] != first  # another salt
    found = users.check("anna", "long enough")
    assert found is not None
    assert (found.name, found.role) == ("anna", "operator")
    assert users.check("anna", "long enougH") is None
    assert users.check("nobody", "long enough") is None


@pytest.mark.parametrize(
    ("name", "password"), [("a b", "x" * 9), ("", "x" * 9), ("<b>", "x" * 9), ("n" * 33, "x" * 9), ("anna", "short")]
)
def test_names_and_passwords_that_cannot_be_used_are_refused(tmp_path: Path, name: str, password: str):
    with pytest.raises(AsdError):
        UserFile(tmp_path / "users.json").put(name, password, "viewer")


@pytest.mark.parametrize("text", ["", "[]", '{"users": {"a": {"role": "root", "password": "x"}}}', '{"users": [1]}'])
def test_a_damaged_file_is_an_error_and_not_a_page_without_users(tmp_path: Path, text: str):
    (tmp_path / "users.json").write_text(text)
    with pytest.raises(ConfigError, match="damaged"):
        UserFile(tmp_path / "users.json").names()


def test_commands_add_list_and_remove(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("long enough\n"))
    done = call(main, "web", "password", "anna", "--role", "admin", "-c", config)
    assert done.returncode == 0, done.stderr
    listed = call(main, "web", "users", "-c", config, "--json")
    assert json.loads(listed.stdout) == {"users": [{"name": "anna", "role": "admin"}]}
    assert call(main, "web", "remove", "anna", "-c", config).returncode == 0
    gone = call(main, "web", "remove", "anna", "-c", config)
    assert gone.returncode == 1
    assert "there is no user" in gone.stderr
    assert call(main, "web", "password", "anna", "--role", "root", "-c", config).returncode == 2


def test_the_page_refuses_to_listen_off_this_box_without_users(config: Path):
    document = yaml.safe_load(config.read_text())
    document["web"]["host"] = "0.0.0.0"
    config.write_text(yaml.safe_dump(document))
    done = call(main, "web", "-c", config)
    assert done.returncode == 78
    assert "asd-agent web password" in done.stderr
    del document["web"]
    config.write_text(yaml.safe_dump(document))
    assert call(main, "web", "-c", config).returncode == 78
