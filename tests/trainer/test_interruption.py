"""A command that is interrupted states how to continue, and a training loses no finished step."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asd_trainer.engine.checkpoint import read_checkpoint
from rigs.clips import write_data_set
from rigs.waiting import PATIENCE

RECIPE = """
name: long
features: {n_fft: 512, hop_length: 512, n_mels: 16}
experts:
  - kind: autoencoder
    members: 1
    network: {blocks: 1, units: 16, heads: 2, feedforward: 16, kernel: 3}
    training: {steps: 1000000, batch: 2, warmup_steps: 10}
checkpoint_every: 1000000
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_training_keeps_its_steps_and_states_how_to_continue(tmp_path: Path, number, code):
    data = write_data_set(tmp_path / "data", train_source=8, train_target=2, test=0)
    recipe = tmp_path / "long.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    command = [sys.executable, "-c", "from asd_trainer.cli import main; main()", "train", data]
    command += ["--recipe", recipe, "--out", tmp_path / "runs"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    # A shell that runs the tests in the background lets them ignore SIGINT, and so would the training.
    command = ["env", "--default-signal=INT", *command]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        until = time.monotonic() + PATIENCE
        while not any(tmp_path.glob("runs/jobs/*/progress.json")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.1)
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert errors.splitlines()[-1] == ("asd-trainer: interrupted. Run the same command again to continue from here.")
    assert "Traceback" not in errors
    (checkpoint,) = tmp_path.glob("runs/jobs/*/files/checkpoint.pt")
    assert read_checkpoint(checkpoint)["step"] >= 1
