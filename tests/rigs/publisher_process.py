"""An agent reduced to its outbox and publisher, to be killed: commits an alert on request.

Run as `python -m rigs.publisher_process SETTINGS_JSON OUTBOX_FILE`; each line `MONITOR` on its standard input commits
that monitor's next number, answered by `MONITOR NUMBER disk`, or `MONITOR NUMBER memory` where the disk is full. The
line `stop` ends it cleanly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from asd_agent.clock import SystemClock
from asd_agent.config.model import MqttSettings
from asd_agent.mqtt.publisher import Publisher
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox
from rigs.waiting import PATIENCE

AGENT = "box"


def message(publisher: Publisher, monitor: str, number: int) -> Message:
    """An alert that carries its number."""
    payload = {"id": f"{monitor}-{number}-{uuid.uuid4()}", "seq": number, "late": False, "durable": True}
    return Message(str(payload["id"]), publisher.topics.alert(monitor), json.dumps(payload), vital=True)


def number_of(state: str | None) -> int:
    """The number in a stored state; 0 in none."""
    return int(json.loads(state)["seq"]) if state else 0


def publish_notices(publisher: Publisher, outbox: Outbox) -> None:
    """Publish the notices of the outbox about itself, as the service does."""
    for notice in outbox.notices():
        id_ = str(uuid.uuid4())
        payload = {"id": id_, "event": notice.event, "count": notice.count, "late": False, "durable": True}
        outbox.append([Message(id_, publisher.topics.event, json.dumps(payload), vital=True)])


def main(settings: str, path: str) -> None:
    """Obey standard input."""
    clock = SystemClock()
    outbox = Outbox(Path(path), clock)
    publisher = Publisher(MqttSettings.model_validate_json(settings), AGENT, outbox, clock)
    publish_notices(publisher, outbox)
    publisher.start()
    for line in sys.stdin:
        monitor = line.strip()
        if monitor == "stop":
            break
        number = number_of(outbox.load(monitor)) + 1
        state = json.dumps({"seq": number})
        place = "disk" if outbox.commit(monitor, state, [message(publisher, monitor, number)]) else "memory"
        publish_notices(publisher, outbox)
        publisher.wake()
        sys.stdout.write(f"{monitor} {number} {place}\n")
        sys.stdout.flush()
    publisher.stop(10)
    outbox.close()


class PublisherProcess:
    """Starts and ends it.

    Args:
        settings: The broker.
        path: Its outbox.
        quiet: Let what it logs vanish.

    Attributes:
        durable: Whether the newest answer said that its alert lies on disk.
    """

    def __init__(self, settings: MqttSettings, path: Path, *, quiet: bool = False) -> None:
        self.durable = True
        path_of_modules = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path_of_modules}
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-m", "rigs.publisher_process", settings.model_dump_json(), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            env=environment,
        )

    def commit(self, monitor: str) -> int:
        """Have an alert committed; returns its number."""
        self.ask(monitor)
        return self.answer()

    def ask(self, monitor: str) -> None:
        """The first half of `commit`."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{monitor}\n")
        self.process.stdin.flush()

    def answer(self) -> int:
        """The second half."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the publisher ended with {self.process.wait(PATIENCE)}"
        _, number, place = line.split()
        self.durable = place == "disk"
        return int(number)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._end()

    def stop(self) -> None:
        """A clean end."""
        self.ask("stop")
        assert self.process.wait(PATIENCE) == 0
        self._end()

    def _end(self) -> None:
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        self.process.wait()
        watchdog.cancel()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    main(*arguments)
