"""Bundles that a command installs: each refusal by its name, trial by the first windows, and the way back."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.bundle import Bundle
from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.bundle.download import check_url
from asd_agent.bundle.files import file_digest
from asd_agent.clock import SystemClock
from asd_agent.config.file import load_config
from asd_agent.errors import BundleError
from asd_agent.mqtt.payloads import InstallBundle
from asd_agent.service.installing import Installing, read_installing, recover_installing, registry_of
from rigs.agent import Agent, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav
from rigs.file_server import FileServer

RESULT = "asd/box/command/result"
LAST = {"refused", "proved", "returned"}


@dataclass
class Box:
    """A real agent that may install bundles, and bundles to install."""

    heard: Listener
    server: FileServer
    folder: Path
    config: Path
    agent: Agent
    bundle: Path

    def install(self, url: str, sha256: str, **more: Any) -> list[dict[str, Any]]:
        """Send the command; returns all its answers."""
        id_ = uuid.uuid4().hex
        expires = (datetime.now(timezone.utc) + timedelta(minutes=5)).isoformat()
        command = {"schema": "asd.install-bundle/1", "id": id_, "url": url, "sha256": sha256, "expires": expires}
        self.heard.publish("asd/box/command/install_bundle", json.dumps({**command, **more}))
        self.heard.wait_where(RESULT, lambda a: a["id"] == id_ and a["stage"] in LAST)
        return [a for a in self.heard.objects(RESULT) if a["id"] == id_]

    def in_use(self) -> str:
        """Digest of the bundle in use, by the link on the disk."""
        return Bundle.open(self.folder / "bundles" / "hum").digest


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, bundle_path: Path) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("install")
    (folder / "files").mkdir()
    sound = {"kind": "file", "path": str(write_wav(folder / "a.wav", hum(60, 95))), "speed": 8, "loop": True}
    with (
        Broker(folder / "b") as broker,
        FileServer(folder / "files") as server,
        Listener(broker.settings(), "asd/#") as heard,
    ):
        config = write_config(folder, Path("hum"), sound, broker.port, alarm={"raise_after": "20 of 20"})
        settings = yaml.safe_load(config.read_text())
        settings["paths"]["bundles"] = str(folder / "bundles")
        settings["install_bundle"] = {"url_prefixes": [server.url], "max_megabytes": 5, "trial_windows": 3}
        config.write_text(yaml.safe_dump(settings))
        (folder / "bundles").mkdir()
        shutil.copytree(bundle_path, folder / "bundles" / "hum")
        agent = Agent(config)
        agent.wait_log("listening")
        yield Box(heard, server, folder, config, agent, bundle_path)
        agent.close()


def changed_golden(bundle: Path, to: Path) -> Path:
    """A bundle whose golden scores are not those that it gives."""
    copy = Path(shutil.copytree(bundle, to))
    arrays = load_arrays(copy / "golden.npz")
    arrays["scores"] = arrays["scores"] + 0.5
    save_arrays(copy / "golden.npz", arrays)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = file_digest(copy / "golden.npz")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.mark.rig
def test_each_refusal_has_its_name_and_changes_nothing(box: Box, tmp_path: Path):
    before = box.in_use()
    url, digest = box.server.add(box.bundle, "same.tar")
    golden = box.server.add(changed_golden(box.bundle, tmp_path / "hum"), "golden.tar")
    one_section = box.server.add(make_bundle(tmp_path / "one" / "hum", sections=("01",), clips=12).path, "one.tar")
    (box.server.folder / "large.tar").write_bytes(bytes(5_000_001))
    refused = {
        "wrong digest": box.install(url, "0" * 64),
        "too large": box.install(f"{box.server.url}large.tar", "0" * 64),
        "forbidden URL": box.install("http://files.example.org/a.tar", digest),
        "redirects to another place": box.install(f"{box.server.url}elsewhere/same.tar", digest),
        "golden window": box.install(*golden),
        "has no section '00'": box.install(*one_section),
        "no monitor uses a bundle named 'spare'": box.install(url, digest, name="spare"),
        "answers 404": box.install(f"{box.server.url}missing.tar", digest),
        "expired": box.install(url, digest, expires="2020-01-01T00:00:00.000Z"),
    }
    for text, answers in refused.items():
        assert answers[-1]["stage"] == "refused", text
        assert text in answers[-1]["text"]
        assert not any(a["done"] for a in answers)
    assert box.in_use() == before
    assert read_installing(box.folder / "state") is None
    assert len([p for p in (box.folder / "bundles" / ".store").iterdir() if p.name.startswith("hum-")]) <= 1


@pytest.mark.rig
def test_a_good_bundle_is_proved_by_its_first_windows(box: Box, tmp_path: Path):
    good = make_bundle(tmp_path / "hum", sections=("00", "01"), clips=20)
    answers = box.install(*box.server.add(good.path, "good.tar"))
    assert [a["stage"] for a in answers] == ["accepted", "activated", "proved"]
    assert box.in_use() == good.digest
    box.heard.wait_where("asd/box/monitor/m/state", lambda s: s["bundle"] == good.digest)
    again = box.install(*box.server.add(good.path, "good.tar"))
    assert [a["stage"] for a in again] == ["accepted", "proved"]
    assert "in use already" in again[-1]["text"]


@pytest.mark.rig
def test_a_bundle_that_finds_the_normal_sound_anomalous_goes_back(box: Box, tmp_path: Path):
    before = box.in_use()
    wrong = make_bundle(tmp_path / "hum", clips=20, pitch=900.0)
    answers = box.install(*box.server.add(wrong.path, "wrong.tar"))
    assert [a["stage"] for a in answers] == ["accepted", "activated", "returned"]
    assert "3 of the first 3 windows of monitor m exceed the raise level" in answers[-1]["text"]
    assert box.in_use() == before
    assert read_installing(box.folder / "state") is None
    health = box.heard.wait_where("asd/box/health", lambda h: h["inventory"]["bundles"]["m"]["returned"])
    used = health["inventory"]["bundles"]["m"]
    assert used["digest"] == before
    assert wrong.digest.startswith(used["returned"])
    assert "exceed the raise level" in used["reason"]


@pytest.mark.rig
def test_a_service_without_the_section_does_not_listen(box: Box):
    health = box.heard.wait_where("asd/box/health", lambda h: h["inventory"] is not None)
    assert health["inventory"]["installs_bundles"] is True
    assert health["inventory"]["bundles"]["m"]["name"] == "hum"
    assert set(health["versions"]) >= {"asd-agent", "python", "os"}
    assert len(health["inventory"]["configuration"]) == 64


def test_a_bundle_that_is_never_proved_goes_back_after_some_starts(bundle_path: Path, tmp_path: Path):
    path = write_config(tmp_path, Path("hum"), {"kind": "file", "path": "x.wav"}, 1)
    settings = yaml.safe_load(path.read_text())
    settings["paths"]["bundles"] = str(tmp_path / "bundles")
    path.write_text(yaml.safe_dump(settings))
    config = load_config(path)
    registry = registry_of(config, SystemClock())
    first = registry.install(bundle_path)
    second = registry.install(make_bundle(tmp_path / "hum", sections=("00", "01"), clips=12).path)
    command = InstallBundle.model_validate(
        {"schema": "asd.install-bundle/1", "id": "i", "url": "http://x/", "sha256": "0" * 64, "expires": "x"}
    )
    (tmp_path / "state").mkdir()
    Installing(command.model_dump_json(by_alias=True), "hum", second.short).write(tmp_path / "state")
    for _ in range(3):
        found = recover_installing(config, SystemClock())
        assert found is not None
        assert found[1] == ""
    given_up = recover_installing(config, SystemClock())
    assert given_up is not None
    assert "4 times unproved" in given_up[1]
    assert [s.short for s in registry.listed() if s.active] == [first.short]
    assert recover_installing(config, SystemClock()) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://files.example.org/bundles/../secret.tar",
        "https://files.example.org/bundles/%2e%2e/secret.tar",
        "https://files.example.org/bundles/..%5csecret.tar",
        "https://files.example.org.evil.example/bundles/a.tar",
        "https://files.example.org@evil.example/bundles/a.tar",
        "http://files.example.org/bundles/a.tar",
        "file:///etc/passwd",
        "https://files.example.org/bundles/a b.tar",
    ],
)
def test_a_url_cannot_leave_its_prefix(url: str):
    check_url("https://files.example.org/bundles/fan/a.tar", ["https://files.example.org/bundles/"])
    with pytest.raises(BundleError, match="forbidden URL"):
        check_url(url, ["https://files.example.org/bundles/"])
