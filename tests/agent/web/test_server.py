"""The page as a process beside a running service: slow connections, live updates, and the death of either."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from asd_agent.web.connections import MOST_CONNECTIONS, MOST_OF_AN_ADDRESS
from rigs.page import PageBox, get, page_box, page_process
from rigs.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.rig


def stream(box: PageBox) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """An open stream of updates."""
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=PATIENCE)
    connection.request("GET", "/updates")
    return connection, connection.getresponse()


def wait_update(response: http.client.HTTPResponse, *, running: bool) -> dict[str, object]:
    """The next update with this state of the service."""
    while line := response.readline():
        if line.startswith(b"data: {"):
            document: dict[str, object] = json.loads(line[6:])
            if document["running"] == running:
                return document
    raise AssertionError("the stream has ended")


def test_the_page_beside_the_service(tmp_path: Path, bundle_path: Path):
    with page_box(tmp_path, bundle_path, knocks=False) as box, page_process(box) as page:
        assert get(box, "/") == 200
        answers_among_slow_connections(box)
        connection, response = stream(box)
        update = wait_update(response, running=True)
        assert set(update["monitors"]) == {"m"}  # type: ignore[call-overload]

        # The page hung, and later killed: the service does not notice.
        before = scored(box)
        os.kill(page.pid, signal.SIGSTOP)
        wait_until(lambda: scored(box) > before + 2, "nothing is scored")
        os.kill(page.pid, signal.SIGCONT)

        # The service killed and started again: the page reports it and recovers.
        box.agent.kill()
        assert wait_update(response, running=False)["reason"]
        assert get(box, "/") == 200
        again = type(box.agent)(box.config)
        try:
            wait_update(response, running=True)
            box.agent = again
            page.kill()
            page.wait(PATIENCE)
            wait_until(lambda: scored(box) > 2, "nothing is scored after the page's end")
            assert again.process.poll() is None
        finally:
            connection.close()
            again.close()


def scored(box: PageBox) -> int:
    """Windows that the service has scored since its start; 0 while it starts."""
    return int(box.ask("states")[0].get("health", {}).get("windows", {}).get("scored", 0))


def answers_among_slow_connections(box: PageBox) -> None:
    """Open 500 connections that send nothing or one byte of a head; the page still answers others, and ends them."""
    slow = []
    started = time.monotonic()
    for number in range(500):
        connection = socket.socket()
        connection.bind((f"127.0.{1 + number // 25}.1", 0))  # twenty addresses
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", box.port))
        if number % 2:
            connection.sendall(b"G")
        slow.append(connection)
    refused = sum(ended(connection) for connection in slow[MOST_CONNECTIONS:])
    assert refused == 500 - MOST_CONNECTIONS
    wait_until(lambda: get(box, "/healthz", "127.0.99.1") == 200, "the page does not answer among slow connections")
    assert all(ended(connection) for connection in slow)
    assert time.monotonic() - started < PATIENCE
    assert MOST_OF_AN_ADDRESS < MOST_CONNECTIONS
    for connection in slow:
        connection.close()


def ended(connection: socket.socket) -> bool:
    """Wait for the other side to end a connection."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
