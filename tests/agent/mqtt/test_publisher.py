"""The publisher against a real Mosquitto."""

from __future__ import annotations

import json
import logging
import signal
import threading

import pytest

from asd_agent.alarm import CommandResult
from asd_agent.clock import SystemClock, iso_utc
from asd_agent.config.base import Secret
from asd_agent.config.model import MqttSettings, Tls
from asd_agent.demo.broker import free_port
from asd_agent.mqtt.commands import CommandReceiver
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox
from rigs.broker import Broker, Listener
from rigs.proxy import Proxy
from rigs.publisher_process import PublisherProcess
from rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.rig
TOPICS = Topics("box")
ALERT, STATE = TOPICS.alert("fan"), TOPICS.monitor_state("fan")


class Box:
    """An outbox and a publisher."""

    def __init__(self, folder, settings, name="box", wake=None):
        self.outbox = Outbox(folder / f"{name}.db", SystemClock())
        self.publisher = Publisher(settings, name, self.outbox, SystemClock(), wake)
        self.sent = 0

    def __enter__(self):
        self.publisher.start()
        return self

    def __exit__(self, *_):
        self.publisher.stop(5)
        self.outbox.close()

    def alert(self, topic=ALERT, size=0):
        """Commit an alert; returns its number."""
        self.sent += 1
        payload = {"seq": self.sent, "late": False, "durable": True, "room": "x" * size}
        self.outbox.commit("fan", str(self.sent), [Message(f"{topic}-{self.sent}", topic, json.dumps(payload))])
        self.publisher.wake()
        return self.sent

    def wait(self, condition):
        """Wait until a condition about the box holds."""
        wait_until(condition, lambda: f"depth {self.outbox.depth()}, {self.publisher.faults}")

    def wait_fault(self, part, *words):
        self.wait(lambda: all(w in self.publisher.faults.get(part, "") for w in words))


def numbers(listener, topic=ALERT):
    return [o["seq"] for o in listener.objects(topic)]


@pytest.fixture(params=["5", "3.1.1"])
def protocol(request):
    return request.param


def test_birth_state_alerts_and_a_clean_goodbye(tmp_path, protocol):
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        with Box(tmp_path, broker.settings(protocol=protocol)) as box:
            listener.wait_text(TOPICS.status, "online")
            box.publisher.publish_state(STATE, '{"state":"normal"}')
            for _ in range(30):
                box.alert()
            listener.wait_for(ALERT, 30)
            listener.wait_text(STATE, '{"state":"normal"}')
            box.wait(lambda: box.outbox.depth() == 0)
        listener.wait_text(TOPICS.status, "offline")
        box.wait(lambda: "Received DISCONNECT from asd-box" in broker.log())
        assert not box.publisher.alive()
        assert numbers(listener) == list(range(1, 31))
        assert {o["late"] for o in listener.objects(ALERT)} == {False}
        with Listener(broker.settings(), client_id="later") as later:
            later.wait_text(TOPICS.status, "offline")
            later.wait_text(STATE, '{"state":"normal"}')
            assert later.texts(ALERT) == []


def test_the_last_will_speaks_for_a_killed_agent(tmp_path):
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        agent = PublisherProcess(broker.settings(), tmp_path / "o.db")
        listener.wait_text(TOPICS.status, "online")
        agent.kill()
        listener.wait_text(TOPICS.status, "offline")


def test_an_alert_stored_while_the_broker_was_down_arrives_once_after_both_restarted(tmp_path, protocol):
    broker = Broker(tmp_path / "broker", persistent=True)
    with broker, Listener(broker.settings(), persistent=True) as listener:
        agent = PublisherProcess(broker.settings(protocol=protocol), tmp_path / "o.db")
        listener.wait_text(TOPICS.status, "online")
        broker.stop()
        assert agent.commit("fan") == 1
        assert agent.commit("fan") == 2
        agent.kill()
        broker.start()
        listener.wait_subscribed()
        agent = PublisherProcess(broker.settings(protocol=protocol), tmp_path / "o.db")
        listener.wait_for(ALERT, 2)
        assert agent.commit("fan") == 3
        listener.wait_for(ALERT, 3)
        agent.stop()
        listener.wait_text(TOPICS.status, "offline")
        assert [(o["seq"], o["late"]) for o in listener.objects(ALERT)] == [(1, True), (2, True), (3, False)]


