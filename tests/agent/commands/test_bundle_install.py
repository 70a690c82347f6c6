"""asd-agent bundle install, list and rollback, with a service that takes them over."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from asd_agent.bundle import Bundle
from asd_agent.commands.bundle import app
from asd_agent.errors import UsageError
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav

SCORES = "asd/box/monitor/m/score"


def asked(*arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_a_bundle_goes_in_and_is_listed_with_its_monitors(bundle_path: Path, tmp_path: Path):
    config = write_config(tmp_path, Path("hum"), {"kind": "file", "path": "x.wav"}, 1)
    settings = yaml.safe_load(config.read_text())
    settings["paths"]["bundles"] = "bundles"
    config.write_text(yaml.safe_dump(settings))
    assert asked("list", "-c", str(config))["bundles"] == []
    digest = Bundle.open(bundle_path).digest[:12]
    row = asked("install", str(bundle_path), "-c", str(config))
    assert (row["name"], row["digest"], row["active"], row["monitors"]) == ("hum", digest, True, ["m"])
    assert row["reloaded"] is None
    asked("install", str(bundle_path), "--name", "spare", "--bundles", str(tmp_path / "bundles"), "--no-activate")
    rows = asked("list", "-c", str(config))["bundles"]
    assert [(r["name"], r["active"], r["monitors"]) for r in rows] == [("hum", True, ["m"]), ("spare", False, [])]


def test_a_name_that_leads_elsewhere_is_refused(bundle_path: Path, tmp_path: Path):
    folder = str(tmp_path / "b")
    for name in ("../hum", "a/b", ".store", " "):
        with pytest.raises(UsageError, match="cannot name a bundle"):
            asked("install", str(bundle_path), "--name", name, "--bundles", folder)
        with pytest.raises(UsageError, match="cannot name a bundle"):
            asked("rollback", name, "--bundles", folder)
        with pytest.raises(UsageError, match="cannot name a bundle"):
            asked("activate", name, "abc", "--bundles", folder)


@pytest.mark.rig
def test_the_running_service_takes_over_what_is_installed_and_gone_back_from(bundle_path: Path, tmp_path: Path):
    other = make_bundle(tmp_path / "other" / "hum", sections=("00", "01"), clips=20).path
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(other, "hum")
    sound = {"kind": "file", "path": str(write_wav(tmp_path / "a.wav", hum(30, 95))), "speed": 4, "loop": True}
    with Broker(tmp_path) as broker, Listener(broker.settings(), "asd/#") as heard:
        config = write_config(tmp_path, Path("hum"), sound, broker.port)
        settings = yaml.safe_load(config.read_text())
        settings["paths"]["bundles"] = str(tmp_path / "bundles")
        config.write_text(yaml.safe_dump(settings))
        (tmp_path / "bundles").mkdir()
        shutil.copytree(bundle_path, tmp_path / "bundles" / "hum")
        with running(config):
            heard.wait_for(SCORES, 1)
            old, new = (Bundle.open(p).digest for p in (bundle_path, other))
            said = asked("install", str(tmp_path / "other.tar"), "-c", str(config), "--reload")["reloaded"]
            assert f"hum {new[:12]} scores in place of hum {old[:12]}" in str(said)
            heard.wait_where("asd/box/monitor/m/state", lambda s: s["bundle"] == new)
            asked("rollback", "hum", "-c", str(config), "--reload")
            before = len(heard.texts("asd/box/monitor/m/state")) - 1
            heard.wait_where("asd/box/monitor/m/state", lambda s: s["bundle"] == old, after=before)
