from __future__ import annotations

import json
import socket
import stat
import threading

import pytest

from asd_agent.control_client import MAX_BYTES, ControlError, ask
from asd_agent.service.control import ControlServer
from rigs.waiting import PATIENCE


class Service:
    """A supervisor that answers every request with itself."""

    def __init__(self, path):
        self.path, self._turn, self._end = path, threading.Event(), threading.Event()
        self.server = ControlServer(path, self._turn)
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

    def _run(self):
        while not self._end.is_set():
            self._turn.wait()
            self._turn.clear()
            for request in self.server.take():
                request.reply({"heard": request.document})


def raw(path, data):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return json.loads(stream.readline())


def test_a_request_is_answered_on_a_socket_for_its_owner_alone(tmp_path):
    path = tmp_path / "c.sock"
    with Service(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert ask(path, {"verb": "shelve"}) == {"heard": {"verb": "shelve"}}
    assert not path.exists()


def test_a_socket_left_by_a_killed_service_is_replaced(tmp_path):
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(ControlError, match="no service listens"):
        ask(path, {})
    with Service(path):
        assert ask(path, {}) == {"heard": {}}


@pytest.mark.parametrize(
    "data", [b"", b"no json\n", b"[1]\n", b"[" * 50_000 + b"\n", b"\xff\n", b"x" * (MAX_BYTES + 2)]
)
def test_nonsense_is_refused_and_harms_nobody(tmp_path, data):
    path = tmp_path / "c.sock"
    with Service(path):
        assert "error" in raw(path, data)
        assert ask(path, {"n": 1}) == {"heard": {"n": 1}}


def test_many_ask_at_once(tmp_path):
    path, answers = tmp_path / "c.sock", []
    with Service(path):
        threads = [threading.Thread(target=lambda n=n: answers.append(ask(path, {"n": n}))) for n in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(a["heard"]["n"] for a in answers) == list(range(10))


def test_a_service_that_does_not_turn_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("asd_agent.control_client.REPLY_SECONDS", 0.05)
    server = ControlServer(tmp_path / "c.sock", threading.Event())
    server.start()
    with pytest.raises(ControlError, match="did not answer in time"):
        ask(tmp_path / "c.sock", {})
    server.stop()


def test_without_a_place_for_the_socket_the_service_goes_on(tmp_path, caplog):
    server = ControlServer(tmp_path / ("x" * 200) / "c.sock", threading.Event())
    server.start()
    assert server.take() == []
    server.stop()
    assert "cannot be opened" in caplog.text
