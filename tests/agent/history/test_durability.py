"""The history on a bad day: killed while it writes, or on a full disk; what was stored before stays readable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asd_agent.clock import SystemClock
from asd_agent.history.reader import open_history
from asd_agent.history.store import Limits
from asd_agent.history.writer import HistoryWriter
from rigs.history import START, windows
from rigs.waiting import wait_until

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from asd_agent.history.store import Batch, HistoryStore
sys.path.insert(0, sys.argv[2])
from rigs.history import START, named, windows
store = HistoryStore(Path(sys.argv[1]))
for batch in range(100_000):
    start = START + 60.0 * batch
    store.commit(Batch(windows=named("fan", windows([1.0] * 12, start=start, first=12 * batch))), start + 60.0)
    print(batch, flush=True)
"""


def test_a_kill_while_it_writes_loses_no_commit_and_damages_nothing(tmp_path):
    path = tmp_path / "history.sqlite3"
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(Path(__file__).parents[2])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        done = -1
        for line in child.stdout:
            done = int(line)
            if done >= 130:  # two hours have been packed by then
                child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    with open_history(path) as history:
        block = history.windows("fan", START - 10, START + 1e9)
    assert len(block) >= 12 * (done + 1)
    assert np.all(np.diff(block.rows["index"]) == 1)


@pytest.mark.rig
def test_a_full_disk_is_a_fault_that_heals_and_what_waits_is_stored_then(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], check=True)
    try:
        path = disk / "history.sqlite3"
        one = HistoryWriter(path, Limits(window_days=1e5, minute_days=1e5), SystemClock(), 0.02, retry_seconds=0.05)
        one.start()
        one.add_window("fan", windows([1.0])[0])
        wait_until(lambda: one.stats.commits == 1, "the first window is not stored")
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(os.urandom(4096))
            except OSError:
                pass
        rng = np.random.default_rng(0)
        given = windows(rng.random(5000).tolist(), start=START + 5.0, first=1)
        for window in given:
            one.add_window("fan", window)
        wait_until(lambda: "cannot be written" in one.stats.fault, "the full disk is no fault")
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        wait_until(lambda: one.stats.fault == "" and one.stats.waiting == 0, lambda: str(one.stats))
        assert one.stop(60.0)
        assert one.stats.lost == 0
        with open_history(path) as history:
            assert len(history.windows("fan", START - 10, START + 1e6)) == 5001
    finally:
        subprocess.run(["umount", str(disk)], check=False)
