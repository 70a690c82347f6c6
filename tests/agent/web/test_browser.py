"""The page in Chromium, behind a proxy with a prefix; the steps are in tests/web_browser/scenario.mjs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from asd_agent.web.users import UserFile
from rigs.agent import Agent
from rigs.page import page_box, page_process
from rigs.waiting import PATIENCE

pytestmark = pytest.mark.rig

FOLDER = Path(__file__).parents[2] / "web_browser"
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
            scenario = subprocess.Popen(
                [node, "scenario.mjs"], cwd=FOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert scenario.stdin is not None
            assert scenario.stdout is not None
            tell(
                scenario,
                page=f"http://127.0.0.1:{box.port}/",
                chromium=shutil.which("chromium"),
                axe=True,
                patience=PATIENCE * 500,
            )
            for line in scenario.stdout:
                step = json.loads(line)
                steps.append(step)
                if step["step"] == "kill the service":
                    box.agent.kill()
                    tell(scenario)
                if step["step"] == "start the service":
                    box.agent = Agent(box.config)
                    tell(scenario)
            scenario.stdin.close()
            scenario.stdout.close()
            scenario.wait(PATIENCE)
    assert steps[-1] == {"step": "end", "troubles": []}, steps


def tell(scenario: subprocess.Popen[str], **fields: Any) -> None:
    """Send one line to the scenario."""
    assert scenario.stdin is not None
    scenario.stdin.write(json.dumps(fields) + "\n")
    scenario.stdin.flush()
