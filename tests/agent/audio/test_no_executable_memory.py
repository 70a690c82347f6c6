"""A process whose memory is never writable and executable, as systemd's MemoryDenyWriteExecute= makes the service's.

The kernel's refusal (PR_SET_MDWE, Linux 6.3) is stricter than the system call filter of an older systemd.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.evidence.store import list_evidence
from rigs.agent import write_config
from rigs.broker import Broker
from rigs.bundles import hum
from rigs.waiting import PATIENCE

DENY = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0):
    sys.exit(100 + ctypes.get_errno())
"""
"""It is handed down to child processes."""
WORK = """
import numpy as np
from pathlib import Path
from asd_agent.audio.files import mono_blocks
from asd_agent.evidence.clip import to_flac
path = Path(sys.argv[1])
print(sum(len(block) for block in mono_blocks(path)))
path.write_bytes(to_flac(np.zeros(1600, np.float32)))
print(sum(len(block) for block in mono_blocks(path)))
"""
RUN = """
from asd_agent.cli import main
sys.argv = ["asd-agent", "run", "-c", sys.argv[1]]
main()
"""


def denied(program: str, argument: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", DENY + program, str(argument)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode == 100 + errno.EINVAL:
        pytest.skip("the kernel is older than 6.3")
    return done


@pytest.mark.parametrize("declared", [True, False])
def test_flac_is_read_and_written(tmp_path: Path, declared: bool):
    path = tmp_path / "sound.flac"
    soundfile.write(path, hum(2, 1), 16_000)
    if not declared:
        raw = bytearray(path.read_bytes())
        raw[21] &= 0xF0
        raw[22:26] = bytes(4)
        path.write_bytes(raw)
    done = denied(WORK, path)
    assert done.stdout.split() == ["32000", "1600"], done.stderr


@pytest.mark.rig
def test_the_service_hears_a_fault_and_stores_its_sound(bundle_path: Path, tmp_path: Path):
    sound = tmp_path / "fault.flac"
    soundfile.write(sound, np.concatenate([hum(20, 1), hum(60, 2, knocks=True), hum(60, 3)]), 16_000)
    with Broker(tmp_path / "broker") as broker:
        config = write_config(
            tmp_path, bundle_path, {"kind": "file", "path": str(sound), "speed": 8}, broker.port, hop_seconds=5
        )
        done = denied(RUN, config)  # it ends with the recording
    assert done.returncode == 0, done.stderr
    assert "raised" in done.stderr
    stored = list_evidence(tmp_path / "state" / "evidence")
    assert [path.name for one in stored for path in one.path.glob("*.flac")], done.stderr
