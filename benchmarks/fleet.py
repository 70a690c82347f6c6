"""Load of one broker by many agents: simulated agents on one real Mosquitto, and the fleet's table over them.

    python benchmarks/fleet.py --agents 1000 --seconds 60

Each agent is a connection of its own with a last will. It retains status, one monitor's state and health, and then
publishes health every 30 s and a state every 5 s, as real ones do. Prints the broker's processor time, memory and
messages, and the time that `asd-agent fleet` takes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from asd_agent.clock import iso_utc
from rigs.broker import Broker
from rigs.healthy import HEALTH

HEALTH_SECONDS, STATE_SECONDS = 30.0, 5.0
STATE = json.dumps({"schema": "asd.monitor/1", "state": "normal", "score": 1.25, "threshold": 4.67})


def health(name: str) -> str:
    """Return a health report."""
    document = {**HEALTH.model_dump(mode="json", by_alias=True), "faults": {}, "time": iso_utc(time.time())}
    return json.dumps({**document, "inventory": {"machine": name, "bundles": {}, "installs_bundles": False}})


def connect(name: str, port: int) -> paho.Client:
    """Return a client that is connected; nobody but the caller serves it."""
    client = paho.Client(CallbackAPIVersion.VERSION2, name)
    client.will_set(f"asd/{name}/status", "offline", qos=1, retain=True)
    client.connect("127.0.0.1", port, keepalive=600)
    client.loop(0.01)
    return client


def publish(client: paho.Client, topic: str, text: str, qos: int) -> None:
    """Publish a retained message and serve the connection once."""
    client.publish(topic, text, qos=qos, retain=True)
    client.loop(0.0)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    names = [f"box-{i:05}" for i in range(options.agents)]
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder) / "broker", log="error") as broker:
        assert broker.process is not None
        process = psutil.Process(broker.process.pid)
        began = time.monotonic()
        clients = {name: connect(name, broker.port) for name in names}
        for name, client in clients.items():
            publish(client, f"asd/{name}/status", "online", 1)
            publish(client, f"asd/{name}/health", health(name), 0)
            publish(client, f"asd/{name}/monitor/m/state", STATE, 1)
        print(f"{options.agents} agents connected in {time.monotonic() - began:.1f} s")
        before, began, sent, table = process.cpu_times(), time.monotonic(), 0, None
        due = sorted(
            [(began + HEALTH_SECONDS * i / len(names), n, "health") for i, n in enumerate(names)]
            + [(began + STATE_SECONDS * i / len(names), n, "state") for i, n in enumerate(names)]
        )
        looks = []
        while time.monotonic() - began < options.seconds:
            at, name, what = due.pop(0)
            time.sleep(max(0.0, at - time.monotonic()))
            if what == "health":
                publish(clients[name], f"asd/{name}/health", health(name), 0)
            else:
                publish(clients[name], f"asd/{name}/monitor/m/state", STATE, 1)
            sent += 1
            due.append((at + (HEALTH_SECONDS if what == "health" else STATE_SECONDS), name, what))
            if len(due) > 1 and due[-1] < due[-2]:
                due.sort()
            if table is None and time.monotonic() - began > options.seconds / 3 * (len(looks) + 0.5):
                looked = time.monotonic()
                command = [
                    str(Path(sys.executable).with_name("asd-agent")),
                    "fleet",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(broker.port),
                ]
                table = subprocess.Popen([*command, "--json"], stdout=(Path(folder) / "table").open("w"))
            if table is not None and table.poll() is not None:
                rows = (Path(folder) / "table").read_text().count('"agent": "box-')
                looks.append((time.monotonic() - looked, table.returncode, rows))
                table = None
        seconds, after = time.monotonic() - began, process.cpu_times()
        used = after.user + after.system - before.user - before.system
        print(f"{sent / seconds:.0f} messages a second for {seconds:.0f} s")
        print(f"broker: {100 * used / seconds:.1f} % of one core, {process.memory_info().rss / 1e6:.0f} MB")
        for took, code, rows in looks:
            print(f"fleet table: {took:.1f} s, exit code {code}, {rows} agents")


if __name__ == "__main__":
    main()
