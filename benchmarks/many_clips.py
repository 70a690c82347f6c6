"""Reading of many clips: `inspect`, the log-mels of a training, and `score`, on one core and on all.

    python benchmarks/many_clips.py --clips 100 1000 10000 --rounds 3

Each is a process of its own, on one core and on all in turn, so that other work affects both alike. Shown are the
medians of elapsed time, of processor time and of the largest resident memory, and the ratio of elapsed times pair by
pair, with its least and most. The clips are links to a hundred files of 10 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.demo.assets import demo_bundle
from asd_agent.parallel import CORES, cores

UNIQUE = 100
LOG_MELS = """
import sys
from pathlib import Path
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import load_log_mels
from asd_trainer.data.dataset import scan
load_log_mels(scan(Path(sys.argv[1])).clips, FeatureSpec(n_mels=64, n_fft=2048, hop_length=1024))
"""


def make_clips(folder: Path, count: int) -> Path:
    """Make a data set of one machine and return its folder."""
    own, data = folder / "unique", folder / f"data-{count}"
    own.mkdir(exist_ok=True)
    train = data / "fan" / "train"
    train.mkdir(parents=True)
    for number in range(count):
        source = own / f"{number % UNIQUE}.wav"
        if not source.exists():
            noise = 0.1 * np.random.default_rng(number).standard_normal(10 * SAMPLE_RATE)
            soundfile.write(source, noise, SAMPLE_RATE, subtype="PCM_16")
        (train / f"section_00_source_train_normal_{number:05d}.wav").hardlink_to(source)
    return data


def commands(data: Path) -> dict[str, list[str]]:
    """Return the command of each reading."""
    agent = [sys.executable, "-c", "from asd_agent.cli import main; main()"]
    trainer = [sys.executable, "-c", "from asd_trainer.cli import main; main()"]
    clips = sorted(str(p) for p in data.rglob("*.wav"))
    return {
        "inspect": [*trainer, "inspect", str(data), "--json"],
        "log-mels": [sys.executable, "-c", LOG_MELS, str(data)],
        "score": [*agent, "score", *clips, "--bundle", str(demo_bundle()), "--json"],
    }


def run(command: Sequence[str], number: int) -> tuple[float, float, float]:
    """Run a command on so many cores; return elapsed seconds, processor seconds and MiB."""
    begun = time.perf_counter()
    environment = {**os.environ, CORES: str(number)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, use = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: links to one file are duplicates
        raise SystemExit(f"{command[:4]} ended with {process.returncode}")
    return time.perf_counter() - begun, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["inspect", "log-mels", "score"])
    asked = parser.parse_args()
    most = cores()
    print(
        f"| clips | reading | 1 core | {most} cores | faster | processor | memory |\n|---:|---|---:|---:|---|---|---|"
    )
    for count in asked.clips:
        with tempfile.TemporaryDirectory() as folder:
            wanted = {k: v for k, v in commands(make_clips(Path(folder), count)).items() if k in asked.only}
            for name, command in wanted.items():
                one, all_ = zip(*[(run(command, 1), run(command, most)) for _ in range(asked.rounds)], strict=True)
                ratios = [a[0] / b[0] for a, b in zip(one, all_, strict=True)]
                seconds, cpu, memory = _columns(one, all_)
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
                print(
                    f"| {count:,} | {name} | {seconds[0]:.1f} s | {seconds[1]:.1f} s | {spread} "
                    f"| {cpu[0]:.1f}, {cpu[1]:.1f} s | {memory[0]:.0f}, {memory[1]:.0f} MiB |",
                    flush=True,
                )


Triple = tuple[float, float, float]
Pair = tuple[float, float]


def _columns(one: Sequence[Triple], all_: Sequence[Triple]) -> tuple[Pair, Pair, Pair]:
    """Return the medians of seconds, processor time and memory, each on one core and on all."""
    found = [tuple(statistics.median(run[i] for run in runs) for runs in (one, all_)) for i in range(3)]
    return (found[0][0], found[0][1]), (found[1][0], found[1][1]), (found[2][0], found[2][1])


if __name__ == "__main__":
    main()