def test_an_agent_that_starts_before_its_broker_connects_when_that_comes(tmp_path):
    broker = Broker(tmp_path / "broker")
    with Box(tmp_path, broker.settings()) as box:
        box.wait_fault("broker", "nothing listens", "mqtt.port")
        box.alert()
        assert box.publisher.alive()
        with broker, Listener(broker.settings()) as listener:
            listener.wait_text(TOPICS.status, "online")
            box.wait(lambda: box.outbox.depth() == 0)
            assert box.publisher.faults == {}


def test_a_row_stays_until_its_puback_and_flies_alone(tmp_path, protocol):
    with (
        Broker(tmp_path / "broker") as broker,
        Proxy(broker.port) as proxy,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings(port=proxy.port, protocol=protocol)) as box,
    ):
        listener.wait_text(TOPICS.status, "online")
        box.alert()
        listener.wait_for(ALERT, 1)
        box.wait(lambda: box.outbox.depth() == 0)
        proxy.withhold_answers()
        for _ in range(5):
            box.alert()
        listener.wait_for(ALERT, 2)
        listener.publish("asd/mark", "after")
        listener.wait_for("asd/mark")
        assert numbers(listener) == [1, 2]
        assert box.outbox.depth() == 5
        proxy.release_answers()
        listener.wait_for(ALERT, 6)
        box.wait(lambda: box.outbox.depth() == 0)
        assert numbers(listener) == [1, 2, 3, 4, 5, 6]


def test_a_row_whose_puback_was_lost_comes_again_and_says_it_is_late(tmp_path):
    with (
        Broker(tmp_path / "broker") as broker,
        Proxy(broker.port) as proxy,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings(port=proxy.port)) as box,
    ):
        listener.wait_text(TOPICS.status, "online")
        proxy.withhold_answers()
        box.alert()
        listener.wait_for(ALERT, 1)
        proxy.cut()
        box.wait(lambda: not box.publisher.connected)
        proxy.mend()
        listener.wait_for(ALERT, 2)
        box.wait(lambda: box.outbox.depth() == 0)
        assert [(o["seq"], o["late"]) for o in listener.objects(ALERT)] == [(1, False), (1, True)]


def test_a_row_that_waited_too_long_is_late_also_without_a_reconnect(tmp_path, monkeypatch):
    with (
        Broker(tmp_path / "broker") as broker,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings()) as box,
    ):
        listener.wait_text(TOPICS.status, "online")
        box.alert()
        listener.wait_for(ALERT, 1)
        monkeypatch.setattr("asd_agent.mqtt.delivery.LATE_SECONDS", -1.0)
        box.alert()
        listener.wait_for(ALERT, 2)
        assert [o["late"] for o in listener.objects(ALERT)] == [False, True]


def test_a_network_that_swallows_everything_is_noticed(tmp_path):
    with (
        Broker(tmp_path / "broker") as broker,
        Proxy(broker.port) as proxy,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings(port=proxy.port, keepalive_seconds=5)) as box,
    ):
        listener.wait_text(TOPICS.status, "online")
        proxy.withhold_answers()
        box.wait(lambda: "broker" in box.publisher.faults)
        assert box.publisher.alive()
        proxy.release_answers()
        box.alert()
        box.wait(lambda: box.outbox.depth() == 0)


def test_after_a_reconnect_only_the_newest_states_are_retained(tmp_path):
    with Broker(tmp_path / "broker") as broker, Box(tmp_path, broker.settings()) as box:
        with Listener(broker.settings()) as listener:
            box.publisher.publish_state(STATE, "first")
            listener.wait_text(STATE, "first")
        broker.kill()
        box.wait(lambda: not box.publisher.connected)
        for n in range(50):
            box.publisher.publish_state(STATE, f"state {n}")
        broker.start()
        with Listener(broker.settings()) as listener:
            listener.wait_text(TOPICS.status, "online")
            listener.wait_text(STATE, "state 49")
            assert set(listener.texts(STATE)) == {"state 49"}


