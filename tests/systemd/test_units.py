"""The unit says nothing that systemd does not understand, and opens no more than it must."""

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.rig

UNIT = Path(__file__).parents[2] / "systemd" / "asd-agent.service"
LARGEST_EXPOSURE = 15
"""In tenths, as `systemd-analyze security --threshold` wants it."""


def test_every_line_of_the_unit_is_understood(tmp_path: Path):
    # The program need not be installed where the unit is checked.
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/asd/bin/asd-agent", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_unit_is_exposed_no_more_than_stated():
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={LARGEST_EXPOSURE}", UNIT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_bad_configuration_does_not_restart_for_ever():
    assert "RestartPreventExitStatus=78" in UNIT.read_text()
