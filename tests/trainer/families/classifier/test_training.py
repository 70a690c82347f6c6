"""Training classifiers: they learn, find their centroids, are tuned by the right clips, and go on after a kill."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.checkpoint import CheckpointError, read_checkpoint
from asd_trainer.engine.randomness import TrainingRandomness, own_randomness
from asd_trainer.families.classifier import objective as module
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.classifier.objective import infer
from asd_trainer.families.classifier.settings import ClassifierExpert
from asd_trainer.families.classifier.training import load_classifier, train_classifier, tune_classifier
from asd_trainer.recipes.recipe import Recipe

SECONDS = 1.6
RECIPE = Recipe.model_validate(
    {
        "name": "test",
        "features": {"n_fft": 1024, "hop_length": 512, "n_mels": 32},
        "experts": [
            {
                "kind": "classifier",
                "network": {"backbone": "lcnet_050", "frames": 48, "embedding": 8},
                "losses": {"ddcsad": 0.1, "arcface": 0.2},
                "training": {"steps": 12, "batch": 8, "learning_rate": 5e-3, "backbone_rate": 5e-3},
                "tuning": {"steps": 4, "target_items": 3},
            }
        ],
        "checkpoint_every": 3,
        "device": "cpu",
    }
)
EXPERT = RECIPE.experts[0].member(0, RECIPE.features)


def tones(hz: float, count: int, seed: int) -> ClipSet:
    rng = np.random.default_rng(seed)
    t = np.arange(round(SECONDS * 16_000)) / 16_000
    rows = [
        0.2 * np.sin(2 * np.pi * hz * rng.uniform(0.98, 1.02) * t) + 0.02 * rng.normal(size=t.size)
        for _ in range(count)
    ]
    names = tuple(f"{hz:g}-{i}.wav" for i in range(count))
    return ClipSet(names, samples=(np.array(rows) * 32767).astype(np.int16)).with_log_mels(RECIPE.features)


NORMAL, TARGET, ANOMALIES = tones(500, 6, 0), tones(700, 3, 1), tones(2000, 7, 2)


def train(out: Path, recipe: Recipe = RECIPE, normal: ClipSet = NORMAL, **more) -> Path:
    expert = recipe.experts[0].member(0, recipe.features)
    return train_classifier(normal, ANOMALIES, expert, recipe.execution, out, seed=1, **more)


def tune(source: Path, out: Path, **more) -> Path:
    return tune_classifier(source, TARGET, NORMAL, ANOMALIES, EXPERT, RECIPE.execution, out, seed=1, **more)


def with_settings(**changes) -> Recipe:
    content = RECIPE.model_dump()
    for part, values in changes.items():
        content["experts"][0][part] |= values
    return Recipe.model_validate(content)


class Killed(BaseException):
    """Stands for whatever ends a process at a step."""


def stop_at(step: int):
    def stop(now: int, *_: float) -> None:
        if now == step:
            raise Killed

    return stop


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("source"))


def test_a_training_and_a_tuning_go_on_to_the_weights_of_unbroken_ones(tmp_path, source):
    with pytest.raises(Killed):
        train(tmp_path / "broken", progress=stop_at(8))
    unbroken, again = read_checkpoint(source), read_checkpoint(train(tmp_path / "broken"))
    assert unbroken["step"] == 12
    assert all(torch.equal(unbroken["model"][k], again["model"][k]) for k in unbroken["model"])
    whole = read_checkpoint(tune(source, tmp_path / "tuned"))
    with pytest.raises(Killed):
        tune(source, tmp_path / "halted", progress=stop_at(3))
    resumed = read_checkpoint(tune(source, tmp_path / "halted"))
    assert all(torch.equal(whole["model"][k], resumed["model"][k]) for k in whole["model"])
    assert not torch.equal(whole["model"]["posterior.weight"], unbroken["model"]["posterior.weight"])


def test_the_centroids_are_the_mean_embeddings_of_all_clips_under_the_final_weights(source, tmp_path):
    """By brute force, clip by clip."""
    for checkpoint, normal in ((source, [NORMAL]), (tune(source, tmp_path), [NORMAL, TARGET])):
        model = load_classifier(checkpoint)
        features = np.concatenate([s.features for s in normal])
        with torch.no_grad():
            z = [model.embed(model.crops(torch.from_numpy(f[None]))[0])[1][0] for f in features]
            far = [model.embed(model.crops(torch.from_numpy(f[None]))[0])[1][0] for f in ANOMALIES.features]
        torch.testing.assert_close(model.normal_centroid, torch.stack(z).mean(dim=0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.anomaly_centroid, torch.stack(far).mean(dim=0), rtol=1e-4, atol=1e-5)


def test_items_of_different_sides_are_mixed_for_the_target_alone(tmp_path, source, monkeypatch):
    """The paper mixes in the tuning; in the source's training a mixed item has a sound that no machine makes."""
    alphas = []
    real = module.mixup
    monkeypatch.setattr(module, "mixup", lambda x, y, alpha, *more: (alphas.append(alpha), real(x, y, alpha, *more))[1])
    train(tmp_path / "source")
    assert alphas == []
    tune(source, tmp_path / "tuned")
    assert alphas == [0.2] * 4


