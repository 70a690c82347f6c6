"""The box: disk, clock, heat, software, service, permissions. What this machine cannot have is faked in /proc, /sys."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent.clock import SystemClock
from asd_agent.config.finding import Finding
from asd_agent.doctor.checks import Check, run_checks
from asd_agent.doctor.software import judge_runtime
from asd_agent.outbox.schema import OUTBOX_NAME
from asd_agent.outbox.store import Outbox
from rigs.agent import running
from rigs.symptoms.box import UNIT, Box, Provoke, Symptom


@contextlib.contextmanager
def _small_disk(box: Box, size: str, options: str = "") -> Iterator[Path]:
    """A file system of its own at the state folder."""
    state = box.folder / "state"
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(state)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield state
    finally:
        subprocess.run(["umount", str(state)], check=True)


def _full(box: Box) -> list[Finding]:
    with _small_disk(box, "1m") as state:
        with contextlib.suppress(OSError), (state / "filler").open("wb") as file:
            file.write(b"\0" * 2_000_000)
        return box.doctor("disk")


def _nearly_full(box: Box) -> list[Finding]:
    with _small_disk(box, "20m"):
        return box.doctor("disk")


def _little_left(box: Box) -> list[Finding]:
    with _small_disk(box, "100m"):
        return box.doctor("disk")


def _read_only(box: Box) -> list[Finding]:
    with _small_disk(box, "1m", ",ro"):
        return box.doctor("disk")


def _closed_folder(box: Box, folder: Path) -> None:
    """Owned by root, for root alone; the way there is open."""
    for parent in [p for p in folder.parents if p.name.startswith("pytest") or p == box.folder]:
        parent.chmod(0o755)
    folder.chmod(0o700)
    box.around["user"] = "nobody"


def _not_writable(box: Box) -> list[Finding]:
    _closed_folder(box, box.folder / "state")
    return box.doctor("permissions")


def _not_readable(box: Box) -> list[Finding]:
    secrets = box.folder / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("sesame\n")
    box.settings["mqtt"] |= {"username": "box", "password": {"file": str(secrets / "password")}}
    _closed_folder(box, secrets)
    return box.doctor("permissions")


class _UnsetClock(SystemClock):
    def utc(self) -> float:
        return 86_400.0


def _clock_unset(box: Box) -> list[Finding]:
    box.around["clock"] = _UnsetClock()
    return box.doctor("clock")


def _clock_alone(box: Box) -> list[Finding]:
    box.around["clock"] = SystemClock(adjtimex=lambda: (5, 0x40))
    return box.doctor("clock")


def _heat(**files: str) -> Provoke:
    def provoke(box: Box) -> list[Finding]:
        for name, text in files.items():
            box.put(name.replace("__", "/"), text + "\n")
        return box.doctor("heat")

    return provoke


def _hot(box: Box, degrees: int) -> list[Finding]:
    zone = "sys/class/thermal/thermal_zone0"
    box.put(f"{zone}/temp", f"{degrees * 1000}\n")
    box.put(f"{zone}/trip_point_0_type", "critical\n")
    box.put(f"{zone}/trip_point_0_temp", "105000\n")
    return box.doctor("heat")


def _wheels(box: Box, *names: str) -> list[Finding]:
    folder = box.folder / "packages"
    for name in names:
        info = folder / f"{name.replace('-', '_')}-1.20.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.20.0\n")
    box.around["packages"] = (str(folder),)
    return box.doctor("software")


def _no_runtime(box: Box) -> list[Finding]:
    box.patch.setitem(sys.modules, "onnxruntime", None)
    box.monitor["bundle"] = "nowhere"  # of a bundle that cannot be opened a network is to be expected
    return box.doctor("software")


def _no_gpu(box: Box) -> list[Finding]:
    box.settings["providers"] = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    return box.doctor("software")


def _no_provider_at_all(box: Box) -> list[Finding]:
    import onnxruntime

    return judge_runtime(onnxruntime, ["CUDAExecutionProvider"])


def _corrupt_outbox(box: Box) -> list[Finding]:
    path = box.folder / "state" / OUTBOX_NAME
    outbox = Outbox(path, SystemClock())
    outbox.close()
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)
    return box.doctor("outbox")


def _no_database(box: Box) -> list[Finding]:
    (box.folder / "state" / OUTBOX_NAME).write_bytes(b"this is no database" * 100)
    return box.doctor("outbox")


def _set_aside(box: Box) -> list[Finding]:
    (box.folder / "state" / f"{OUTBOX_NAME}.corrupt-20270115T080000Z").write_bytes(b"")
    return box.doctor("outbox")


def _unit(**changes: str) -> Provoke:
    def provoke(box: Box) -> list[Finding]:
        values = dict(line.split("=", 1) for line in UNIT.splitlines()) | changes
        box.around["show"] = lambda: "".join(f"{k}={v}\n" for k, v in values.items())
        return box.doctor("service")

    return provoke


def _no_systemd(box: Box) -> list[Finding]:
    box.around["show"] = lambda: ""
    return box.doctor("service")


def _broker_away_in_service(box: Box) -> list[Finding]:
    box.settings["sources"]["s"]["loop"] = True
    with running(box.write()) as agent:
        agent.wait_log("nothing listens there")
        agent.wait_log("listening:")
        return box.doctor("sound")


def _never_ends() -> list[Finding]:
    threading.Event().wait()
    return []


def _hangs(_box: Box) -> list[Finding]:
    (done,) = run_checks([Check("sound", _never_ends, 0.1)])
    return list(done.findings)


_CPU = "sys__devices__system__cpu__cpu0"
SYMPTOMS = {
    "disk full": Symptom(_full, "disk", "the disk is full", "Free some"),
    "disk nearly full": Symptom(_nearly_full, "disk", "nearly full", "Free some"),
    "no room for evidence": Symptom(
        _little_left, "disk", "no recordings of alarms", "evidence.free_megabytes", "warning"
    ),
    "disk read-only": Symptom(_read_only, "disk", "read-only", "dmesg"),
    "state folder not writable": Symptom(_not_writable, "paths.state", "user nobody may not write", "chown -R nobody"),
    "secret not readable for the service": Symptom(_not_readable, "mqtt.password", "may not read", "chgrp nobody"),
    "clock never set": Symptom(_clock_unset, "clock", "never set", "timedatectl set-ntp true"),
    "clock not synchronised": Symptom(_clock_alone, "clock", "follows no time server", "timedatectl", "warning"),
    "box hot": Symptom(lambda b: _hot(b, 85), "temperature", "85 °C, so hot", "give it air", "warning"),
    "box about to switch itself off": Symptom(lambda b: _hot(b, 101), "temperature", "about to switch", "give it air"),
    "processor slowed down for heat": Symptom(
        _heat(**{f"{_CPU}__thermal_throttle__core_throttle_count": "12"}),
        "throttling",
        "slowed down for heat 12 times",
        "Give it air",
        "warning",
    ),
    "supply too weak": Symptom(
        _heat(**{"sys__devices__platform__soc__soc:firmware__get_throttled": "0x50000"}),
        "throttling",
        "its supply is too weak",
        "a supply of its own",
        "warning",
    ),
    "processor held below its frequency": Symptom(
        _heat(**{f"{_CPU}__cpufreq__cpuinfo_max_freq": "2000000", f"{_CPU}__cpufreq__scaling_max_freq": "1200000"}),
        "throttling",
        "below their highest frequency",
        "nvpmodel",
        "warning",
    ),
    "memory short": Symptom(
        _heat(proc__meminfo="MemAvailable:  90000 kB"),
        "memory",
        "92 MB of memory left",
        "smaller recipe",
        "warning",
    ),
    "two ONNX Runtimes": Symptom(
        lambda b: _wheels(b, "onnxruntime", "onnxruntime-gpu"),
        "onnxruntime",
        "installed over each other",
        "pip uninstall -y onnxruntime onnxruntime-gpu",
    ),
    "no ONNX Runtime": Symptom(_no_runtime, "onnxruntime", "not installed", "RUNTIME=cpu"),
    "provider missing": Symptom(
        _no_gpu, "providers", "CUDAExecutionProvider is not in this ONNX Runtime", "Install the ONNX Runtime", "warning"
    ),
    "no provider left": Symptom(_no_provider_at_all, "providers", "is not in this ONNX Runtime", "Install the ONNX"),
    "outbox damaged": Symptom(_corrupt_outbox, "outbox", "is damaged", "Restart the service"),
    "outbox is no database": Symptom(_no_database, "outbox", "is damaged", "Restart the service"),
    "outbox was set aside": Symptom(_set_aside, "outbox", "set aside", "Test the disk", "warning"),
    "service not installed": Symptom(
        _unit(LoadState="not-found", ActiveState="inactive"), "service", "is not installed", "make install", "warning"
    ),
    "service does not run": Symptom(
        _unit(ActiveState="failed", Result="signal"), "service", "does not run", "journalctl -u asd-agent"
    ),
    "service refused its configuration": Symptom(
        _unit(ActiveState="failed", Result="exit-code", ExecMainStatus="78"),
        "service",
        "refused its configuration",
        "asd-agent check",
    ),
    "service restarts": Symptom(_unit(NRestarts="7"), "service", "7 restarts", "journalctl", "warning"),
    "no watchdog": Symptom(_unit(WatchdogUSec="0"), "watchdog", "when it hangs", "WatchdogSec=60", "warning"),
    "no systemd": Symptom(_no_systemd, "service", "no systemd", "docs/install.md", "warning"),
    "broker away while the service runs": Symptom(
        _broker_away_in_service, "service broker", "nothing listens there", "See 'broker'"
    ),
    "a check hangs": Symptom(_hangs, "sound", "did not come to an end", "restart the box"),
}