def test_scores_are_never_queued(tmp_path):
    score = TOPICS.score("fan")
    broker = Broker(tmp_path / "broker")
    with Box(tmp_path, broker.settings()) as box:
        box.publisher.publish_score(score, "lost")
        with broker, Listener(broker.settings()) as listener:
            listener.wait_text(TOPICS.status, "online")
            assert box.publisher.wait_connected(PATIENCE)
            box.publisher.publish_score(score, "heard")
            assert listener.wait_for(score) == ["heard"]


def test_topics_of_removed_monitors_are_cleared(tmp_path):
    with Broker(tmp_path / "broker") as broker:
        gone = TOPICS.monitor_state("gone")
        with Box(tmp_path, broker.settings()) as box:
            box.publisher.publish_state(STATE, "here")
            box.publisher.publish_state(gone, "here")
            with Listener(broker.settings()) as listener:
                listener.wait_text(gone, "here")
        box = Box(tmp_path, broker.settings())
        box.publisher.keep_retained(TOPICS.retained(["fan"], []))
        with box, Listener(broker.settings()) as listener:
            box.wait(lambda: gone not in box.outbox.retained())
            listener.wait_text(STATE, "here")
        with Listener(broker.settings()) as listener:
            listener.wait_text(STATE, "here")
            assert listener.texts(gone) == []
        assert Outbox(tmp_path / "box.db", SystemClock()).retained() == {STATE, TOPICS.status}


def test_a_topic_is_cleared_while_connected_and_remembered_when_it_is_used_again(tmp_path):
    with Broker(tmp_path / "broker") as broker, Box(tmp_path, broker.settings()) as box:
        with Listener(broker.settings()) as listener:
            box.publisher.publish_state(STATE, "here")
            listener.wait_text(STATE, "here")
            box.publisher.clear([STATE])
            listener.wait_text(STATE, "")
            box.wait(lambda: STATE not in box.outbox.retained())
            for number in range(50):
                box.publisher.clear([STATE])
                box.publisher.publish_state(STATE, str(number))
            listener.wait_text(STATE, "49")
            box.alert()
            listener.wait_for(ALERT)  # after every state that was on its way
        assert STATE in box.outbox.retained()
        with Listener(broker.settings()) as listener:
            listener.wait_text(STATE, "49")


def test_topics_are_subscribed_to_and_left_while_connected(tmp_path):
    inbox, heard = Inbox(1000), []

    def received(payload):
        heard.extend(m.payload for m in inbox.take()[0])
        return payload in heard

    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        listener.publish("hall/press", "running", retain=True)
        with Box(tmp_path, broker.settings()) as box:
            listener.wait_text(TOPICS.status, "online")
            box.publisher.subscribe("hall/press", inbox)
            box.wait(lambda: received(b"running"))
            assert heard == [b"running"]
            box.publisher.unsubscribe("hall/press")
            box.publisher.subscribe("hall/other", inbox)
            box.wait(lambda: received(b"first") or listener.publish("hall/other", "first"))
            listener.publish("hall/press", "stopped", retain=True)
            listener.publish("hall/other", "last")
            box.wait(lambda: received(b"last"))
            assert b"stopped" not in heard


def test_tls_with_a_password(tmp_path, protocol):
    with (
        Broker(tmp_path / "broker", tls=True) as broker,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings(protocol=protocol)) as box,
    ):
        box.alert()
        assert json.loads(listener.wait_for(ALERT)[0])["seq"] == 1


