"""Instruction counts of a window's computations: log-mels, indicators and quality, against recorded ones.

    python benchmarks/instructions.py
    python benchmarks/instructions.py --check      # exit code 1 where a count is 1.5 times the recorded one or more
    python benchmarks/instructions.py --record

Counts do not depend on the speed of the machine or on other work, unlike times. They are valgrind's (callgrind), whose
processor has AVX2 and no AVX-512; counting begins after the first call of each computation. They depend on numpy, so a
record names its version, and another version has twice the room.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.audio.quality import QualityLimits, assess
from asd_agent.features.indicators import indicators
from asd_agent.features.log_mel import FeatureSpec, log_mel

RECORD = Path(__file__).with_suffix(".json")
ROOM = 1.5
"""Largest ratio to the recorded count: processors without AVX2 and other compilers need more instructions."""
REPEATS = 3
WINDOW = (0.1 * np.random.default_rng(0).standard_normal(10 * SAMPLE_RATE)).astype(np.float32)
WORKS = {
    "log-mel, 64 bands, n_fft 2048, hop 1024": lambda: log_mel(
        WINDOW, FeatureSpec(n_mels=64, n_fft=2048, hop_length=1024)
    ),
    "log-mel, 128 bands, n_fft 1024, hop 512": lambda: log_mel(WINDOW, FeatureSpec()),
    "indicators": lambda: indicators(WINDOW[None]),
    "quality": lambda: assess(WINDOW, limits=QualityLimits()),
}


def counted(name: str) -> int:
    """Return the instructions of one call of a work, counted in a process of its own.

    Raises:
        SystemExit: valgrind does not run here.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                "--instr-atstart=no",
                f"--callgrind-out-file={folder}/out",
                sys.executable,
                __file__,
                "--work",
                name,
            ],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode or not found:
            raise SystemExit(f"valgrind cannot count {name}:\n{done.stderr[-2000:]}")
        return int(found[1]) // REPEATS


def _environment() -> dict[str, str]:
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def _work(name: str) -> None:
    """Call a work under valgrind: once to fill caches, then some times while it counts."""
    work = WORKS[name]
    work()
    _count("on", os.getpid())
    for _ in range(REPEATS):
        work()
    _count("off", os.getpid())


def _count(state: str, process: int) -> None:
    subprocess.run(["callgrind_control", "-i", state, str(process)], check=True, stdout=subprocess.DEVNULL)


def exceeded(counts: Mapping[str, int], record: Mapping[str, Any], numpy_version: str) -> list[str]:
    """Return the works that need too many times their recorded instructions; one without a record is none of them."""
    room = ROOM if record["numpy"] == numpy_version else 2 * ROOM
    known = record["instructions"]
    return [name for name, count in counts.items() if name in known and count >= room * known[name]]


def main() -> int:
    """Print counts and their ratios to the recorded ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        _work(asked.work)
        return 0
    if not shutil.which("valgrind") or not shutil.which("callgrind_control"):
        print("skipped: valgrind is not installed (`apt install valgrind`)")
        return 0
    machine = platform.machine()
    records = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    before = records.get(machine, {"numpy": np.__version__, "instructions": {}})
    counts = {name: counted(name) for name in WORKS}
    for name, count in counts.items():
        known = before["instructions"].get(name)
        print(f"{name}: {count / 1e6:.1f} million" + (f", {count / known:.2f} of the recorded" if known else ""))
    if asked.record:
        records[machine] = {"numpy": np.__version__, "instructions": counts}
        RECORD.write_text(json.dumps(records, indent=1) + "\n")
    elif machine not in records:
        print(f"nothing to compare with: no counts of {machine} are recorded")
    over = exceeded(counts, before, np.__version__)
    if asked.check and over:
        print(f"Too many instructions: {'; '.join(over)}. See what was added; --record where it is worth them.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
