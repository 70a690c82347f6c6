"""The units hold nothing that systemd does not understand, and open no more than they must."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.rig

UNITS = Path(__file__).parents[2] / "systemd"
UNIT, GPU = UNITS / "asd-agent.service", UNITS / "asd-agent-gpu.conf"
WEB = UNITS / "asd-agent-web.service"
LARGEST_EXPOSURE = {UNIT: 16, WEB: 15}
"""In tenths, as `systemd-analyze security --threshold` wants it; with and without the drop-in for a GPU."""


@pytest.fixture(params=["cpu", "gpu"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit as it is installed, except that the program need not be there."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/asd/bin/asd-agent", "/bin/true"))
    if request.param == "gpu":
        (tmp_path / f"{UNIT.name}.d").mkdir()
        (tmp_path / f"{UNIT.name}.d" / "gpu.conf").write_text(GPU.read_text())
    return copy


def test_every_line_is_understood(unit: Path):
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_line_in_the_drop_in_that_is_not_understood_would_be_noticed(tmp_path: Path):
    (tmp_path / UNIT.name).write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / f"{UNIT.name}.d").mkdir()
    (tmp_path / f"{UNIT.name}.d" / "gpu.conf").write_text("[Service]\nDeviceAlow=char-drm rw\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / UNIT.name], capture_output=True, text=True, check=False
    )
    assert "gpu.conf:2: Unknown key 'DeviceAlow'" in done.stderr


@pytest.mark.parametrize("parts", [(UNIT,), (UNIT, GPU), (WEB,)], ids=["cpu", "gpu", "web"])
def test_no_more_is_exposed_than_stated(parts: tuple[Path, ...], tmp_path: Path):
    # Offline, `systemd-analyze security` reads no drop-ins: they are put together here.
    whole = tmp_path / UNIT.name
    whole.write_text("\n".join(part.read_text() for part in parts))
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={LARGEST_EXPOSURE[parts[0]]}", whole]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_gateway_may_lower_its_priority():
    filters = [line for line in UNIT.read_text().splitlines() if line.startswith("SystemCallFilter=")]
    denied = subprocess.run(
        ["systemd-analyze", "syscall-filter", "@resources"], capture_output=True, text=True, check=True
    )
    assert "setpriority" in denied.stdout.split()
    assert filters.index("SystemCallFilter=~@privileged @resources") < filters.index("SystemCallFilter=setpriority")


def test_the_pages_unit_is_understood_and_has_no_devices(tmp_path: Path):
    copy = tmp_path / WEB.name
    copy.write_text(WEB.read_text().replace("/opt/asd/bin/asd-agent", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = set(WEB.read_text().splitlines())
    assert {"User=asd-web", "Nice=10", "PrivateDevices=yes", "MemoryDenyWriteExecute=yes"} <= lines


@pytest.mark.parametrize("groups", sorted(UNITS.glob("*.sysusers")), ids=lambda p: p.stem)
def test_users_and_groups_can_be_made_on_a_blank_box(groups: Path, tmp_path: Path):
    (tmp_path / "etc").mkdir()
    both = [UNITS / "asd-agent.sysusers", groups]
    done = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", *both], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    members = {line.split(":")[0]: line.split(":")[3] for line in (tmp_path / "etc/group").read_text().splitlines()}
    wanted = {"audio", "video", "render"} if "gpu" in groups.stem else {"audio"}
    assert {group for group, names in members.items() if "asd" in names.split(",")} == wanted
    assert "asd:" in (tmp_path / "etc/passwd").read_text()
