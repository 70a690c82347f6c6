"""Training the official baselines: they learn, resume to the same weights, and report what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import read_checkpoint
from asd_trainer.engine.loop import DivergedError
from asd_trainer.families.dense_autoencoder.training import load_dense, train_dense
from asd_trainer.families.excerpt_training import constant_schedule
from asd_trainer.families.section_classifier.training import load_sections, train_sections
from asd_trainer.recipes.recipe import Recipe

NAMES = tuple(f"section_0{i % 2}_{i:04d}.wav" for i in range(6))
SECTIONS = np.array([0, 0.5] * 3, np.float32)
DENSE = {"kind": "dense_autoencoder", "width": 16, "depth": 1, "training": {"epochs": 3, "batch": 32}}
SECTION = {"kind": "section_classifier", "frames": 32, "training": {"epochs": 2, "batch": 4}}


def recipe(expert: dict[str, object], learning_rate: float = 1e-3) -> Recipe:
    training = {**expert["training"], "learning_rate": learning_rate}
    content = {"name": "test", "experts": [{**expert, "training": training}], "checkpoint_every": 4, "device": "cpu"}
    return Recipe.model_validate(content)


def clips() -> np.ndarray:
    rng = np.random.default_rng(0)
    tilt = np.linspace(-10, 10, 32) * np.where(SECTIONS[:, None] > 0, 1, -1)
    return (-40 + tilt[:, None, :] + rng.normal(0, 2, (6, 40, 32))).astype(np.float32)


def train(out: Path, using: Recipe, features: np.ndarray | None = None, **more) -> Path:
    x = clips() if features is None else features
    expert = using.experts[0]
    learn = train_dense if expert.kind == "dense_autoencoder" else train_sections
    return learn(ClipSet(NAMES, features=x, sections=SECTIONS), expert, using.execution, out, seed=1, **more)


class Killed(BaseException):
    """Stands for whatever ends a process at a step."""


@pytest.mark.parametrize(
    ("expert", "steps", "load"),
    [(DENSE, 3 * 7, load_dense), (SECTION, 2 * 3, load_sections)],
    ids=["dense", "sections"],
)
def test_a_training_goes_on_to_the_weights_of_an_unbroken_one(tmp_path, expert, steps, load):
    """6 clips give 36 stacks of 5 frames or 2 excerpts of 32 each, in batches of 32 or 4."""

    def stop(now: int, *_: float) -> None:
        if now == 5:
            raise Killed

    unbroken = read_checkpoint(train(tmp_path / "unbroken", recipe(expert)))
    with pytest.raises(Killed):
        train(tmp_path / "broken", recipe(expert), progress=stop)
    again = read_checkpoint(train(tmp_path / "broken", recipe(expert)))
    assert unbroken["step"] == steps
    assert all(torch.equal(unbroken["model"][k], again["model"][k]) for k in unbroken["model"])
    assert load(tmp_path / "broken" / "final.pt").shape.n_mels == 32


def test_the_dense_autoencoder_learns(tmp_path):
    train(tmp_path, recipe({**DENSE, "training": {"epochs": 60, "batch": 32}}, learning_rate=1e-2))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


def test_the_rate_is_constant_and_adam_is_keras():
    schedule = constant_schedule(recipe(DENSE, 2e-4).experts[0].training, items=100)
    assert (schedule.steps, schedule.learning_rate) == (12, 2e-4)
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=schedule.learning_rate)
    scheduler = schedule.scheduler(optimizer)
    for _ in range(12):
        assert scheduler.get_last_lr() == [2e-4]
        optimizer.step()
        scheduler.step()
    assert (schedule.betas, schedule.eps, schedule.clip_norm) == ((0.9, 0.999), 1e-7, None)


def test_bad_clips_are_named(tmp_path):
    broken = clips()
    broken[3, 5, 2] = np.nan
    with pytest.raises(DataError, match=f"clip {NAMES[3]} has features that are not finite"):
        train(tmp_path, recipe(DENSE), broken)
    with pytest.raises(DataError, match="windows of 20 frames are shorter than the 32"):
        train(tmp_path, recipe(SECTION), clips()[:, :20])


def test_a_diverging_training_names_step_and_clip_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(DivergedError, match=r"at step \d+.*section_0"):
        train(tmp_path, recipe({**DENSE, "training": {"epochs": 200, "batch": 32}}, learning_rate=1e30))
    assert not (tmp_path / "final.pt").exists()


def test_one_section_cannot_be_told_apart(tmp_path):
    alone = ClipSet(NAMES[::2], features=clips()[::2], sections=SECTIONS[::2])
    with pytest.raises(DataError, match="tells sections apart needs two"):
        train_sections(alone, recipe(SECTION).experts[0], recipe(SECTION).execution, tmp_path, seed=0)
