"""A service that is asked to reload again and again: is every window of an unchanged monitor scored once, does it grow?

    python benchmarks/reloads.py --reloads 240

A monitor listens to a looped recording at twice its speed through the demo's bundle. Each reload adds or removes
another source and monitor; every seventh configuration cannot be used. Exit code 1 when one was lost or came twice.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from asd_agent.demo.assets import demo_bundle, demo_recording
from rigs.agent import running, write_config
from rigs.broker import Broker, Listener

SCORES, EVENTS, HEALTH = "asd/box/monitor/m/score", "asd/box/event", "asd/box/health"
OUTCOMES = ("reloaded", "reload_failed")


def burden(pid: int) -> str:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    resident, threads = int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
    return f"{resident:.0f} MiB, {threads} threads, {len(list(Path(f'/proc/{pid}/fd').iterdir()))} descriptors"


def changed(base: dict[str, Any], number: int) -> str:
    settings = yaml.safe_load(yaml.safe_dump(base))
    if number % 2 == 0:
        settings["sources"]["other"] = settings["sources"]["sound"]
        settings["monitors"]["n"] = {**settings["monitors"]["m"], "source": "other", "section": "01"}
        settings["commands"] = ["shelve"]
    if number % 7 == 0:
        settings["nonsense"] = 1
    return yaml.safe_dump(settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=240)
    wanted = parser.parse_args().reloads
    with tempfile.TemporaryDirectory() as place, Broker(Path(place)) as broker:
        source = {"kind": "file", "path": str(demo_recording()), "speed": 2, "loop": True}
        config = write_config(Path(place), demo_bundle(), source, broker.port)
        base = yaml.safe_load(config.read_text())
        with Listener(broker.settings(), "asd/#") as listener:
            with running(config) as agent:
                listener.wait_for(SCORES, 1, 60)
                for number in range(wanted):
                    config.write_text(changed(base, number))
                    before = len(listener.texts(EVENTS))
                    agent.process.send_signal(signal.SIGHUP)
                    listener.wait_where(EVENTS, lambda e: e["event"] in OUTCOMES, 60, after=before)
                    if number % 30 == 29:
                        print(f"{number + 1} reloads: {burden(agent.process.pid)}", flush=True)
            listener.wait_text("asd/box/status", "offline")
            scores, windows = listener.objects(SCORES), listener.objects(HEALTH)[-1]["monitors"]["m"]
    starts = [datetime.fromisoformat(s["window_start"].replace("Z", "+00:00")).timestamp() for s in scores]
    steps = sorted({round(b - a, 3) for a, b in pairwise(starts)})
    print(f"{len(starts)} windows, seconds from one to the next: {steps}; {windows}")
    whole = windows["due"] == windows["scored"] == len(starts)
    return int(steps != [5.0] or not whole)


if __name__ == "__main__":
    sys.exit(main())
