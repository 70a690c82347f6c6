"""Roll-out that stops at a bad box: real agents on one broker, one of which must return to its former bundle.

    python benchmarks/roll_out.py --agents 20 --bad 3

Every box is a real `asd-agent run` with a small bundle and a recording that it plays. The bad box plays another sound,
which its own bundle knows and the new bundle does not. At the end the boxes before it must use the new bundle, it must
use its former one, and the boxes after it must have received nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import yaml

from asd_agent.bundle import Bundle
from asd_agent.clock import SystemClock
from asd_agent.config.file import load_config
from asd_agent.service.installing import registry_of
from rigs.agent import Agent, write_config
from rigs.broker import Broker
from rigs.bundles import hum, make_bundle, write_wav
from rigs.file_server import FileServer

FORMER_PITCH, OTHER_PITCH = 120.0, 900.0


def start(folder: Path, name: str, broker: Broker, server: FileServer, sound: Path, bundle: Path) -> Agent:
    """Start a box with a bundle in its registry."""
    folder.mkdir()
    source = {"kind": "file", "path": str(sound), "speed": 1, "loop": True}
    config = write_config(folder, Path("hum"), source, broker.port, hop_seconds=2)
    settings = yaml.safe_load(config.read_text())
    settings["agent"]["name"] = name
    settings["paths"]["bundles"] = str(folder / "bundles")
    settings["install_bundle"] = {"url_prefixes": [server.url], "trial_windows": 3}
    config.write_text(yaml.safe_dump(settings))
    registry_of(load_config(config), SystemClock()).install(bundle)
    return Agent(config)


def main() -> None:
    """Run it and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--bad", type=int, default=3, help="place of the bad box, from 1")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "files").mkdir()
        broker = stack.enter_context(Broker(folder / "broker"))
        server = stack.enter_context(FileServer(folder / "files"))
        usual = write_wav(folder / "usual.wav", hum(60, 1, pitch=FORMER_PITCH))
        other = write_wav(folder / "other.wav", hum(60, 2, pitch=OTHER_PITCH))
        former = make_bundle(folder / "former" / "hum", pitch=FORMER_PITCH)
        own = make_bundle(folder / "own" / "hum", pitch=OTHER_PITCH)
        new = make_bundle(folder / "new" / "hum", clips=20, pitch=FORMER_PITCH)
        names = [f"hall-3-{n:02d}" for n in range(1, arguments.agents + 1)]
        before: dict[str, str] = {}
        for number, box in enumerate(names, 1):
            sound, bundle = (other, own) if number == arguments.bad else (usual, former)
            before[box] = bundle.digest
            agent = start(folder / box, box, broker, server, sound, bundle.path)
            stack.callback(agent.close)
            agent.wait_log("listening")
        url, digest = server.add(new.path, "new.tar")
        began = time.monotonic()
        command = ["fleet", "roll-out", url, "-h", "127.0.0.1", "-p", str(broker.port), "--sha256", digest]
        command += ["--to", "hall-3-*", "--canary", "1", "--watch", "5", "--json"]
        done = subprocess.run(
            [sys.executable, "-c", "from asd_agent.cli import main; main()", *command],
            check=False,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - began
        boxes = json.loads(done.stdout)["boxes"] if done.stdout else []
        in_use = {box: Bundle.open(folder / box / "bundles" / "hum").digest for box in names}
        wanted = {box: new.digest if n < arguments.bad else before[box] for n, box in enumerate(names, 1)}
        wrong = [box for box in names if in_use[box] != wanted[box]]
        outcomes = [box["outcome"] for box in boxes]
        result = {
            "agents": len(names),
            "exit_code": done.returncode,
            "seconds": round(seconds, 1),
            "outcomes": {kind: outcomes.count(kind) for kind in ("done", "failed", "untouched")},
            "failure": next((box["text"] for box in boxes if box["outcome"] == "failed"), done.stderr[-500:]),
            "wrong_bundle": wrong,
        }
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
    expected = ["done"] * (arguments.bad - 1) + ["failed"] + ["untouched"] * (arguments.agents - arguments.bad)
    raise SystemExit(0 if not wrong and outcomes == expected and done.returncode == 1 else 1)


if __name__ == "__main__":
    main()
