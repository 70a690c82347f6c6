"""Alarms on their way to people: 100 through MQTT, a mail server and a push server, each of them away in turn.

    python benchmarks/notifications.py --alarms 100 --away 60

A real `asd-agent run` is asked for test alarms through its control socket. Meanwhile the broker, the mail server and
the push server are stopped for a minute each, and the service is killed (SIGKILL) once in each outage. At the end every
alarm must have arrived everywhere once, by its id, and those that waited must be marked late.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import yaml

from asd_agent.control_client import SOCKET_NAME, ControlError, ask
from rigs.agent import Agent, write_config
from rigs.broker import Broker, Listener
from rigs.bundles import hum, make_bundle, write_wav
from rigs.mail_server import MailServer
from rigs.push_server import PushServer


@dataclass
class Arrivals:
    """Messages at one receiver.

    Attributes:
        alarms: Different alarms.
        copies: Copies beyond the first.
        late: Alarms marked late.
        unmarked: Alarms of its own outage that carry no mark.
        missing: Ids that never arrived.
    """

    alarms: int = 0
    copies: int = 0
    late: int = 0
    unmarked: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


class Run:
    """The agent, its receivers, and the ids of the alarms that were asked for.

    Args:
        folder: For everything.
        away: Seconds that each receiver is away.
    """

    def __init__(self, folder: Path, away: float) -> None:
        self.folder, self.away = folder, away
        self.broker = Broker(folder / "broker", persistent=True)
        self.mails, self.push = MailServer(), PushServer()
        source = {"kind": "file", "path": str(write_wav(folder / "quiet.wav", hum(40, 11))), "speed": 1, "loop": True}
        self.config = write_config(folder, make_bundle(folder / "hum").path, source, self.broker.port)
        urls = {
            "mail": f"mailto://localhost:{self.mails.port}?mode=insecure&from=asd@example.org&to=shift@example.org",
            "push": f"json://localhost:{self.push.port}",
        }
        targets = {}
        for name, url in urls.items():
            (folder / name).write_text(url)
            targets[name] = {"url": {"file": str(folder / name)}, "retry_seconds": [1, 5]}
        self.config.write_text(self.config.read_text() + yaml.safe_dump({"notify": targets}))
        self.agent = Agent(self.config)
        self.kills = 0
        self.asked: list[str] = []
        self.outages: dict[str, list[tuple[float, float]]] = {"mqtt": [], "mail": [], "push": []}
        self.times: dict[str, float] = {}

    def ask(self) -> None:
        """Raise a test alarm; a service that is starting is asked again."""
        while True:
            try:
                answer = ask(self.folder / "state" / SOCKET_NAME, {"command": "test_alarm", "monitor": "m"})
            except ControlError:
                time.sleep(0.2)
            else:
                self.asked.append(answer["alarm_id"])
                self.times[answer["alarm_id"]] = time.time()
                return

    def kill(self) -> None:
        """Kill the service and start it again."""
        self.agent.kill()
        self.kills += 1
        self.agent = Agent(self.config)

    def outage(self, name: str, receiver: Any) -> None:
        """Stop a receiver for a while, with a kill in the middle."""
        receiver.stop()
        began = time.time()
        time.sleep(self.away / 2)
        self.kill()
        time.sleep(self.away / 2)
        self.outages[name].append((began, time.time()))
        receiver.start()

    def judge(self, name: str, received: list[tuple[str, bool]]) -> Arrivals:
        """Count the messages of one receiver: alarm id, and whether marked late."""
        counts = Counter(alarm for alarm, _ in received)
        marked = {alarm for alarm, late in received if late}
        due = {
            alarm
            for alarm, at in self.times.items()
            for began, ended in self.outages[name]
            if began < at < ended - 12.0  # LATE_SECONDS and some room
        }
        return Arrivals(
            alarms=len(counts),
            copies=sum(counts.values()) - len(counts),
            late=len(marked),
            unmarked=sorted(due - marked),
            missing=sorted(set(self.asked) - set(counts)),
        )


def main() -> None:
    """Run it and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms", type=int, default=100)
    parser.add_argument("--away", type=float, default=60.0, help="seconds that each receiver is away")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run = Run(Path(folder), arguments.away)
        stack.callback(lambda: run.agent.close())  # noqa: PLW0108 - a kill replaces the agent
        receivers = {"mqtt": run.broker, "mail": run.mails, "push": run.push}
        for receiver in receivers.values():
            stack.enter_context(receiver)
        received = stack.enter_context(
            Listener(run.broker.settings(), "asd/box/monitor/m/alert", client_id="people", persistent=True)
        )
        run.agent.wait_log("listening")
        span = len(receivers) * (arguments.away + 10.0)
        outages = threading.Thread(target=_outages, args=(run, receivers))
        outages.start()
        began = time.monotonic()
        for number in range(arguments.alarms):
            time.sleep(max(0.0, began + span * number / arguments.alarms - time.monotonic()))
            run.ask()
        outages.join()
        _settle(run)
        alerts = [o for o in received.objects("asd/box/monitor/m/alert") if o["event"] == "raised"]
        found = {
            "mqtt": run.judge("mqtt", [(a["alarm_id"], a["late"]) for a in alerts]),
            "mail": run.judge("mail", [_mail(mail) for mail in run.mails.mails]),
            "push": run.judge("push", [(p["alarm_id"], p["late"]) for p in run.push.objects()]),
        }
        result = {
            "alarms": len(run.asked),
            "service_kills": run.kills,
            "seconds": round(time.monotonic() - began),
            **{name: asdict(arrivals) for name, arrivals in found.items()},
        }
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        bad = [name for name, a in found.items() if a.missing or a.unmarked]
    raise SystemExit(f"not as it should be: {', '.join(bad)}" if bad else 0)


def _outages(run: Run, receivers: dict[str, Any]) -> None:
    for name, receiver in receivers.items():
        run.outage(name, receiver)
        time.sleep(10.0)


def _mail(mail: Any) -> tuple[str, bool]:
    return str(mail["References"]).removeprefix("<").removesuffix("@asd-agent>"), str(mail["Subject"]).startswith(
        "[test] [late]"
    )


def _settle(run: Run) -> None:
    """Wait until nothing waits any more, for at most two minutes."""
    until = time.monotonic() + 120.0
    while time.monotonic() < until:
        health = ask(run.folder / "state" / SOCKET_NAME, {"command": "health"})["health"]
        if not health["outbox"]["depth"] and not any(t["waiting"] for t in health["notify"].values()):
            return
        time.sleep(0.5)


if __name__ == "__main__":
    main()
