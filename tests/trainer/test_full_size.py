"""The full-size networks of the paper and of the official baselines build, take two steps, export, and hold parity."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from asd_trainer.data.clip_sounds import hear
from asd_trainer.data.clip_windows import WINDOW_SAMPLES
from asd_trainer.data.split import TrainingSet
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.classifier.training import load_classifier, train_classifier
from asd_trainer.fit.member import train_member
from asd_trainer.recipes.recipe import Recipe, load_recipe

STEPS = BATCH = 2


def in_two_steps(name: str) -> Recipe:
    """The recipe with its networks as they are, trained for two steps with two clips each."""
    content = load_recipe(name).model_dump()
    for expert in content["experts"]:
        training = expert["training"]
        training |= {"steps": STEPS, "batch": BATCH} if "steps" in training else {"epochs": 1, "batch": BATCH}
    return Recipe.model_validate({**content, "device": "cpu"})


def clips(recipe: Recipe, frames: int | None = None) -> TrainingSet:
    spec = recipe.features_of(recipe.network())
    cells = (BATCH, frames or spec.frames(WINDOW_SAMPLES), spec.n_mels)
    features = np.random.default_rng(0).normal(-40, 10, cells).astype(np.float32)
    return TrainingSet(features, np.array([0, 0.5], np.float32), ["one.wav", "two.wav"])


@pytest.mark.parametrize(
    ("name", "weights"),
    # 4 blocks of 2 (2·256·1024) + 4·256² + 3·256² + small ones, and 129·256 on either side
    [("paper", 6.1e6), ("baseline-ae", 267_928)],
)
def test_it_builds_takes_two_steps_exports_and_holds_parity(tmp_path, name, weights):
    recipe = in_two_steps(name)
    expert = recipe.network().member(0, recipe.features)
    learnt = clips(recipe, 6 if name == "baseline-ae" else None)  # an epoch of two clips with two stacks each
    model = train_member(learnt, recipe, expert, tmp_path, seed=0)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == STEPS
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(weights, rel=0.05)
    check_graph(model, tmp_path / "member.onnx")


def check_graph(model: torch.nn.Module, path: Path) -> None:
    """Its inputs have the network's names, and it gives torch's numbers at a batch that nothing has seen."""
    assert export_network(model, path) < 1e-3
    session = onnxruntime.InferenceSession(path.read_bytes())
    assert [i.name for i in session.get_inputs()] == list(model.inputs)
    example = model.example(3)  # neither the batch of the training nor that of the trace
    (found,) = session.run(["error"], dict(zip(model.inputs, (v.numpy() for v in example), strict=True)))
    with torch.no_grad():
        np.testing.assert_allclose(found, model(*example).numpy(), rtol=1e-3, atol=1e-3)


def test_the_official_mobilenet_learns_two_excerpts_of_two_sections_and_holds_parity(tmp_path):
    recipe = in_two_steps("baseline-mnv2")
    expert = recipe.network().member(0, recipe.features)
    model = train_member(clips(recipe, 72), recipe, expert, tmp_path, seed=0)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == STEPS
    for part in model.modules():  # fresh normalisation answers next to nothing, which would prove nothing
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1.5)
    check_graph(model, tmp_path / "member.onnx")


@pytest.mark.parametrize(
    ("number", "weights"),
    [(0, 21.4e6), (1, 23.3e6), (2, 10.9e6)],
    ids=["resnet34", "resnext50_32x4d", "efficientnet_b3"],
)
def test_the_papers_classifiers_take_two_steps_export_and_hold_parity(tmp_path, number, weights):
    """256 bands, 256 frames of a window of 257, and every backbone of the paper."""
    content = load_recipe("paper-bc").model_dump()
    content["experts"][0]["training"] |= {"steps": STEPS, "batch": BATCH}
    content["experts"][0]["tuning"] = None
    recipe = Recipe.model_validate({**content, "device": "cpu"})
    expert = recipe.classifier().member(number, recipe.features)
    rng = np.random.default_rng(0)
    own, other = (
        hear(rng.normal(0, 3000, (BATCH, WINDOW_SAMPLES)).astype(np.int16), [f"{kind}-{i}" for i in range(BATCH)], spec)
        for kind, spec in (("own", recipe.features), ("other", recipe.features))
    )
    assert own.features.shape == (BATCH, 257, 256)
    model = load_classifier(train_classifier(own, other, recipe, expert, tmp_path, seed=0))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == STEPS
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(weights, rel=0.02)
    give_normalisation_weight(model)
    assert export_network(model, tmp_path / "member.onnx") < 1e-3


def give_normalisation_weight(model: torch.nn.Module) -> None:
    """Fresh normalisation answers next to nothing, which would prove nothing; with random scales it answers."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d)]
    for norm in norms:
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        norm.momentum = 1.0
    model.train()
    with torch.no_grad():
        model(*model.example(8))
    model.eval()
