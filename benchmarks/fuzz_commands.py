"""Random messages through a real broker, each accounted for: none crashes the agent or acts outside its allow-list.

    python benchmarks/fuzz_commands.py --messages 100000

A hostile client publishes to `command/#`: noise, oversize and deep JSON, wrong types, forbidden verbs, expired and
replayed and retained commands, and now and then one that may be obeyed. What may be obeyed is judged here by rules
written down separately from the agent's. Every message must be answered and logged, and the alarms may have changed
by those only that were to be obeyed.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from asd_agent.alarm import AlarmState, apply_action, tick
from asd_agent.clock import ClockReading, SystemClock, iso_utc
from asd_agent.config.model import AlarmSettings, MqttSettings
from asd_agent.mqtt.commands import MAX_WAITING, VERBS, CommandReceiver
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker
from rigs.waiting import PATIENCE

TOPICS = Topics("box")
ALLOWED = ("shelve", "unshelve")
MONITORS = ("fan", "pump")
AT_ONCE = MAX_WAITING // 2


@dataclass(frozen=True)
class Shot:
    """One message, and whether it may be obeyed."""

    kind: str
    topic: str
    payload: bytes
    retain: bool = False
    permitted: bool = False


@dataclass
class Result:
    """Counts of one run.

    Attributes:
        sent: Messages by kind.
        received: Messages that reached the agent; the rest went to topics that it does not hear.
        answered: Answers and log entries, one of each a message received.
        obeyed: Commands that changed something.
        wrongly: Ids of commands that were obeyed and should not have been, or twice.
        seconds: Duration.
    """

    sent: Counter[str] = field(default_factory=Counter)
    received: int = 0
    answered: int = 0
    obeyed: int = 0
    wrongly: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Shooter:
    """Makes messages. Ids are never repeated but on purpose."""

    def __init__(self, seed: int) -> None:
        self.random, self.number = random.Random(seed), 0
        self.old: list[Shot] = []

    def shoot(self) -> Shot:
        """One more."""
        kinds = (
            self.noise,
            self.oversize,
            self.deep,
            self.mistyped,
            self.forbidden,
            self.expired,
            self.replayed,
            self.retained,
            self.stray,
            self.right,
        )
        return self.random.choices(kinds, weights=(3, 1, 1, 4, 2, 2, 2, 2, 2, 1))[0]()

    def right(self) -> Shot:
        """A command that may be obeyed."""
        verb = self.random.choice(ALLOWED)
        fields = self._fields(verb)
        shot = Shot("right", TOPICS.command(verb), self._json(fields), permitted=True)
        self.old.append(shot)
        return shot

    def noise(self) -> Shot:
        """Bytes."""
        return Shot("noise", self._topic(), self.random.randbytes(self.random.randint(0, 300)))

    def oversize(self) -> Shot:
        """A right command with too much behind it, or as much of nothing."""
        fields = self._fields("shelve")
        size = self.random.randint(4097, 60_000)
        padded = self._json(fields).ljust(size)
        return Shot("oversize", TOPICS.command("shelve"), self.random.choice([padded, b"[" * size, b"\0" * size]))

    def deep(self) -> Shot:
        """Deeply nested JSON that is small enough to be read."""
        depth = self.random.randint(100, 2000)
        opened, closed = self.random.choice([("[", "]"), ('{"a":', "}")])
        value = opened * min(depth, 600) + "1" + closed * min(depth, 600)
        fields = self._json(self._fields("shelve"))[:-1] + b',"by":' + value.encode() + b"}"
        return Shot("deep", TOPICS.command("shelve"), self.random.choice([value.encode(), fields])[:4096])

    def mistyped(self) -> Shot:
        """A right command but for one key."""
        verb = self.random.choice(ALLOWED)
        fields = self._fields(verb)
        wrong: list[tuple[str, Any]] = [
            ("schema", "asd.command/2"),
            ("schema", 1),
            ("id", ""),
            ("id", "a b"),
            ("id", "x" * 65),
            ("id", ["a"]),
            ("id", None),
            ("monitor", "press"),
            ("monitor", "../fan"),
            ("monitor", {"$ne": ""}),
            ("expires", "soon"),
            ("expires", 9e99),
            ("expires", iso_utc(time.time() + 86_400)),
            ("minutes", "60"),
            ("minutes", -5),
            ("minutes", 1e300),
            ("minutes", float("nan")),
            ("one_shot", "yes"),
            ("by", "x" * 5000),
            ("explode", True),
        ]
        key, value = self.random.choice(wrong)
        if verb == "unshelve" and key in {"minutes", "one_shot"}:
            key, value = "monitor", "\u202enaf"
        return Shot("mistyped", TOPICS.command(verb), self._json({**fields, key: value}))

    def forbidden(self) -> Shot:
        """A right command whose verb is not allowed."""
        return Shot("forbidden", TOPICS.command("acknowledge"), self._json(self._fields("acknowledge")))

    def expired(self) -> Shot:
        """A right command of yesterday."""
        fields = {**self._fields("shelve"), "expires": iso_utc(time.time() - self.random.uniform(1, 86_400))}
        return Shot("expired", TOPICS.command("shelve"), self._json(fields))

    def replayed(self) -> Shot:
        """One that was obeyed, again."""
        if not self.old:
            return self.right()
        shot = self.random.choice(self.old[-2000:])
        return Shot("replayed", shot.topic, shot.payload)

    def retained(self) -> Shot:
        """A right command that is to stay on the broker."""
        verb = self.random.choice(ALLOWED)
        return Shot("retained", TOPICS.command(verb), self._json(self._fields(verb)), retain=True)

    def stray(self) -> Shot:
        """A right command on a topic near the right one."""
        verb = self.random.choice(ALLOWED)
        ends = (f"{verb}/", f"{verb}/now", verb.upper(), "", f" {verb}", "result", "erase", f"/{verb}")
        topic = TOPICS.command("x")[:-1] + self.random.choice(ends)
        return Shot("stray", topic, self._json(self._fields(verb)))

    def _fields(self, verb: str) -> dict[str, Any]:
        self.number += 1
        fields: dict[str, Any] = {
            "schema": "asd.command/1",
            "id": f"c{self.number}",
            "monitor": self.random.choice(MONITORS),
            "by": "fuzz",
            "expires": iso_utc(time.time() + 600),
        }
        if verb == "shelve":
            fields["minutes"] = self.random.randint(1, 60)
        return fields

    def _topic(self) -> str:
        return TOPICS.command(self.random.choice(VERBS))

    @staticmethod
    def _json(fields: dict[str, Any]) -> bytes:
        return json.dumps(fields).encode()


class Agent:
    """The publisher, the outbox, the receiver of commands, and the part of the service that applies them."""

    def __init__(self, settings: MqttSettings, folder: Path) -> None:
        self.clock = SystemClock()
        self.outbox = Outbox(folder / "outbox.db", self.clock)
        self.publisher = Publisher(settings, "box", self.outbox, self.clock)
        self.receiver = CommandReceiver(TOPICS, ALLOWED, MONITORS, self.outbox, self.clock)
        self.receiver.attach(self.publisher)
        self.states = {name: AlarmState(monitor=f"box/{name}") for name in MONITORS}
        self.obeyed: Counter[str] = Counter()

    def turn(self) -> None:
        """Carry out what waits."""
        for order in self.receiver.take():
            name, now = order.command.monitor, ClockReading.read(self.clock)
            before, _ended = tick(self.states[name], now)  # a shelving may end by itself
            after, _events, result = apply_action(before, order.verb, order.args, AlarmSettings(), now)
            answer, record = self.receiver.answer(order, result)
            self.outbox.commit(name, after.to_json(), [answer], record)
            self.states[name] = after
            if result.done or after.seq != before.seq:
                self.obeyed[order.command.id] += 1
        self.publisher.wake()


def run(messages: int, seed: int, folder: Path) -> Result:
    """Send so many messages and account for each."""
    result, began = Result(), time.monotonic()
    shooter, permitted = Shooter(seed), Counter[str]()
    with Broker(folder / "broker", log="error") as broker:
        agent = Agent(broker.settings(), folder)
        answers: list[str | None] = []

        def note(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
            answer_ = json.loads(message.payload)
            if answer_["schema"] == "asd.command-result/1":  # and no stray command on the topic of answers
                answers.append(answer_["id"])

        client = paho.Client(CallbackAPIVersion.VERSION2, "fuzz")
        client.on_message = note
        client.connect("localhost", broker.port)
        client.loop_start()
        client.subscribe(TOPICS.command_result, qos=1)
        agent.publisher.start()
        assert agent.publisher.wait_connected(PATIENCE)
        first, received = _wait_until_received(client, agent, answers), 0
        while sum(result.sent.values()) < messages:
            for _ in range(min(AT_ONCE, messages - sum(result.sent.values()))):
                shot = shooter.shoot()
                result.sent[shot.kind] += 1
                received += shot.topic in {TOPICS.command(v) for v in VERBS}
                if shot.permitted:
                    permitted[json.loads(shot.payload)["id"]] += 1
                client.publish(shot.topic, shot.payload, qos=1, retain=shot.retain)
            until = time.monotonic() + PATIENCE
            while len(answers) - first < received:
                if time.monotonic() > until:
                    raise SystemExit(f"{received - (len(answers) - first)} messages were never answered")
                agent.turn()
                time.sleep(0.0005)
        result.received, result.answered = received, len(answers) - first
        result.obeyed = agent.obeyed.total()
        result.wrongly = sorted(id_ for id_, times in agent.obeyed.items() if times > permitted[id_])
        assert agent.publisher.alive()
        agent.publisher.stop()
        agent.outbox.close()
        client.disconnect()
        client.loop_stop()
    result.seconds = time.monotonic() - began
    return result


def _wait_until_received(client: paho.Client, agent: Agent, answers: list[str | None]) -> int:
    """Wait until the agent has subscribed; return the number of answers to what was sent until then.

    Commands of one sender on one topic are answered in order: the answer to the last of them comes last.
    """
    expired = {"schema": "asd.command/1", "monitor": MONITORS[0], "expires": iso_utc(time.time() - 1), "minutes": 1}
    until = time.monotonic() + PATIENCE
    sent: list[str] = []
    while not answers or answers[-1] != sent[-1]:
        assert time.monotonic() < until, "the agent does not hear"
        if not answers:
            sent.append(f"probe{len(sent)}")
            payload = json.dumps({**expired, "id": sent[-1]})
            client.publish(TOPICS.command("shelve"), payload, qos=1).wait_for_publish(PATIENCE)
        agent.turn()
        time.sleep(0.05)
    return len(answers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as folder:
        result = run(arguments.messages, arguments.seed, Path(folder))
    if arguments.json:
        print(json.dumps(vars(result)))
    else:
        for name, value in vars(result).items():
            print(f"{name:10} {dict(value) if isinstance(value, Counter) else value}")
    sys.exit(bool(result.wrongly or result.answered != result.received))


if __name__ == "__main__":
    main()
