"""One exit code for one class of mistake, in every command of both programs, as docs/troubleshooting.md states."""

from __future__ import annotations

from pathlib import Path

import pytest

from asd_agent.cli import main as agent
from asd_agent.demo.assets import demo_bundle
from asd_trainer.cli import main as trainer
from rigs.bundles import hum, write_wav
from rigs.command import call

MISSING = ["--machine", "a", "--out", "{tmp}/out"]


@pytest.mark.parametrize(
    ("main", "arguments", "code"),
    [
        (agent, ["score", "{tmp}/none.wav", "-b", "{bundle}"], 1),
        (agent, ["score", "{clip}", "-b", "{tmp}/none"], 1),
        (agent, ["learn", "--clips", "{tmp}/none.wav", *MISSING], 1),
        (agent, ["record", "--file", "{tmp}/none.wav", *MISSING], 1),
        (agent, ["bundle", "verify", "{tmp}/none"], 1),
        (trainer, ["inspect", "{tmp}/none"], 1),
        (trainer, ["import", "{tmp}/none.wav", "{tmp}/out", "--machine", "a"], 1),
        (trainer, ["train", "{tmp}/none"], 1),
        (trainer, ["evaluate", "{tmp}/none"], 1),
        (trainer, ["metrics", "{tmp}/none"], 1),
        (agent, ["score", "{clip}", "-b", "{bundle}", "--domain", "moon"], 2),
        (agent, ["learn", "--clips", "{clip}", "--machine", "a b"], 2),
        (trainer, ["import", "{clip}", "{tmp}/out", "--machine", "a b"], 2),
        (trainer, ["inspect", "--unknown"], 2),
        (agent, ["score", "{clip}", "-m", "m", "-c", "{tmp}/none.yaml"], 78),
        (agent, ["check", "-c", "{tmp}/none.yaml"], 78),
        (agent, ["calibrate", "m", "-c", "{tmp}/none.yaml"], 78),
        (trainer, ["train", "{tmp}", "--recipe", "none"], 78),
        (trainer, ["table", "{tmp}", "--recipes", "none"], 78),
    ],
)
def test_a_class_of_mistake_has_one_exit_code(tmp_path: Path, main, arguments: list[str], code: int):
    clip = write_wav(tmp_path / "clip.wav", hum(10, 1))
    done = call(main, *(a.format(tmp=tmp_path, clip=clip, bundle=demo_bundle()) for a in arguments))
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
