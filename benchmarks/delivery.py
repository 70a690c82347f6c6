"""Delivery of alerts, every one counted, while agents and brokers are killed and networks cut, over TLS.

    python benchmarks/delivery.py --rounds 200

Each round commits alerts while one thing goes wrong: the agent is killed (SIGKILL), the broker stopped (SIGTERM, with
persistence) or killed (SIGKILL), the network cut, the outbox's disk full, or read-only or full at a start (a tmpfs of
8 MB, for root), a stored row changed, or the outbox's file deleted, emptied or its journal damaged. At the end every
number that the agent committed must have reached a subscriber, in order. A broker killed before it has stored may lose
what it had acknowledged, which shows as a gap in the numbers; a damaged file may lose what waited in it, which shows as
a gap and as an event.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from asd_agent.clock import SystemClock
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker, Listener
from rigs.proxy import Proxy
from rigs.publisher_process import AGENT, PublisherProcess, number_of

MONITORS = ("fan", "pump", "valve")
AGENT_KILLED, BROKER_STOPPED, NETWORK_CUT, BROKER_KILLED, DISK_FULL = (
    "agent killed",
    "broker stopped",
    "network cut",
    "broker killed",
    "disk full",
)
ROW_FLIPPED, DELETED, DELETED_DOWN, EMPTIED, JOURNAL_DAMAGED, READ_ONLY, FULL_AT_START = (
    "row flipped",
    "file deleted while running",
    "file deleted while down",
    "file emptied while down",
    "journal damaged while down",
    "read-only at start",
    "full at start",
)
LOSSES = (ROW_FLIPPED, DELETED_DOWN, EMPTIED, JOURNAL_DAMAGED)
"""Faults that may lose alerts; each loss must show as a gap and as an event."""
MOUNTED = (DISK_FULL, READ_ONLY, FULL_AT_START)
"""Faults that need a small disk of its own, and root."""
INCIDENTS = (
    AGENT_KILLED, BROKER_STOPPED, NETWORK_CUT, BROKER_KILLED, DISK_FULL,
    ROW_FLIPPED, DELETED, DELETED_DOWN, EMPTIED, JOURNAL_DAMAGED, READ_ONLY, FULL_AT_START,
)  # fmt: skip
COLUMNS = ("id", "topic", "payload", "vital", "stored_utc", "stored_monotonic", "boot_id", "sent_utc", "crc")
DISK_BYTES = 8_000_000


@dataclass
class Result:
    """Counts of one run.

    Attributes:
        committed: Alerts that the agent stored.
        received: Different ones that the subscriber received.
        from_memory: Of these, how many carried `durable: false`.
        duplicates: Copies beyond the first.
        missing: `monitor number` of each that was never received_numbers.
        reused: Numbers that came with two ids.
        events: Events of the outbox about itself, by name.
        rounds_with_losses: Rounds whose disk fault lost alerts.
        disordered: First copies that came after a later one of the same monitor.
        incidents: Rounds by what went wrong.
        missing_after: Missing ones by what went wrong in the round that committed them, or in the one after.
        seconds: Duration.
    """

    committed: int = 0
    received: int = 0
    from_memory: int = 0
    duplicates: int = 0
    missing: list[str] = field(default_factory=list)
    reused: int = 0
    events: Counter[str] = field(default_factory=Counter)
    rounds_with_losses: int = 0
    disordered: int = 0
    incidents: Counter[str] = field(default_factory=Counter)
    missing_after: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


class Rig:
    """A subscriber, a broker, a network and an agent."""

    def __init__(self, folder: Path, seed: int, *, tls: bool) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.broker = Broker(folder / "broker", tls=tls, persistent=True, log="error")
        self.proxy = Proxy(self.broker.port)
        self.settings = self.broker.settings(port=self.proxy.port, reconnect_seconds=(0.02, 0.1))
        self.listener = Listener(self.broker.settings(), f"asd/{AGENT}/#", persistent=True)
        self.outbox = folder / "state" / "outbox.db"
        self.round_of: dict[tuple[str, int], int] = {}
        self.round = 0
        self.newest = MONITORS[0], 0

    def run(self, rounds: int, incidents: tuple[str, ...]) -> Result:
        """All rounds, then a quiet end in which what is still stored is sent."""
        result, began = Result(), time.monotonic()
        plan: list[str] = []
        with (
            small_disk(self.outbox.parent, mounted=bool(set(MOUNTED) & set(incidents))),
            self.broker,
            self.proxy,
            self.listener,
        ):
            self.agent = PublisherProcess(self.settings, self.outbox, quiet=True)
            for self.round in range(rounds):
                plan.append(incidents[self.round % len(incidents)])
                result.incidents[plan[-1]] += 1
                self._commit(self.random.randint(1, 6))
                self._go_wrong(plan[-1])
                self._commit(self.random.randint(0, 3))
            self.listener.wait_subscribed()
            self.agent.stop()
            self._drain()
            self._count(result, plan)
        result.seconds = time.monotonic() - began
        return result

    def _commit(self, count: int) -> None:
        for _ in range(count):
            monitor = self.random.choice(MONITORS)
            number = self.agent.commit(monitor)
            self.round_of[monitor, number] = self.round
            self.newest = monitor, number

    def _wait_sent_from_memory(self) -> None:
        """Keep the disk full until what it refused has been received; once it has room, that is stored and durable."""
        if not self.agent.durable:
            self._wait_received(*self.newest)

    def _wait_received(self, monitor: str, number: int) -> None:
        self.listener.wait_where(Topics(AGENT).alert(monitor), lambda o: int(o["seq"]) == number)

    def _go_wrong(self, incident: str) -> None:
        time.sleep(self.random.uniform(0, 0.02))
        if incident == AGENT_KILLED:
            self.agent.ask(self.random.choice(MONITORS))
            time.sleep(self.random.uniform(0, 0.01))
            self.agent.kill()
            self.agent = PublisherProcess(self.settings, self.outbox, quiet=True)
        elif incident == DISK_FULL:
            fill(self.outbox.parent / "filler")
            self._commit(self.random.randint(1, 6))
            if self.random.random() < 0.5:
                self.proxy.cut()
                self._commit(self.random.randint(1, 4))
                self.proxy.mend()
            else:
                self._wait_sent_from_memory()
            (self.outbox.parent / "filler").unlink()
        elif incident in (ROW_FLIPPED, DELETED, DELETED_DOWN, EMPTIED, JOURNAL_DAMAGED):
            self._damage(incident)
        elif incident in (READ_ONLY, FULL_AT_START):
            self._refuse_at_start(incident)
        elif incident == NETWORK_CUT:
            self.proxy.cut()
            self._commit(self.random.randint(0, 4))
            self.proxy.mend()
        else:
            self.broker.stop() if incident == BROKER_STOPPED else self.broker.kill()
            self._commit(self.random.randint(0, 4))
            self.broker.start()
            self.listener.wait_subscribed()

    def _damage(self, incident: str) -> None:
        """Let alerts wait, and damage the file that they wait in; all before has been received, with its events."""
        self._commit(1)
        self._wait_received(*self.newest)
        self.proxy.cut()
        self._commit(self.random.randint(1, 4))
        files = [self.outbox.with_name(self.outbox.name + suffix) for suffix in ("", "-wal", "-shm")]
        if incident == DELETED:
            for path in files:
                path.unlink(missing_ok=True)
            self._commit(self.random.randint(0, 2))
            self.proxy.mend()
            return
        self.agent.kill()
        if incident == ROW_FLIPPED:
            self._flip()
        elif incident == JOURNAL_DAMAGED and files[1].exists():
            size = files[1].stat().st_size
            with files[1].open("r+b") as file:
                file.seek(self.random.randint(0, size))
                file.write(self.random.randbytes(size // 4))
        else:
            for path in files:
                path.unlink(missing_ok=True)
            if incident == EMPTIED:
                files[0].touch()
        self.agent = PublisherProcess(self.settings, self.outbox, quiet=True)
        self._commit(1)
        self.proxy.mend()

    def _flip(self) -> None:
        """Change one column of one row that waits, or that has been sent where none waits; its checksum stays."""
        db = sqlite3.connect(self.outbox)
        keys = [k for (k,) in db.execute("SELECT key FROM outbox ORDER BY sent_utc IS NULL DESC, key DESC LIMIT 4")]
        column, key = self.random.choice(COLUMNS), self.random.choice(keys)
        value: object = self.random.choice(["other", b"\xff\xfe", 7, 1e9])
        with db:
            db.execute(f"UPDATE OR IGNORE outbox SET {column}=? WHERE key=?", (value, key))
        db.close()

    def _refuse_at_start(self, incident: str) -> None:
        """Start on a disk that lets nothing be written, and give it back while the agent runs."""
        self.agent.stop()
        filler = self.outbox.parent / "filler"
        if incident == READ_ONLY:
            remount(self.outbox.parent, "ro")
        else:
            fill(filler)
        self.agent = PublisherProcess(self.settings, self.outbox, quiet=True)
        self._commit(self.random.randint(1, 4))
        self._wait_sent_from_memory()
        if incident == READ_ONLY:
            remount(self.outbox.parent, "rw")
        else:
            filler.unlink()
        self.listener.wait_for(Topics(AGENT).alert(self.newest[0]))

    def _drain(self) -> None:
        """Let another agent send what is left, until nothing is and the subscriber has received the last of it."""
        end = PublisherProcess(self.settings, self.outbox, quiet=True)
        last = {monitor: end.commit(monitor) for monitor in MONITORS}
        for monitor, number in last.items():
            self.round_of[monitor, number] = self.round
            self._wait_received(monitor, number)
        end.stop()

    def _numbers(self, topic: str) -> list[int]:
        return [int(o["seq"]) for o in self.listener.objects(topic)]

    def _count(self, result: Result, plan: list[str]) -> None:
        outbox = Outbox(self.outbox, SystemClock())
        waiting = outbox.depth()
        if waiting:
            raise AssertionError(f"{waiting} alerts still wait in the outbox")
        rounds: set[int] = set()
        for monitor in MONITORS:
            committed = number_of(outbox.load(monitor))
            received_numbers = self._numbers(Topics(AGENT).alert(monitor))
            first = list(dict.fromkeys(received_numbers))
            copies = {int(o["seq"]): o for o in reversed(self.listener.objects(Topics(AGENT).alert(monitor)))}
            ids = {(int(o["seq"]), o["id"]) for o in self.listener.objects(Topics(AGENT).alert(monitor))}
            result.reused += len(ids) - len(first)
            result.from_memory += sum(not o["durable"] for o in copies.values())
            result.committed += committed
            result.received += len(first)
            result.duplicates += len(received_numbers) - len(first)
            result.disordered += sum(b < a for a, b in pairwise(first))
            for number in sorted(set(range(1, committed + 1)) - set(first)):
                result.missing.append(f"{monitor} {number}")
                round_ = self.round_of.get((monitor, number), 0)
                near = plan[max(0, round_ - 1) : round_ + 2]
                lossy = [i for i in near if i in (BROKER_KILLED, *LOSSES)]
                result.missing_after[lossy[0] if lossy else plan[round_]] += 1
                if not lossy or lossy[0] != BROKER_KILLED:
                    rounds.add(round_)
        result.rounds_with_losses = len(rounds)
        result.events.update(str(o["event"]) for o in self.listener.objects(Topics(AGENT).event))
        outbox.close()


@contextmanager
def small_disk(folder: Path, *, mounted: bool) -> Iterator[None]:
    """A folder, on a small disk of its own where one is wanted."""
    folder.mkdir()
    if mounted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "asd", str(folder)], check=True)
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """Make the small disk read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file:
        for block in (1 << 16, 1 << 9, 1):
            try:
                while file.write(bytes(block)):
                    pass
            except OSError:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without TLS and password")
    parser.add_argument("--only", choices=INCIDENTS, action="append", help="what may go wrong; by default all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), arguments.seed, tls=not arguments.plain)
        possible = INCIDENTS if os.geteuid() == 0 else tuple(i for i in INCIDENTS if i not in MOUNTED)
        result = rig.run(arguments.rounds, tuple(arguments.only or possible))
    if arguments.json:
        print(json.dumps(vars(result)))
    else:
        for name, value in vars(result).items():
            print(f"{name:14} {dict(value) if isinstance(value, Counter) else value}")
    named = sum(result.events[e] for e in ("outbox_damaged", "outbox_reset"))
    unexplained = set(result.missing_after) - {BROKER_KILLED, *LOSSES}
    sys.exit(bool(result.disordered or result.reused or unexplained or named < result.rounds_with_losses))


if __name__ == "__main__":
    main()