def _wrong(broker, folder):
    (folder / "wrong").write_text("guess")
    (folder / "empty").write_text("")
    (folder / "no-ca").write_text("no certificate")
    right = broker.settings()
    ca, secret = broker.folder / "ca.pem", right.password
    return {
        "a wrong password": ({"password": Secret(file=folder / "wrong")}, "refused the connection", "password"),
        "no password": ({"password": None, "username": None}, "refused the connection", "mqtt.username"),
        "an unreadable password": ({"password": Secret(file=folder / "none")}, "none cannot be read", ""),
        "an empty password": ({"password": Secret(file=folder / "empty")}, "is empty", ""),
        "a credential that was not passed": ({"password": Secret(credential="pw")}, "not passed", ""),
        "an unknown authority": ({"tls": Tls()}, "not trusted", "mqtt.tls.ca"),
        "another name": ({"host": "127.0.0.1"}, "not trusted", "mqtt.host"),
        "no TLS": ({"tls": None, "password": secret}, "closed the connection", "mqtt.tls"),
        "an authority's file without one": ({"tls": Tls(ca=folder / "no-ca")}, "holds no certificate", ""),
        "a missing authority's file": ({"tls": Tls(ca=folder / "lost.pem")}, "cannot be read", ""),
        "a missing key": ({"tls": Tls(ca=ca, certificate=folder / "c", key=folder / "k")}, "cannot be read", ""),
        "no such host": ({"host": "broker.invalid"}, "no such host", "mqtt.host"),
        "a wrong port": ({"port": free_port()}, "nothing listens", "mqtt.port"),
    }


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_what_is_wrong_is_said_once_in_words_with_a_remedy(tmp_path, caplog, monkeypatch, protocol):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with Broker(tmp_path / "broker", tls=True) as broker:
        for index, (name, (changes, *words)) in enumerate(_wrong(broker, tmp_path).items()):
            caplog.clear()
            settings = broker.settings(protocol=protocol, reconnect_seconds=(0.01, 0.01), **changes)
            folder = tmp_path / str(index)
            with Box(folder, settings) as box:
                box.wait_fault("broker", *words)
                again = threading.Event()
                monkeypatch.setattr(box.publisher._backoff, "next", lambda again=again: again.set() or 0.01)
                assert again.wait(PATIENCE), name
                again.clear()
                assert again.wait(PATIENCE), name
            said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
            assert len(said) == 1, (name, said)


def test_a_plain_broker_behind_tls_settings_is_told_apart(tmp_path):
    with Broker(tmp_path / "broker") as broker, Box(tmp_path, broker.settings(tls=Tls())) as box:
        box.wait_fault("broker", str(broker.port), "TLS")


def test_a_refused_row_is_kept_said_and_sent_once_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr("asd_agent.mqtt.delivery.HOLD_SECONDS", (0.1, 0.2))
    secret = TOPICS.alert("secret")
    rules = f"topic readwrite asd/#\ntopic deny {secret}\n"
    with (
        Broker(tmp_path / "broker", acl=rules) as broker,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings()) as box,
    ):
        for _ in range(3):
            box.alert(secret)
            box.alert()
        listener.wait_for(ALERT, 3)
        box.wait_fault("refused", secret, "not authorized", "access list")
        box.wait(lambda: box.outbox.depth() == 3)
        (broker.folder / "acl").write_text("topic readwrite asd/#\n")
        broker.process.send_signal(signal.SIGHUP)
        listener.wait_for(secret, 3)
        box.wait(lambda: box.outbox.depth() == 0 and "refused" not in box.publisher.faults)
        assert numbers(listener, secret) == [1, 3, 5]


def test_a_row_that_the_broker_hangs_up_on_does_not_stop_the_others(tmp_path, protocol):
    other = TOPICS.alert("other")
    with (
        Broker(tmp_path / "broker", extra="max_packet_size 2000") as broker,
        Listener(broker.settings()) as listener,
        Box(tmp_path, broker.settings(protocol=protocol)) as box,
    ):
        box.alert(size=5000)
        box.alert(other)
        listener.wait_for(other)
        # MQTT 5 announces the limit; under 3.1.1 the broker closes the connection.
        box.wait_fault(*(("packet size", ALERT, "limit of 2000") if protocol == "5" else ("refused", ALERT)))
        box.wait(lambda: box.outbox.depth() == 1)


