"""Kills a training again and again with SIGKILL, and compares what it ends with to an unbroken run, bit for bit.

python benchmarks/kill_training.py --kills 20 --out /tmp/kill
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

STEPS_A_KILL = 15


def train(out: Path, steps: int) -> None:
    """One training on made-up sound; prints each step on stdout."""
    import numpy as np

    from asd_trainer.data.clips import ClipSet
    from asd_trainer.families.autoencoder.settings import AutoencoderExpert, ConformerSettings, TrainingSettings
    from asd_trainer.families.autoencoder.training import train_autoencoder
    from asd_trainer.families.settings import Execution

    expert = AutoencoderExpert(
        network=ConformerSettings(blocks=1, units=16, heads=2, kernel=3, feedforward=16, dropout=0.1),
        training=TrainingSettings(steps=steps, batch=5, warmup_steps=10, learning_rate=3e-3),
    )
    execution = Execution(checkpoint_every=4, device="cpu", deterministic=True)
    rng = np.random.default_rng(0)
    clips = ClipSet(
        tuple(f"clip {i}" for i in range(12)),
        features=rng.normal(-40.0, 5.0, (12, 24, 16)).astype(np.float32),
        sections=np.repeat(np.float32([0.0, 0.5]), 6),
    )
    train_autoencoder(clips, expert, execution, out, seed=3, progress=lambda step, *_: print(step, flush=True))


def start(out: Path, steps: int) -> subprocess.Popen[str]:
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, "--train", "--steps", str(steps), "--out", str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def train_with_kills(out: Path, steps: int, kills: int, chance: random.Random) -> list[int]:
    """Train to the end through so many kills; returns the step that each came after."""
    killed_at: list[int] = []
    while True:
        process = start(out, steps)
        assert process.stdout is not None
        patience = chance.randint(1, STEPS_A_KILL - 1) if len(killed_at) < kills else steps + 1
        step = 0
        for line in process.stdout:
            step, patience = int(line), patience - 1
            if patience == 0:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(0.0, 0.02))  # anywhere in a step, or in the writing of a checkpoint
                process.kill()
                break
        process.stdout.close()
        code = process.wait()
        if code == 0:
            return killed_at
        if code != -9:
            raise RuntimeError(f"the training ended with exit code {code}")
        killed_at.append(step)


def equal(one: Path, other: Path) -> bool:
    """Return whether two trainings ended with the same weights and metrics, bit for bit."""
    import torch

    a, b = (torch.load(p / "final.pt", weights_only=True)["model"] for p in (one, other))
    weights = a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    return weights and (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def main() -> int:
    """Run both and print whether they agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", action="store_true", help="one training, nothing else")
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    steps = given.steps or STEPS_A_KILL * (given.kills + 1)
    if given.train:
        train(given.out, steps)
        return 0
    train_with_kills(given.out / "unbroken", steps, 0, random.Random(given.seed))
    killed_at = train_with_kills(given.out / "killed", steps, given.kills, random.Random(given.seed))
    same = equal(given.out / "unbroken", given.out / "killed")
    print(json.dumps({"steps": steps, "killed_after_steps": killed_at, "equal": same}))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
