"""agent.yaml and what it names, spoiled in every way."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle.arrays import load_arrays, save_arrays
from asd_agent.bundle.files import GOLDEN, MANIFEST, file_digest
from asd_agent.config.finding import Finding
from rigs.symptoms.box import UNIT, Box, Provoke, Symptom


def _text(change: Callable[[str], str]) -> Provoke:
    """`check` of the file with its text changed."""

    def provoke(box: Box) -> list[Finding]:
        text = change(box.write().read_text())
        box.settings = {}
        box.file.write_text(text)
        return box.check()

    return provoke


def _set(where: str, value: Any) -> Provoke:
    """`check` with one setting changed."""

    def provoke(box: Box) -> list[Finding]:
        *parents, key = where.split("/")
        part = box.settings
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
        return box.check()

    return provoke


def _password(box: Box, secret: dict[str, str], **mqtt: Any) -> None:
    box.settings["mqtt"] |= {"username": "box", "password": secret, **mqtt}


def _no_secret(box: Box) -> list[Finding]:
    _password(box, {"file": str(box.folder / "nowhere")})
    return box.check()


def _empty_secret(box: Box) -> list[Finding]:
    (box.folder / "password").write_text("\n")
    _password(box, {"file": str(box.folder / "password")})
    return box.check()


def _open_secret(box: Box) -> list[Finding]:
    (box.folder / "password").write_text("sesame\n")
    (box.folder / "password").chmod(0o644)
    _password(box, {"file": str(box.folder / "password")})
    return box.check()


def _credential_under_systemd(box: Box) -> list[Finding]:
    box.patch.setenv("INVOCATION_ID", "1")
    box.patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    _password(box, {"credential": "mqtt-password"})
    return box.check()


def _credential_not_in_unit(box: Box) -> list[Finding]:
    _password(box, {"credential": "mqtt-password"})
    return box.doctor("service")


def _credential_without_file(box: Box) -> list[Finding]:
    _password(box, {"credential": "mqtt-password"})
    box.around["show"] = lambda: UNIT + f"LoadCredential=mqtt-password:{box.folder}/nowhere\n"
    return box.doctor("service")


def _plain_password(box: Box) -> list[Finding]:
    (box.folder / "password").write_text("sesame\n")
    (box.folder / "password").chmod(0o600)
    _password(box, {"file": str(box.folder / "password")}, host="broker.factory.lan")
    return box.check()


def _twins(box: Box) -> list[Finding]:
    box.settings["monitors"]["twin"] = dict(box.monitor)
    return box.check()


def _copy(box: Box) -> Path:
    copy = Path(shutil.copytree(box.bundle, box.folder / "copy"))
    box.monitor["bundle"] = str(copy)
    return copy


def _altered(box: Box) -> list[Finding]:
    with (_copy(box) / GOLDEN).open("ab") as file:
        file.write(b"x")
    return box.check()


def _other_version(box: Box) -> list[Finding]:
    path = _copy(box) / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 99}))
    return box.check()


def _golden_off(box: Box) -> list[Finding]:
    copy = _copy(box)
    golden = load_arrays(copy / GOLDEN)
    save_arrays(copy / GOLDEN, golden | {"scores": golden["scores"] + np.float32(0.5)})
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest["files"][GOLDEN] = file_digest(copy / GOLDEN)
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return box.check()


def _one_broken_of_two(box: Box) -> list[Finding]:
    box.settings["monitors"]["other"] = {"source": "s", "bundle": "nowhere"}
    box.monitor["section"] = "07"
    found = box.check()
    assert any(f.where == "monitors.m.section" for f in found), "a broken bundle hides the other"
    return found


def _no_metrics_library(box: Box) -> list[Finding]:
    box.patch.setitem(sys.modules, "prometheus_client", None)
    box.patch.setattr("importlib.util.find_spec", lambda _name: None)
    box.settings["metrics"] = {}
    return box.check()


def _gone(box: Box) -> list[Finding]:
    box.settings = {}
    return box.check()


SYMPTOMS = {
    "unknown key": Symptom(_text(lambda t: t.replace("host:", "hots:")), "mqtt.hots", "unknown key", "mean 'host'"),
    "YAML syntax": Symptom(_text(lambda t: t + "agent: {name: [}\n"), "", "not valid YAML", "quotes are closed"),
    "tab in YAML": Symptom(_text(lambda t: t.replace("  host", "\thost")), "", "not valid YAML", "quotes are closed"),
    "key given twice": Symptom(_text(lambda t: t + "mqtt: {}\n"), "mqtt", "is given twice", "Keep one"),
    "configuration missing": Symptom(_gone, "", "cannot be read", "Give it with -c"),
    "monitor of an unknown source": Symptom(
        _set("monitors/m/source", "mike"), "monitors.m.source", "no source 'mike'", "There is: s"
    ),
    "channel that is not sent": Symptom(
        _set("monitors/m/channel", 3), "monitors.m.channel", "does not send channel 3", "see its 'channels'"
    ),
    "microphone by index": Symptom(
        _set("sources/s", {"kind": "microphone", "device": "hw:1,0"}),
        "sources.s.device",
        "changes at the next reboot",
        "lists stable names",
    ),
    "impossible alarm": Symptom(
        _set("monitors/m/alarm", {"raise_after": "6 of 5"}),
        "monitors.m.alarm.raise_after",
        "can never happen",
        "at most the second",
    ),
    "one slam of a door raises an alarm": Symptom(
        _set("monitors/m/hop_seconds", 2),
        "monitors.m.alarm.raise_after",
        "share sound",
        "Let k be at least 6",
        "warning",
    ),
    "sound that nobody hears": Symptom(
        _set("monitors/m/hop_seconds", 60), "monitors.m.hop_seconds", "are not heard", "at most 10", "warning"
    ),
    "machine never counts as running": Symptom(
        _set("monitors/m/active_when", {"level_above_dbfs": -5}),
        "monitors.m.active_when.level_above_dbfs",
        "never counts as running",
        "Set it below",
    ),
    "quiet machine counts as stopped": Symptom(
        _set("monitors/m/active_when", {"level_above_dbfs": -27}),
        "monitors.m.active_when.level_above_dbfs",
        "counts as stopped",
        "Set it below",
        "warning",
    ),
    "two monitors the same": Symptom(
        _twins, "monitors.twin", "monitors the same as monitor 'm'", "remove one", "warning"
    ),
    "threshold of too few clips": Symptom(
        _set("monitors/m/domain", "target"), "monitors.m", "is provisional", "Record more normal sound", "warning"
    ),
    "recording missing": Symptom(
        _set("sources/s/path", "nowhere.wav"), "sources.s.path", "no such file", "Name a recording"
    ),
    "secret file missing": Symptom(_no_secret, "mqtt.password", "cannot be read", "Write the password alone"),
    "secret file empty": Symptom(_empty_secret, "mqtt.password", "is empty", "Write the password alone"),
    "secret readable by all": Symptom(_open_secret, "mqtt.password", "every user", "chmod o-r", "warning"),
    "credential not passed": Symptom(
        _credential_under_systemd, "mqtt.password", "is not passed to this service", "LoadCredential=mqtt-password:"
    ),
    "credential not in the unit": Symptom(
        _credential_not_in_unit, "mqtt.password", "the unit does not pass", "LoadCredential=mqtt-password:"
    ),
    "credential's file missing": Symptom(
        _credential_without_file, "mqtt.password", "cannot be read", "Write the password alone"
    ),
    "password in plain over the network": Symptom(
        _plain_password, "mqtt.password", "in plain text", "set 'mqtt.tls'", "warning"
    ),
    "bundle missing": Symptom(
        _set("monitors/m/bundle", "nowhere"), "monitors.m.bundle", "no such bundle", "Give the folder"
    ),
    "wrong bundle: a file altered": Symptom(_altered, "monitors.m.bundle", "differs from what was exported", "again"),
    "bundle of another version": Symptom(
        _other_version, "monitors.m.bundle", "made for schema 99", "Upgrade the agent"
    ),
    "golden windows off": Symptom(_golden_off, "monitors.m.bundle", "golden window 0", "use another one, or export"),
    "two bundles, one broken": Symptom(
        _one_broken_of_two, "monitors.other.bundle", "no such bundle", "Give the folder"
    ),
    "wrong section": Symptom(_set("monitors/m/section", "07"), "monitors.m.section", "has no section '07'", "It has:"),
    "site not calibrated": Symptom(
        _set("monitors/m/domain", "site"), "monitors.m.domain", "was not calibrated here", "asd-agent calibrate"
    ),
    "state folder is a file": Symptom(
        lambda b: _set("paths/state", str(b.folder / "sound.wav"))(b), "paths.state", "is no folder", "Name a folder"
    ),
    "metrics without their library": Symptom(_no_metrics_library, "metrics", "not installed", "EXTRAS=metrics"),
}