def test_two_agents_of_one_name_are_told_and_do_not_fill_the_log(tmp_path, caplog):
    with Broker(tmp_path / "broker") as broker, Box(tmp_path / "a", broker.settings()) as one:
        assert one.publisher.wait_connected(PATIENCE)
        with Box(tmp_path / "b", broker.settings()):
            one.wait_fault("broker", "agent.name")
            said = len(caplog.records)
            one.wait(lambda: one.publisher._short_lived > 8)
            assert len(caplog.records) - said <= 3


def test_messages_reach_their_inbox_but_huge_ones(tmp_path):
    inbox, heard, wake = Inbox(10), [], threading.Event()

    def received(count):
        heard.extend((m.topic, m.payload, m.retained) for m in inbox.take()[0])
        return len(heard) == count

    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        listener.publish("hall/flood", "x" * 100_000, retain=True)
        listener.publish("hall/press", "running", retain=True)
        box = Box(tmp_path, broker.settings(), wake=wake)
        box.publisher.subscribe("hall/+", inbox)
        with box:
            listener.wait_text(TOPICS.status, "online")
            assert wake.wait(PATIENCE)
            box.wait(lambda: received(1))
            wake.clear()
            listener.publish("hall/press", "stopped")
            assert wake.wait(PATIENCE)
            box.wait(lambda: received(2))
            box.alert()
            listener.wait_for(ALERT)
    assert heard == [("hall/press", b"running", True), ("hall/press", b"stopped", False)]


def test_stopping_without_a_broker_is_quick_and_keeps_the_rows(tmp_path):
    with Box(tmp_path, MqttSettings(port=free_port())) as box:
        box.alert()
    assert Outbox(tmp_path / "box.db", SystemClock()).depth() == 1


def test_rows_leave_from_memory_when_the_disk_refuses(tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        clock = SystemClock()
        outbox = Outbox(tmp_path / "file" / "o.db", clock)
        publisher = Publisher(broker.settings(), "box", outbox, clock)
        publisher.start()
        outbox.append([Message("1", ALERT, '{"late": false, "durable": true}')])
        publisher.wake()
        assert json.loads(listener.wait_for(ALERT)[0])["durable"] is False
        assert "cannot be written" in publisher.faults["outbox"]
        publisher.stop()
        assert outbox.depth() == 0


def test_a_command_is_obeyed_once_and_never_when_it_is_retained(tmp_path):
    asked = TOPICS.command("shelve")
    expires = iso_utc(SystemClock().utc() + 60)
    text = json.dumps({"schema": "asd.command/1", "id": "c1", "monitor": "fan", "expires": expires, "one_shot": True})
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as listener:
        box = Box(tmp_path, broker.settings())
        receiver = CommandReceiver(TOPICS, ["shelve"], ["fan"], box.outbox, SystemClock())
        receiver.attach(box.publisher)
        commands = []
        with box:
            listener.wait_text(TOPICS.status, "online")
            listener.publish(asked, text)
            box.wait(lambda: commands.extend(receiver.take()) or commands)
            answer, record = receiver.answer(commands[0], CommandResult(True, "shelved"))
            box.outbox.commit("fan", "{}", [answer], record)
            box.publisher.wake()
            assert json.loads(listener.wait_for(TOPICS.command_result)[0])["done"] is True
            for count, retain in ((2, False), (3, True)):
                listener.publish(asked, text, retain=retain)
                box.wait(lambda count=count: receiver.take() or len(listener.texts(TOPICS.command_result)) == count)
        box = Box(tmp_path, broker.settings())
        receiver = CommandReceiver(TOPICS, ["shelve"], ["fan"], box.outbox, SystemClock())
        receiver.attach(box.publisher)
        with box:
            box.wait(lambda: receiver.take() or len(listener.texts(TOPICS.command_result)) == 4)
    said = listener.objects(TOPICS.command_result)
    assert [o["text"].split(";")[0].split(":")[0] for o in said] == [
        "shelved",
        "seen before",
        "retained commands are ignored",
        "retained commands are ignored",
    ]
