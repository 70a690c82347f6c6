from __future__ import annotations

import json
import threading

import pytest
from typer.testing import CliRunner

from asd_agent.alarm import AlarmState, Event, ScoredWindow, apply_action
from asd_agent.alarm.state import PastAlarm
from asd_agent.clock import ClockReading, SystemClock
from asd_agent.commands.alerts import OUTBOX_NAME, app
from asd_agent.config.model import AlarmSettings
from asd_agent.control_client import SOCKET_NAME
from asd_agent.monitor import Identity
from asd_agent.mqtt.mapping import alert_of, message_of
from asd_agent.outbox.store import Outbox
from asd_agent.service.control import ControlServer
from asd_agent.service.operator_commands import LocalCommand

CONFIG = """
agent: {name: box}
sources: {mic: {kind: file, path: sound.wav}}
monitors:
  fan: {source: mic, bundle: fan}
  pump: {source: mic, bundle: pump}
paths: {state: state, bundles: bundles}
"""


class Supervisor:
    """Keeps an alarm of `fan` that stands, and obeys the control socket."""

    def __init__(self, folder):
        self.config = folder / "agent.yaml"
        self.config.write_text(CONFIG)
        clock = SystemClock()
        self.outbox = Outbox(folder / "state" / OUTBOX_NAME, clock)
        window = ScoredWindow(index=1, start=0, end=10, utc_end=1.8e9, verdict="scored", score=4.25, threshold=2.0)
        self.state = AlarmState(
            monitor="box/fan",
            phase="active",
            announced=True,
            alarm_id="a1",
            raised_utc=1.8e9,
            severity=325,
            newest=window,
            seq=1,
        )
        raised = Event("e1", "raised", "a1", 1, "active", 325, window, ClockReading.read(clock))
        alert = alert_of(raised, Identity("fan", "00", "source", "b"))
        self.outbox.commit("fan", self.state.to_json(), [message_of("asd/box/monitor/fan/alert", alert)])
        self._turn, self._end = threading.Event(), threading.Event()
        self.server = ControlServer(folder / "state" / SOCKET_NAME, self._turn)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.server.start()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._turn.set()
        self._thread.join()
        self.server.stop()
        self.outbox.close()

    def _run(self):
        while not self._end.is_set():
            self._turn.wait()
            self._turn.clear()
            for request in self.server.take():
                order = LocalCommand.read(request.document, ["fan", "pump"])
                now = ClockReading.read(SystemClock())
                self.state, _events, result = apply_action(self.state, order.verb, order.args, AlarmSettings(), now)
                self.outbox.commit("fan", self.state.to_json(), (), order.record(result))
                request.reply({"done": result.done, "text": result.text})


@pytest.fixture
def supervisor(tmp_path):
    with Supervisor(tmp_path) as running:
        yield running


def call(supervisor, *arguments):
    return CliRunner().invoke(app, [*arguments, "-c", str(supervisor.config)])


def test_list_shows_what_stands_also_of_monitors_never_heard(supervisor):
    result = call(supervisor, "list", "--json")
    fan, pump = json.loads(result.stdout)["monitors"]
    assert (fan["monitor"], fan["state"], fan["alarm_id"], fan["severity"]) == ("fan", "active", "a1", 325)
    assert fan["since"] == "2027-01-15T08:00:00.000Z"
    assert (pump["monitor"], pump["state"]) == ("pump", "never heard")
    assert "4.25" in call(supervisor, "list").stdout


def test_sent_shows_what_was_published_and_whether_it_was_sent(supervisor):
    (alert,) = json.loads(call(supervisor, "sent", "--json").stdout)["alerts"]
    assert (alert["monitor"], alert["event"], alert["sent"]) == ("fan", "raised", False)
    supervisor.outbox.done(supervisor.outbox.next())
    (alert,) = json.loads(call(supervisor, "sent", "--json").stdout)["alerts"]
    assert alert["sent"] is True


def test_ack_reaches_the_running_service_and_is_logged(supervisor):
    result = call(supervisor, "ack", "fan")
    assert result.exit_code == 0
    assert "a1 is acknowledged" in result.stdout
    assert supervisor.state.phase == "acknowledged"
    (logged,) = json.loads(call(supervisor, "log", "--json").stdout)["commands"]
    assert logged["done"] is True
    assert "acknowledge fan" in logged["request"]


def test_shelve_and_unshelve(supervisor):
    assert call(supervisor, "shelve", "fan", "--minutes", "5").exit_code == 0
    assert supervisor.state.state == "shelved"
    assert call(supervisor, "unshelve", "fan").exit_code == 0
    assert call(supervisor, "out-of-service", "fan").exit_code == 0
    assert supervisor.state.state == "out_of_service"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ack", "press"], "no monitor 'press'"),
        (["shelve", "fan"], "--one-shot"),
        (["shelve", "fan", "--minutes", "1e6"], "max_shelve_minutes"),
        (["unshelve", "fan"], "neither shelved"),
    ],
)
def test_what_cannot_be_is_refused_in_words(supervisor, arguments, words):
    result = call(supervisor, *arguments)
    assert words in str(result.exception)


def test_without_a_service_the_remedy_is_named(tmp_path):
    with Supervisor(tmp_path) as ended:
        pass
    result = call(ended, "ack", "fan")
    assert "no service listens" in str(result.exception)
    assert json.loads(call(ended, "list", "--json").stdout)["monitors"][0]["state"] == "active"


def test_before_the_first_run_there_is_nothing_to_list(tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(CONFIG)
    result = CliRunner().invoke(app, ["list", "-c", str(config)])
    assert "outbox.sqlite3 cannot be read" in str(result.exception)


def test_a_look_from_outside_changes_nothing(supervisor):
    folder = supervisor.config.parent / "state"
    before = (folder / OUTBOX_NAME).read_bytes()
    for name in ("list", "sent", "log"):
        assert call(supervisor, name).exit_code == 0
    assert (folder / OUTBOX_NAME).read_bytes() == before


def test_an_alarm_that_went_by_itself_is_listed_with_its_time_and_id(tmp_path):
    config = tmp_path / "agent.yaml"
    config.write_text(CONFIG)
    gone = PastAlarm(alarm_id="a7", raised_utc=1.8e9, cleared_utc=1.8e9 + 60, severity=640, acknowledged=False)
    outbox = Outbox(tmp_path / "state" / OUTBOX_NAME, SystemClock())
    outbox.commit("fan", AlarmState(monitor="box/fan", past=(gone,)).to_json(), [message_of("t", alert_of(
        Event("e1", "cleared", "a7", 2, "returned", 1, None, ClockReading.read(SystemClock())),
        Identity("fan", "00", "source", "b"),
    ))])  # fmt: skip
    outbox.close()
    document = json.loads(CliRunner().invoke(app, ["list", "-c", str(config), "--json"]).stdout)
    (row,) = [m for m in document["monitors"] if m["monitor"] == "fan"]
    assert (row["state"], row["alarm_id"], row["since"], row["severity"]) == (
        "returned", "a7", "2027-01-15T08:00:00.000Z", 640,
    )  # fmt: skip
