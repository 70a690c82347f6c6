"""A training that is killed at any moment ends as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import torch

from asd_trainer.engine.checkpoint import read_checkpoint
from rigs.waiting import PATIENCE

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "kill_training.py"


def test_three_kills_change_neither_weights_nor_metrics(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--kills", "3", "--out", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    killed, unbroken = (read_checkpoint(tmp_path / name / "final.pt") for name in ("killed", "unbroken"))
    assert killed["step"] == unbroken["step"] == 60
    assert all(torch.equal(killed["model"][k], unbroken["model"][k]) for k in unbroken["model"])
    metrics = (tmp_path / "killed" / "metrics.jsonl").read_bytes()
    assert metrics == (tmp_path / "unbroken" / "metrics.jsonl").read_bytes()
    assert metrics.count(b"\n") == 60
    assert {p.name for p in (tmp_path / "killed").iterdir()} == {"final.pt", "metrics.jsonl", "tensorboard"}
    runs = list((tmp_path / "killed" / "tensorboard").iterdir())
    assert len(runs) == 4  # one start and three resumptions
