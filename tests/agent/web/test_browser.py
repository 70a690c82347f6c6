"""The page in Chromium, behind a proxy; the steps are in tests/web_browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from asd_agent.audio.recording import CLIP_SAMPLES, ClipFolder
from asd_agent.demo.broker import free_port
from asd_agent.web.users import UserFile
from rigs.agent import Agent, running
from rigs.bundles import hum, write_wav
from rigs.microphone import VirtualMicrophone
from rigs.page import PageBox, page_box, page_process
from rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.rig

FOLDER = Path(__file__).parents[2] / "web_browser"
JOB_PATIENCE = PATIENCE * 1000
"""Milliseconds: jobs have a low priority, and wait for whatever else the machine computes."""
PAGES_OF_ROLES = {"vera": "viewer", "otto": "operator", "carl": "admin"}


@pytest.fixture(scope="module")
def node() -> str:
    """Node with the scenario's packages; the make target installs them too."""
    found = shutil.which("node")
    assert found, "node is missing: scripts/install-system-packages"
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=FOLDER, check=True, timeout=PATIENCE, capture_output=True)
    return found


def test_people_use_the_page_behind_a_prefix(node: str, tmp_path: Path, bundle_path: Path):
    steps = []
    with page_box(tmp_path, bundle_path, trusted_proxies=["127.0.0.1"]) as box:
        for name, role in PAGES_OF_ROLES.items():
            UserFile(tmp_path / "users.json").put(name, f"secret-{name}", role)  # type: ignore[arg-type]
        with page_process(box):
            for step, answer in scenario_steps(node, "scenario.mjs", box.port, prefix="/prefix"):
                steps.append(step)
                if step["step"] == "kill the service":
                    box.agent.kill()
                    answer()
                if step["step"] == "start the service":
                    box.agent = Agent(box.config)
                    answer()
    assert steps[-1] == {"step": "end", "troubles": []}, steps


@pytest.mark.parametrize(("prefix", "width"), [("/prefix", 1280), ("", 390)])
def test_a_box_without_machines_gets_one_without_a_terminal(
    node: str, tmp_path: Path, made_bundle: Path, prefix: str, width: int
):
    steps, sound, bundle = [], tmp_path / "sound.wav", tmp_path / "another.tar"
    write_wav(sound, hum(240, 5))
    with tarfile.open(bundle, "w") as archive:
        archive.add(made_bundle, "hum")
    with VirtualMicrophone() as microphone, empty_box(tmp_path, microphone) as box, page_process(box):
        microphone.play(sound)
        order = {"prefix": prefix, "width": width, "patience": JOB_PATIENCE, "bundle": str(bundle)}
        for step, answer in scenario_steps(node, "first_run.mjs", box.port, **order):
            steps.append(step)
            if step["step"] == "put earlier clips there":
                earlier_clips(box.state / "new-machine" / "sound")
                answer()
    assert steps[-1] == {"step": "end", "troubles": []}, steps
    assert not (box.state / "new-machine").exists()
    assert box.config.read_text().startswith("# The comments of a person stay.\n")


@contextmanager
def empty_box(folder: Path, microphone: VirtualMicrophone) -> Iterator[PageBox]:
    """A service without machines that could open the microphone, and an admin and an operator of its page."""
    port, state = free_port(), folder / "state"
    settings = {
        "agent": {"name": "box"},
        "mqtt": {"host": "127.0.0.1", "port": free_port(), "reconnect_seconds": [30, 60]},
        "paths": {"state": str(state), "bundles": str(state / "bundles")},
        "web": {"port": port, "users": str(folder / "users.json"), "trusted_proxies": ["127.0.0.1"]},
    }
    config = folder / "agent.yaml"
    config.write_text("# The comments of a person stay.\n" + yaml.safe_dump(settings))
    for name in ("otto", "carl"):
        UserFile(folder / "users.json").put(name, f"secret-{name}", PAGES_OF_ROLES[name])  # type: ignore[arg-type]
    with running(config, microphone.environment) as agent:
        agent.wait_log("listening")
        box = PageBox(config, state, agent, port)
        wait_until(box.socket.exists, "no gateway")
        yield box


def earlier_clips(folder: Path) -> None:
    """Clips of an earlier recording: all but the last one of twelve."""
    clips, sound = ClipFolder(folder, "press", "00", "source", "20270115T0800"), hum(120, 6)
    there = clips.numbers()
    for number in range(len(there), 11):
        write_wav(clips.path(number), sound[number * CLIP_SAMPLES : (number + 1) * CLIP_SAMPLES])


def scenario_steps(
    node: str, script: str, port: int, **order: Any
) -> Iterator[tuple[dict[str, Any], Callable[[], None]]]:
    """Steps of a scenario as it reports them, each with the function that answers it."""
    scenario = subprocess.Popen([node, script], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert scenario.stdin is not None
    assert scenario.stdout is not None
    page, chromium = f"http://127.0.0.1:{port}/", shutil.which("chromium")
    tell(scenario, page=page, chromium=chromium, axe=True, **{"patience": PATIENCE * 500, **order})
    for line in scenario.stdout:
        yield json.loads(line), lambda: tell(scenario)
    scenario.stdin.close()
    scenario.stdout.close()
    scenario.wait(PATIENCE)


def tell(scenario: subprocess.Popen[str], **fields: Any) -> None:
    """Send one line to the scenario."""
    assert scenario.stdin is not None
    scenario.stdin.write(json.dumps(fields) + "\n")
    scenario.stdin.flush()
