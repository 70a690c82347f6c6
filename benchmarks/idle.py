"""Idle cost: processor time of the service with 1 and with 16 monitors whose machines are stopped, and commits an hour.

    python benchmarks/idle.py --minutes 5

Both services run at the same time, so that a busy machine slows both; each has one source and a broker. The gates of
all monitors are closed, so nothing is scored. Commits are counted by SQLite's data_version, five times a second.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav

GATE = {"level_above_dbfs": -1}


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Commits:
    """Counts the commits of other connections to a database."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.count, self._last = 0, self._version()

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def look(self) -> None:
        version = self._version()
        self.count += version != self._last
        self._last = version


def configure(folder: Path, bundle: Path, monitors: int, port: int) -> Path:
    source = {"kind": "file", "path": str(folder / "hum.wav"), "loop": True}
    path = write_config(folder, bundle, source, port, active_when=GATE)
    settings = yaml.safe_load(path.read_text())
    settings["monitors"] |= {f"m{i}": settings["monitors"]["m"] for i in range(monitors - 1)}
    path.write_text(yaml.safe_dump(settings))
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    seconds = 60.0 * parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        bundle = make_bundle(Path(place) / "bundle").path
        agents, databases = {}, {}
        for monitors in (1, 16):
            folder = Path(place) / str(monitors)
            write_wav(folder / "hum.wav", hum(30, 3))
            broker = stack.enter_context(Broker(folder / "broker"))
            config = configure(folder, bundle, monitors, broker.port)
            listener = stack.enter_context(Listener(broker.settings(), "asd/#"))
            agents[monitors] = stack.enter_context(running(config))
            listener.wait_where("asd/box/monitor/m/state", lambda s: s["suspended"])
            databases[monitors] = folder / "state"
        time.sleep(20.0)  # what a start costs has been paid
        commits = {
            (monitors, file): Commits(databases[monitors] / file)
            for monitors in agents
            for file in ("outbox.sqlite3", "history.sqlite3")
        }
        before = {n: processor_seconds(a.process.pid) for n, a in agents.items()}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for one in commits.values():
                one.look()
            time.sleep(0.2)
        used = {n: processor_seconds(a.process.pid) - before[n] for n, a in agents.items()}
    print(f"{'monitors':>8}  {'processor':>10}  {'outbox':>14}  {'history':>14}")
    for n, spent in used.items():
        outbox, history = (commits[n, f].count * 3600 / seconds for f in ("outbox.sqlite3", "history.sqlite3"))
        print(f"{n:>8}  {1000 * spent / seconds:>6.2f} ms/s  {outbox:>7.0f} an hour  {history:>7.0f} an hour")
    print(f"ratio {used[16] / used[1]:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
