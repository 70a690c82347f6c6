"""Training an autoencoder: it learns, repeats, resumes, and reports what went wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asd_agent.errors import AsdError, DataError
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import CheckpointError, read_checkpoint
from asd_trainer.families.autoencoder.settings import AutoencoderExpert, ConformerSettings, TrainingSettings
from asd_trainer.families.autoencoder.training import load_autoencoder, train_autoencoder
from asd_trainer.features.settings import MaskSettings
from asd_trainer.recipes.recipe import Recipe

NETWORK = ConformerSettings(blocks=1, units=16, heads=2, kernel=3, feedforward=16)
NAMES = tuple(f"section_00_{i:04d}.wav" for i in range(8))


def recipe(steps: int = 6, checkpoint_every: int = 2, learning_rate: float = 3e-3, **more) -> Recipe:
    expert = AutoencoderExpert(
        network=NETWORK,
        training=TrainingSettings(steps=steps, batch=4, warmup_steps=10, learning_rate=learning_rate),
        **more,
    )
    return Recipe(name="test", experts=[expert], checkpoint_every=checkpoint_every, device="cpu")


def hum(clips: int = 8) -> np.ndarray:
    """Clips whose bands rise and fall together: much to learn."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (clips, 1, 1))
    wave = np.sin(phase + 0.4 * np.arange(24)[None, :, None]) * np.linspace(2, 8, 10)
    return (-40 + wave + rng.normal(0, 0.3, (clips, 24, 10))).astype(np.float32)


def train(out: Path, using: Recipe, features: np.ndarray | None = None, seed: int = 1, **more) -> Path:
    x = hum() if features is None else features
    clips = ClipSet(NAMES, features=x, sections=np.zeros(len(x), np.float32))
    return train_autoencoder(clips, using.experts[0], using.execution, out, seed=seed, **more)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(checkpoint)["model"]


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return all(torch.equal(a[k], b[k]) for k in a)


class Killed(BaseException):
    """Stands for whatever ends a process at a step."""


def stop_at(step: int):
    def progress(now: int, *_: float) -> None:
        if now == step:
            raise Killed

    return progress


def test_it_learns_to_reconstruct_what_is_hidden(tmp_path):
    masks = MaskSettings(time_masks=2, freq_masks=1, freq_width=(0, 3))
    final = train(tmp_path, recipe(steps=300, checkpoint_every=1000, masks=masks))
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 300
    # A network that answers the mean has a loss of 10/11: ten bands of variance 1 and the section's 0.
    assert losses[0] > 0.7
    assert np.mean(losses[-20:]) < 0.45
    model = load_autoencoder(final)
    assert not model.training
    x = torch.from_numpy(hum())
    with torch.no_grad():
        normal = model(x, torch.ones_like(x), torch.zeros(8))[..., :10].mean()
        strange = model(x.flip(2), torch.ones_like(x), torch.zeros(8))[..., :10].mean()
    assert strange > 1.5 * normal


def test_the_network_normalises_by_the_training_data(tmp_path):
    model = load_autoencoder(train(tmp_path, recipe(steps=1)))
    np.testing.assert_allclose(model.mean.numpy(), hum().mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(model.std.numpy(), hum().std(axis=(0, 1)), rtol=1e-4)


def test_band_statistics_hold_far_from_zero():
    x = (-9000 + np.random.default_rng(0).normal(0, 0.5, (5, 7, 3))).astype(np.float32)
    mean, std = ClipSet(NAMES[:5], features=x).band_statistics()
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(std, x.astype(np.float64).std(axis=(0, 1)), rtol=1e-9)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    one, two = train(tmp_path / "1", recipe()), train(tmp_path / "2", recipe())
    other = train(tmp_path / "3", recipe(), seed=2)
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_an_interrupted_training_ends_with_the_weights_and_metrics_of_an_unbroken_one(tmp_path, step):
    whole = train(tmp_path / "whole", recipe())
    with pytest.raises(Killed):
        train(tmp_path / "broken", recipe(), progress=stop_at(step))
    seen = []
    final = train(tmp_path / "broken", recipe(), progress=lambda now, *_: seen.append(now))
    assert seen[0] == step // 2 * 2 + 1  # after the last checkpoint
    assert same(whole, final)
    assert (tmp_path / "broken/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_a_finished_training_is_returned_at_once_and_keeps_no_more_than_it_needs(tmp_path):
    final = train(tmp_path, recipe())
    written = final.stat().st_mtime_ns
    again = train(tmp_path, recipe(), progress=stop_at(1))  # would be stopped if it trained
    assert again == final
    assert final.stat().st_mtime_ns == written
    assert not (tmp_path / "checkpoint.pt").exists()
    assert "optimizer" not in read_checkpoint(final)


@pytest.mark.parametrize("change", ["data", "recipe", "seed", "unfinished"])
def test_a_folder_of_another_training_is_refused(tmp_path, change):
    if change == "unfinished":
        with pytest.raises(Killed):
            train(tmp_path, recipe(), progress=stop_at(4))
    else:
        train(tmp_path, recipe())
    using = recipe(masks=MaskSettings(time_masks=1)) if change == "recipe" else recipe()
    features = hum() + 1 if change == "data" else None
    with pytest.raises(CheckpointError, match="other data, recipe or seed"):
        train(tmp_path, using, features, seed=1 if change in {"data", "recipe"} else 2)


def test_a_memory_map_trains_like_an_array(tmp_path):
    np.save(tmp_path / "x.npy", hum())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert same(train(tmp_path / "map", recipe(), mapped), train(tmp_path / "array", recipe()))


def test_tensorboard_shows_each_step_once_after_a_resumption(tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, recipe(), progress=stop_at(3))
    train(tmp_path, recipe())
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


def test_a_diverging_training_names_step_and_clip_and_keeps_the_last_checkpoint(tmp_path):
    using = recipe(steps=50, learning_rate=1e36, checkpoint_every=1)
    with pytest.raises(AsdError, match=r"not finite at step \d+.*section_00_\d{4}\.wav.*Lower the learning rate"):
        train(tmp_path, using)
    kept = read_checkpoint(tmp_path / "checkpoint.pt")
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert kept["step"] == len(lines)
    assert not (tmp_path / "final.pt").exists()


def test_a_clip_that_is_not_finite_is_named_before_training(tmp_path):
    features = hum()
    features[5, 3, 2] = np.nan
    with pytest.raises(DataError, match=r"clip section_00_0005\.wav"):
        train(tmp_path, recipe(), features)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path):
    clips = ClipSet(NAMES, features=hum(), sections=np.zeros(7, np.float32))
    with pytest.raises(DataError, match="do not fit together"):
        train_autoencoder(clips, recipe().experts[0], recipe().execution, tmp_path, seed=1)


def test_a_damaged_checkpoint_is_named(tmp_path):
    final = train(tmp_path, recipe())
    final.write_bytes(final.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"final\.pt: cannot be read"):
        load_autoencoder(final)


def test_progress_tells_step_total_loss_and_time_left(tmp_path):
    seen = []
    train(tmp_path, recipe(), progress=lambda *values: seen.append(values))
    assert [(step, total) for step, total, _, _ in seen] == [(i, 6) for i in range(1, 7)]
    logged = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [loss for _, _, loss, _ in seen] == logged
    assert seen[0][3] > 0
    assert seen[-1][3] == 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_recipe_that_wants_cuda_where_there_is_none_is_refused(tmp_path):
    with pytest.raises(AsdError, match="wants a CUDA device"):
        train(tmp_path, recipe().model_copy(update={"device": "cuda"}))
