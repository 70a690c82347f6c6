"""Start of the service: processor time until READY, of the service, its capture child and children that have ended.

    python benchmarks/start.py --rounds 5
    python benchmarks/start.py --rounds 5 --other CHECKOUT     # and another version in turn, with its agent/ folder

Elapsed time to READY depends on the other work on the machine; on an idle one with two cores it is less than the
processor time, since the capture child runs beside the service. The first start of a state folder, which checks the
bundle in a child process, is shown by itself.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from agent_process import AgentProcess
from live import _settings, as_wav

from asd_agent.demo.assets import demo_bundle, demo_recording
from rigs.broker import Broker
from rigs.microphone import VirtualMicrophone


def main() -> None:
    """Print medians with the least and the most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--other", type=Path, help="checkout of another version")
    asked = parser.parse_args()
    versions = {"this version": ""} | ({str(asked.other): str(asked.other / "agent")} if asked.other else {})
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in versions}
    with (
        tempfile.TemporaryDirectory() as folder,
        VirtualMicrophone() as microphone,
        Broker(Path(folder) / "broker", log="error") as broker,
    ):
        microphone.play(as_wav(demo_recording(), Path(folder) / "sound.wav"))
        settings = _settings(demo_bundle(), 1, 5.0, broker.port)
        for _ in range(asked.rounds + 2):
            for number, (name, path) in enumerate(versions.items()):
                environment = {**microphone.environment, **({"PYTHONPATH": path} if path else {})}
                with AgentProcess(Path(folder) / str(number), settings, environment) as agent:
                    seconds, use = agent.wait_ready(), agent.use()
                    assert use is not None
                    ended = children_seconds(agent.process.pid)
                    found[name].append((use.cpu_seconds + ended, seconds, use.resident / 2**20))
    print("| | processor time to READY | elapsed | resident |\n|---|---|---|---:|")
    for name, starts in found.items():
        for what, some in (("first start", starts[:1]), ("later starts", starts[2:])):
            cpu, elapsed, resident = zip(*some, strict=True)
            print(f"| {name}, {what} | {spread(cpu)} | {spread(elapsed)} | {statistics.median(resident):.0f} MiB |")


def children_seconds(pid: int) -> float:
    """Return the processor time of children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def spread(values: tuple[float, ...]) -> str:
    """Return median, least and most in seconds."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
