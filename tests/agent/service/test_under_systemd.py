"""The service under a real systemd: ready, hung, reloaded, stopped, refused, and without its microphone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rigs.agent import write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, write_wav
from rigs.microphone import DEVICE, VirtualMicrophone
from rigs.user_manager import NAME, UserManager

pytestmark = pytest.mark.rig

SOON = ("RestartSec=200ms",)
WATCHDOG_SECONDS = 8.0
"""Long enough for a service that works on a busy machine."""
WATCHDOG = (*SOON, f"WatchdogSec={WATCHDOG_SECONDS}", "TimeoutStopSec=5")
PULLED_SECONDS = float(os.environ.get("ASD_PULLED_SECONDS", 2 * WATCHDOG_SECONDS))
"""Time without the microphone: longer than the shortened watchdog waits, or as the environment asks."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name: a socket's path may not exceed 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="asd-um-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def looping(folder: Path, seed: int, *, knocks: bool = False) -> dict[str, object]:
    path = write_wav(folder / f"{seed}.wav", hum(60, seed, knocks=knocks))
    return {"kind": "file", "path": str(path), "speed": 10, "loop": True}


def test_it_is_started_when_it_listens_and_says_how_it_fares(bundle_path: Path, folder: Path):
    config = write_config(folder, bundle_path, looping(folder, 1), 1)
    with UserManager(folder, config) as manager:
        manager.systemctl("start", NAME)  # returns at READY=1
        manager.wait_said("listening: sources 1, monitors 1")  # written moments after READY=1
        assert manager.show("ActiveState", "SubState", "NotifyAccess") == {
            "ActiveState": "active",
            "SubState": "running",
            "NotifyAccess": "main",
        }
        assert "broker not connected" in manager.show("StatusText")["StatusText"]
        manager.systemctl("stop", NAME)
        # Not "timeout": it has ended before TimeoutStopSec.
        assert manager.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}


def test_a_service_that_hangs_is_ended_by_the_watchdog_and_alarm_and_outbox_go_on(bundle_path: Path, folder: Path):
    sound = np.concatenate([hum(40, 61), hum(60, 62, knocks=True)])
    faulty = {"kind": "file", "path": str(write_wav(folder / "a.wav", sound)), "speed": 10, "loop": True}
    broker = Broker(folder)
    config = write_config(folder, bundle_path, faulty, broker.port, alarm={"clear_after": 1000})
    with UserManager(folder, config, changes=WATCHDOG) as manager:
        manager.systemctl("start", NAME)
        manager.wait_said("monitor m: raised")
        assert manager.show("NRestarts") == {"NRestarts": "0"}
        manager.signal(signal.SIGSTOP)  # as a scorer that never returns: nothing feeds the watchdog any more
        manager.wait(NRestarts="1", SubState="running")
        manager.wait_said("Fatal Python error: Aborted")  # the watchdog's signal; then where its threads were
        # Stopped threads run on while the dump is written, so which stacks it can read is chance.
        manager.wait_said("(most recent call first)")
        with broker, Listener(broker.settings(), "asd/#") as heard:
            heard.wait_for("asd/box/monitor/m/alert", 1)
            state = heard.wait_for("asd/box/monitor/m/state", 1)[-1]
            (raised,) = [a for a in heard.objects("asd/box/monitor/m/alert") if a["event"] == "raised"]
        assert (raised["seq"], raised["late"]) == (1, True)
        assert json.loads(state)["state"] == "active"
        assert json.loads(state)["alarm_id"] == raised["alarm_id"]
        assert manager.said.count("monitor m: raised") == 1  # the standing alarm went on; none was raised anew


def test_a_configuration_that_cannot_be_used_ends_it_with_78_and_no_second_try(bundle_path: Path, folder: Path):
    config = write_config(folder, bundle_path, looping(folder, 3), 1, hop_secnds=5)
    with UserManager(folder, config, changes=SOON) as manager:
        manager.systemctl("start", NAME, check=False)
        # Before a restart the state is "activating" and then no longer "failed".
        manager.wait(ActiveState="failed", SubState="failed", ExecMainStatus="78")
        assert manager.show("Result", "NRestarts") == {"Result": "exit-code", "NRestarts": "0"}
        assert manager.said.count("Did you mean 'hop_seconds'?") == 1


def test_a_service_that_is_killed_comes_back(bundle_path: Path, folder: Path):
    config = write_config(folder, bundle_path, looping(folder, 4), 1)
    with UserManager(folder, config, changes=SOON) as manager:
        manager.systemctl("start", NAME)
        manager.signal(signal.SIGKILL)
        manager.wait(NRestarts="1", SubState="running")


def test_a_pulled_microphone_brings_no_restart_and_a_line_for_each_reason(bundle_path: Path, folder: Path):
    normal = write_wav(folder / "normal.wav", hum(30, 5))
    with VirtualMicrophone() as microphone:
        config = write_config(folder, bundle_path, {"kind": "microphone", "device": DEVICE}, 1, hop_seconds=1)
        with UserManager(folder, config, microphone.environment, WATCHDOG) as manager:
            manager.systemctl("start", NAME)
            microphone.play(normal)
            manager.wait_said("source sound is healthy")
            microphone.unplug()
            manager.wait_said("source sound is restarting")
            until = time.monotonic() + PULLED_SECONDS
            while time.monotonic() < until:
                assert manager.show("NRestarts", "SubState") == {"NRestarts": "0", "SubState": "running"}
                time.sleep(0.5)
            microphone.plug()
            manager.wait_said("source sound is healthy", times=2)
            assert manager.show("NRestarts") == {"NRestarts": "0"}
            lines = [line for line in manager.said.splitlines() if "source sound is" in line]
    # Up, lost with the reasons it was seen to have, back: however long it was away and however often it was tried.
    assert len(lines) <= 6, lines


def test_a_reload_takes_a_good_configuration_and_leaves_everything_at_a_bad_one(bundle_path: Path, folder: Path):
    source = looping(folder, 6)
    with UserManager(folder, write_config(folder, bundle_path, source, 1), changes=WATCHDOG) as manager:
        manager.systemctl("start", NAME)
        process = manager.show("MainPID")
        config = write_config(folder, bundle_path, source, 1, hop_seconds=4)
        manager.systemctl("reload", NAME)
        manager.wait_said("reloaded: ")
        manager.wait(ActiveState="active", SubState="running")
        config.write_text(config.read_text().replace("hop_seconds", "hop_secnds"))
        manager.systemctl("reload", NAME)
        manager.wait_said("Did you mean 'hop_seconds'?")
        manager.wait(ActiveState="active", SubState="running", **process, NRestarts="0")
        assert manager.said.count("reloaded: ") == 2  # one of them "not reloaded: …"
        assert "not reloaded: " in manager.said