def test_centroids_are_found_at_the_start_of_every_epoch_and_once_at_the_end(tmp_path, monkeypatch):
    """13 clips in batches of 8: an epoch is 2 steps, 12 steps are 6 epochs."""
    calls = []
    real = module.centroids
    monkeypatch.setattr(module, "centroids", lambda *a: (calls.append(1), real(*a)))
    train(tmp_path)
    assert len(calls) == 6 + 1


def test_the_loss_is_the_sum_of_its_terms_by_their_weights(source):
    lines = [json.loads(line) for line in (source.parent / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    for line in lines:
        assert line["loss"] == pytest.approx(
            line["cross_entropy"] + 0.1 * line["ddcsad"] + 0.2 * line["arcface"], rel=1e-4
        )


def test_it_learns_what_is_normal(tmp_path):
    recipe = with_settings(training={"steps": 90}, augmentation={"mixup": 0.0, "noise": 0.0, "volume": 0.0})
    model = load_classifier(train(tmp_path, recipe))
    mine, other = infer(model, tones(500, 4, 7).features), infer(model, tones(2000, 4, 8).features)
    assert mine[:, 0, 0].min() > 0.5 > other[:, 0, 0].max()
    assert mine[:, 0, 1].max() < other[:, 0, 1].min()


def test_every_batch_of_the_tuning_holds_just_so_many_target_items(source, tmp_path, monkeypatch):
    """And each of them is mixed with a source clip."""
    batches, mixed = [], []
    losses, mix = module.ClassifierObjective._losses, module.ClassifierObjective._mixed_with_source

    def watched(self, indices):
        batches.append(indices)
        return losses(self, indices)

    def watched_mix(self, x, indices):
        y = mix(self, x, indices)
        mixed.append(int((x != y).any(dim=1).sum()))
        return y

    monkeypatch.setattr(module.ClassifierObjective, "_losses", watched)
    monkeypatch.setattr(module.ClassifierObjective, "_mixed_with_source", watched_mix)
    tune(source, tmp_path)
    assert len(batches) == 4
    first, last = len(NORMAL), len(NORMAL) + len(TARGET)
    for indices in batches:
        assert ((indices >= first) & (indices < last)).sum() == 3
        assert (indices < first).sum() == 1
        assert (indices >= last).sum() == 4
    assert max(mixed) == 3
    assert sum(mixed) >= 8  # a share of Beta(0.2, 0.2) may round to the target clip alone


def test_backbone_and_head_learn_at_rates_of_their_own(tmp_path):
    """A backbone that may not learn keeps its weights while the head moves."""
    frozen = with_settings(training={"steps": 2, "backbone_rate": 1e-30})
    state = read_checkpoint(train(tmp_path, frozen))["model"]
    shape = ClassifierShape.model_validate(read_checkpoint(tmp_path / "final.pt")["shape"])
    with own_randomness(torch.device("cpu"), deterministic=True):
        TrainingRandomness(1, torch.device("cpu"))
        fresh = Classifier(shape)
    weights = dict(fresh.named_parameters())
    moved = {name: not torch.allclose(state[name], weights[name], atol=1e-7) for name in weights}
    assert not any(value for name, value in moved.items() if name.startswith("net."))
    assert moved["head.1.weight"]


def test_bad_clips_and_foreign_checkpoints_are_named(tmp_path, source):
    broken = NORMAL.features.copy()
    broken[2, 3, 4] = np.nan
    with pytest.raises(DataError, match=r"clip 500-2\.wav has features that are not finite"):
        train(tmp_path / "nan", normal=replace(NORMAL, features=broken))
    with pytest.raises(DataError, match="windows of 51 frames are shorter than the 64 of a crop"):
        train(tmp_path / "short", with_settings(network={"frames": 64}))
    with pytest.raises(CheckpointError, match="belongs to a training with other data, recipe or seed"):
        train_classifier(NORMAL, TARGET, EXPERT, RECIPE.execution, source.parent, seed=1)


def test_several_crops_are_learnt_from_anywhere_and_judged_evenly(tmp_path):
    recipe = with_settings(network={"frames": 32, "crops": 3}, training={"steps": 2})
    model = load_classifier(train(tmp_path, recipe))
    assert model.starts == [0, round(19 / 2), 19]
    assert infer(model, NORMAL.features).shape == (6, 3, 2 + 8)


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="20 target items do not fit into the normal half of 32"):
        ClassifierExpert.model_validate(
            {"training": {"batch": 32}, "tuning": {"target_items": 20}, "kind": "classifier"}
        )
    with pytest.raises(ValueError, match="tuning: null"):
        ClassifierExpert.model_validate({"kind": "classifier", "density": {"density": "bank", "first": 2}})
    with pytest.raises(ValueError, match="logit_distance, posterior_distance or bank"):
        ClassifierExpert.model_validate({"kind": "classifier", "density": {"density": "gmm"}})
