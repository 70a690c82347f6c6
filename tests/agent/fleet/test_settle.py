"""Retained messages of a broker on which reports never pause."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from asd_agent.fleet.client import FleetClient
from rigs.broker import Broker, Listener
from rigs.waiting import PATIENCE


def test_new_reports_do_not_delay_the_table(tmp_path: Path):
    done = threading.Event()
    with Broker(tmp_path / "broker") as broker, Listener(broker.settings()) as sender:
        sender.publish("asd/box/status", "online", retain=True)

        def report() -> None:
            while not done.wait(0.05):
                sender.publish("asd/box/health", "{}")

        thread = threading.Thread(target=report)
        thread.start()
        seen: list[str] = []
        try:
            with FleetClient(broker.settings(), ["asd/#"], lambda topic, _: seen.append(topic)) as client:
                began = time.monotonic()
                client.settle(PATIENCE)
                assert time.monotonic() - began < PATIENCE / 2
        finally:
            done.set()
            thread.join()
    assert "asd/box/status" in seen
