"""`make install` and what follows it, below another root: nothing of a person's is lost, nor a version that works.

The libraries come from the environment of the tests instead of the network; everything else is as on a box.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from rigs.waiting import PATIENCE

pytestmark = pytest.mark.rig

ROOT = Path(__file__).parents[2]


class Box:
    """A folder that is installed into."""

    def __init__(self, root: Path, wheel: Path) -> None:
        self.root, self.wheel, self.prefix = root, wheel, root / "opt" / "asd"
        self.config = root / "etc" / "asd-agent" / "agent.yaml"
        self.units = root / "etc" / "systemd" / "system"
        self.bundles = root / "var" / "lib" / "asd-agent" / "bundles"

    def make(self, verb: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """`scripts/install-agent VERB`, as the Makefile calls it."""
        libraries = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PYTHONPATH": sysconfig.get_path("purelib")}
        own = {"ROOT": str(self.root), "PYTHON": sys.executable, "FROM": str(self.wheel), **libraries, **settings}
        command = [ROOT / "scripts" / "install-agent", verb]
        return subprocess.run(
            command, env={**os.environ, **own}, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def in_use(self, link: str = "current") -> str:
        return str((self.prefix / link).readlink())

    def releases(self) -> list[str]:
        return sorted(p.name for p in (self.prefix / "releases").iterdir())

    def agent(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")}
        return subprocess.run(
            [self.root / "usr" / "local" / "bin" / "asd-agent", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    """Installed once; each test leaves it able to run."""
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", wheels, ROOT], check=True, timeout=PATIENCE
    )
    box = Box(tmp_path_factory.mktemp("box"), next(wheels.glob("asd_edge-*.whl")))
    done = box.make("install")
    assert done.returncode == 0, done.stdout + done.stderr
    return box


def test_what_is_installed_can_start_at_once(box: Box):
    done = box.agent("check", "-c", str(box.config))
    assert done.returncode == 0, done.stderr
    assert str(box.prefix / "bin" / "asd-agent") in (box.units / "asd-agent.service").read_text()
    assert not (box.units / "asd-agent.service.d").exists()  # no GPU was asked for
    assert (box.bundles / "demo-fan" / "manifest.json").exists()


def test_the_pages_unit_is_there_where_its_extra_is_chosen(box: Box):
    page = box.units / "asd-agent-web.service"
    assert not page.exists()
    before = box.in_use()
    done = box.make("upgrade", EXTRAS="metrics,calibrate,web")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(box.prefix / "bin" / "asd-agent") in page.read_text()
    assert box.make("rollback").returncode == 0
    assert box.in_use() == before
    assert not page.exists()


def test_an_upgrade_leaves_configuration_and_bundles_alone_and_keeps_the_version_before(box: Box):
    mine = box.config.read_text().replace("my-first-box", "hall-3-box-1")
    box.config.write_text(mine)
    (box.bundles / "demo-fan" / "mine.txt").write_text("mine")
    before = box.in_use()
    done = box.make("upgrade")
    (box.bundles / "demo-fan" / "mine.txt").unlink(missing_ok=False)
    # A file that the manifest does not list makes the bundle unusable, and that version was refused for it.
    assert done.returncode == 1
    assert "mine.txt" in done.stderr
    assert box.in_use() == before

    done = box.make("upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    assert box.config.read_text() == mine
    assert "my-first-box" in box.config.with_name("agent.yaml.example").read_text()
    assert box.in_use("previous") == before
    assert box.in_use() != before
    assert len(box.releases()) == 2


def test_a_version_that_refuses_the_configuration_is_not_put_in_use(box: Box):
    before, releases, mine = box.in_use(), box.releases(), box.config.read_text()
    box.config.write_text(mine + "\nnonsense: 1\n")
    done = box.make("upgrade")
    box.config.write_text(mine)
    assert done.returncode == 1
    assert "nonsense" in done.stderr
    assert f"{before} stays in use" in done.stderr
    assert (box.in_use(), box.releases()) == (before, releases)
    assert box.agent("check", "-c", str(box.config)).returncode == 0


def test_a_rollback_goes_to_the_version_before_and_back(box: Box):
    if not (box.prefix / "previous").is_symlink():
        assert box.make("upgrade").returncode == 0
    newest, before = box.in_use(), box.in_use("previous")
    for wanted in (before, newest):
        done = box.make("rollback")
        assert done.returncode == 0, done.stderr
        assert box.in_use() == wanted
        assert box.agent("--help").returncode == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"RUNTIME": "gpu"}, "none of auto, cpu, cuda, or the path of a wheel"),
        ({"RUNTIME": "/nowhere/onnxruntime_gpu-1-cp310.whl"}, "no such file"),
        ({"PYTHON": "python-none"}, "there is no python-none"),
    ],
)
def test_what_cannot_be_is_said_before_anything_changes(box: Box, settings: dict[str, str], words: str):
    releases = box.releases()
    done = box.make("install", **settings)
    assert done.returncode == 1
    assert words in done.stderr
    assert box.releases() == releases


def test_removal_leaves_configuration_and_state_unless_told(box: Box):
    done = box.make("uninstall")
    assert done.returncode == 0, done.stderr
    assert not box.prefix.exists()
    assert not (box.units / "asd-agent.service").exists()
    assert not (box.root / "usr" / "local" / "bin" / "asd-agent").is_symlink()
    assert box.config.exists()
    assert box.bundles.exists()
    assert box.make("uninstall", PURGE="yes").returncode == 0
    assert not box.config.exists()
    assert not box.bundles.exists()
