"""No capture child outlives the agent, however the agent ends."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asd_agent.audio.process import spawn
from rigs.waiting import PATIENCE

_AGENT = """
import sys, time
from asd_agent.audio.source import CaptureSource
from asd_agent.config.sources import FileSettings

source = CaptureSource("press", FileSettings(kind="file", path=sys.argv[1], speed=0.1))
source.start()
while source.state != "healthy":
    source.wait(10)
print(source._child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "hanging"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "terminated"])
def test_a_child_dies_with_the_agent(recording: Path, end: signal.Signals, stopped: bool):
    agent = subprocess.Popen(
        [sys.executable, "-c", _AGENT, str(recording)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        child = os.pidfd_open(int(agent.stdout.readline()))
        if stopped:
            signal.pidfd_send_signal(child, signal.SIGSTOP)
        agent.send_signal(end)
        agent.wait(PATIENCE)
        gone, _, _ = select.select([child], [], [], PATIENCE)
        assert gone == [child]
    finally:
        agent.kill()
        agent.wait()
        agent.stdin.close()
        agent.stdout.close()


def test_a_child_ends_with_the_pipe_that_its_parent_holds(recording: Path):
    child = spawn(
        {
            "capture": "asd_agent.audio.player",
            "settings": {"path": str(recording), "channels": [0], "speed": 0.001, "loop": True},
        }
    )
    child.stdin.close()
    assert child.wait(PATIENCE) == 1
    child.stdout.close()


def test_a_child_whose_parent_is_already_gone_does_not_begin():
    child = subprocess.Popen(
        [sys.executable, "-m", "asd_agent.audio.child", '{"parent": 1, "list": {}}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    said = child.stdout.read()
    child.stdin.close()
    child.stdout.close()
    assert (said, child.wait(PATIENCE)) == (b"", 1)
