"""Steps that are read late change nothing: not the weights, not the metrics, not the report of a step that fails."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from asd_trainer.engine.checkpoint import Checkpoints, read_checkpoint
from asd_trainer.engine.loop import TrainingSchedule, TrainingTask, train_steps
from asd_trainer.engine.loss_log import FIRST_STEPS, DivergedError
from asd_trainer.engine.randomness import BatchSampler, TrainingRandomness, own_randomness
from asd_trainer.engine.schedule import constant

CLIPS, BATCH, STEPS = 12, 3, 30
CPU = torch.device("cpu")


class Line:
    """A line through noisy points, some of which go wrong at a step."""

    def __init__(self, spoilt: int | None = None, what: float = float("nan")) -> None:
        self.model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1))
        self.x = torch.randn(CLIPS, 4, generator=torch.Generator().manual_seed(0))
        self.calls, self.spoilt, self.what = 0, spoilt, what
        self.latest: dict[str, Tensor] = {}

    def losses(self, indices: np.ndarray) -> Tensor:
        self.calls += 1
        found = (
            self.model(self.x[torch.from_numpy(indices)])[:, 0] - self.x[torch.from_numpy(indices)].sum(1)
        ).square()
        self.latest = {"largest": found.detach().amax()}
        if self.calls == self.spoilt:
            found = found * torch.tensor([1.0, self.what, 1.0])
        return found


def train(
    out: Path, every: int, *, line: dict | None = None, checkpoint_every: int = 7, clip_norm: float | None = 5.0, **more
) -> Path:
    checkpoints = Checkpoints(out, "inputs")
    with own_randomness(CPU, deterministic=True):
        randomness = TrainingRandomness(3, CPU)
        lesson = Line(**(line or {}))
        task = TrainingTask(
            model=lesson.model,
            clip_losses=lesson.losses,
            sampler=BatchSampler(CLIPS, BATCH, 3),
            randomness=randomness,
            names=[f"clip {i}" for i in range(CLIPS)],
            description={"kind": "line"},
            terms=lambda: lesson.latest,
        )
        schedule = TrainingSchedule(STEPS, 0.05, constant(), clip_norm=clip_norm)
        train_steps(
            task,
            schedule,
            checkpoints,
            folder=out,
            checkpoint_every=checkpoint_every,
            read_every=every,
            clock=lambda: 0.0,  # no checkpoints by time
            **more,
        )
    return checkpoints.final


def clip_of(step: int, place: int) -> str:
    sampler = BatchSampler(CLIPS, BATCH, 3)
    drawn = [sampler.draw() for _ in range(step)]
    return f"clip {drawn[-1][place]}"


def same(one: Path, other: Path) -> bool:
    a, b = read_checkpoint(one)["model"], read_checkpoint(other)["model"]
    return all(torch.equal(a[k], b[k]) for k in a)


class Killed(BaseException):
    """Stands for whatever ends a process at a step."""


@pytest.mark.parametrize("every", [4, 20, 1000])
def test_how_often_steps_are_read_changes_neither_weights_nor_metrics(tmp_path, every):
    one, other = train(tmp_path / "1", 1), train(tmp_path / "n", every)
    assert same(one, other)
    lines = (tmp_path / "1/metrics.jsonl").read_text()
    assert (tmp_path / "n/metrics.jsonl").read_text() == lines
    assert [json.loads(line)["step"] for line in lines.splitlines()] == list(range(1, STEPS + 1))
    assert json.loads(lines.splitlines()[9]).keys() == {"step", "loss", "learning_rate", "gradient_norm", "largest"}


def test_steps_are_read_singly_at_first_then_seldom_and_before_every_checkpoint(tmp_path):
    seen: list[int] = []
    train(tmp_path, 10, checkpoint_every=18, progress=lambda step, *_: seen.append(step))
    assert seen == [*range(1, FIRST_STEPS + 1), 15, 18, 28, 30]


def test_what_was_killed_between_two_readings_ends_as_if_it_had_not_been(tmp_path):
    """Steps 15 to 20 are lost with their readings; the checkpoint of step 14 is the one to go on from."""
    whole = train(tmp_path / "whole", 6)

    def stop(step: int, *_: float) -> None:
        if step >= 20:
            raise Killed

    with pytest.raises(Killed):
        train(tmp_path / "broken", 6, progress=stop)
    assert read_checkpoint(tmp_path / "broken/checkpoint.pt")["step"] == 14
    assert same(train(tmp_path / "broken", 9), whole)
    assert (tmp_path / "broken/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize("every", [1, 20])
@pytest.mark.parametrize("checkpoint_every", [1000, 9])
def test_a_loss_that_is_not_finite_is_told_with_its_very_step_and_clip(tmp_path, every, checkpoint_every):
    with pytest.raises(DivergedError, match=rf"not finite at step 7, on clip {clip_of(7, 1)} \(1 of 3 clips\)"):
        train(tmp_path, every, line={"spoilt": 7}, checkpoint_every=checkpoint_every)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 6
    assert not (tmp_path / "checkpoint.pt").exists(), "a checkpoint was written after a step gone wrong"
    assert not (tmp_path / "final.pt").exists()


def test_the_checkpoint_before_a_step_gone_wrong_is_kept(tmp_path):
    with pytest.raises(DivergedError, match="at step 17,"):
        train(tmp_path, 20, line={"spoilt": 17}, checkpoint_every=6)
    kept = read_checkpoint(tmp_path / "checkpoint.pt")
    assert kept["step"] == 12
    assert all(torch.isfinite(v).all() for v in kept["model"].values())


def test_a_gradient_that_is_not_finite_is_told_with_the_clip_of_the_largest_loss(tmp_path):
    """A loss of 1e38 is finite; the square of its gradient is not."""
    with pytest.raises(DivergedError, match=rf"gradient is not finite at step 7; .* is {clip_of(7, 1)}\. Lower the"):
        train(tmp_path, 20, line={"spoilt": 7, "what": 1e37})
