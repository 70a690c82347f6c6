"""Do alerts arrive? Agents and brokers are killed and networks cut, over TLS, and every alert is counted.

    python benchmarks/delivery.py --rounds 200

Each round commits alerts while one thing goes wrong: the agent is killed (SIGKILL), the broker stopped (SIGTERM, with
persistence) or killed (SIGKILL), the network cut, or the outbox's disk full (a tmpfs of 8 MB, for root). At the end
every number that the agent committed must have reached a subscriber, in order; a broker killed before it has stored
may lose what it had acknowledged, which shows as a gap in the numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import random
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
from rigs.publisher_process import AGENT, PublisherProcess

MONITORS = ("fan", "pump", "valve")
AGENT_KILLED, BROKER_STOPPED, NETWORK_CUT, BROKER_KILLED, DISK_FULL = (
    "agent killed",
    "broker stopped",
    "network cut",
    "broker killed",
    "disk full",
)
INCIDENTS = (AGENT_KILLED, BROKER_STOPPED, NETWORK_CUT, BROKER_KILLED, DISK_FULL)
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
        self.listener = Listener(self.broker.settings(), f"asd/{AGENT}/monitor/+/alert", persistent=True)
        self.outbox = folder / "state" / "outbox.db"
        self.round_of: dict[tuple[str, int], int] = {}
        self.round = 0
        self.newest = MONITORS[0], 0

    def run(self, rounds: int, incidents: tuple[str, ...]) -> Result:
        """All rounds, then a quiet end in which what is still stored is sent."""
        result, began = Result(), time.monotonic()
        plan: list[str] = []
        with small_disk(self.outbox.parent, mounted=DISK_FULL in incidents), self.broker, self.proxy, self.listener:
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
        elif incident == NETWORK_CUT:
            self.proxy.cut()
            self._commit(self.random.randint(0, 4))
            self.proxy.mend()
        else:
            self.broker.stop() if incident == BROKER_STOPPED else self.broker.kill()
            self._commit(self.random.randint(0, 4))
            self.broker.start()
            self.listener.wait_subscribed()

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
        for monitor in MONITORS:
            committed = int(outbox.load(monitor) or 0)
            received_numbers = self._numbers(Topics(AGENT).alert(monitor))
            first = list(dict.fromkeys(received_numbers))
            copies = {int(o["seq"]): o for o in reversed(self.listener.objects(Topics(AGENT).alert(monitor)))}
            result.from_memory += sum(not o["durable"] for o in copies.values())
            result.committed += committed
            result.received += len(first)
            result.duplicates += len(received_numbers) - len(first)
            result.disordered += sum(b < a for a, b in pairwise(first))
            for number in sorted(set(range(1, committed + 1)) - set(first)):
                result.missing.append(f"{monitor} {number}")
                round_ = self.round_of.get((monitor, number), 0)
                near = plan[round_ : round_ + 2]
                result.missing_after[BROKER_KILLED if BROKER_KILLED in near else near[0]] += 1
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
        possible = INCIDENTS if os.geteuid() == 0 else tuple(i for i in INCIDENTS if i != DISK_FULL)
        result = rig.run(arguments.rounds, tuple(arguments.only or possible))
    if arguments.json:
        print(json.dumps(vars(result)))
    else:
        for name, value in vars(result).items():
            print(f"{name:14} {dict(value) if isinstance(value, Counter) else value}")
    sys.exit(bool(result.disordered or set(result.missing_after) - {BROKER_KILLED}))


if __name__ == "__main__":
    main()
