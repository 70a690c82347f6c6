"""The full-size networks of the paper and of the official baselines build, take two steps, export, and hold parity."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.autoencoder.training import load_autoencoder, train_autoencoder
from asd_trainer.families.classifier.training import load_classifier, train_classifier
from asd_trainer.families.dense_autoencoder.training import load_dense, train_dense
from asd_trainer.families.section_classifier.training import load_sections, train_sections
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe

STEPS = BATCH = 2


def in_two_steps(name: str) -> Recipe:
    """The recipe with its networks as they are, trained for two steps with two clips each."""
    content = load_recipe(name).model_dump()
    for expert in content["experts"]:
        training = expert["training"]
        training |= {"steps": STEPS, "batch": BATCH} if "steps" in training else {"epochs": 1, "batch": BATCH}
    return Recipe.model_validate({**content, "device": "cpu"})


def clips(recipe: Recipe, frames: int | None = None) -> ClipSet:
    spec = recipe.features
    cells = (BATCH, frames or spec.frames(WINDOW_SAMPLES), spec.n_mels)
    features = np.random.default_rng(0).normal(-40, 10, cells).astype(np.float32)
    return ClipSet(("one.wav", "two.wav"), features=features, sections=np.array([0, 0.5], np.float32))


@pytest.mark.parametrize(
    ("name", "weights", "train", "load"),
    # 4 blocks of 2 (2·256·1024) + 4·256² + 3·256² + small ones, and 129·256 on either side
    [
        ("paper", 6.1e6, train_autoencoder, load_autoencoder),
        ("baseline-ae", 267_928, train_dense, load_dense),
    ],
)
def test_it_builds_takes_two_steps_exports_and_holds_parity(tmp_path, name, weights, train, load):
    recipe = in_two_steps(name)
    expert = recipe.experts[0].member(0, recipe.features)
    learnt = clips(recipe, 6 if name == "baseline-ae" else None)  # an epoch of two clips with two stacks each
    model = load(train(learnt, expert, recipe.execution, tmp_path, seed=0))
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
    expert = recipe.experts[0].member(0, recipe.features)
    model = load_sections(train_sections(clips(recipe, 72), expert, recipe.execution, tmp_path, seed=0))
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
    content = load_recipe("paper-bc-ens").model_dump()
    content["experts"][0]["training"] |= {"steps": STEPS, "batch": BATCH}
    content["experts"][0]["tuning"] = None
    recipe = Recipe.model_validate({**content, "device": "cpu"})
    expert = recipe.experts[0].member(number, recipe.features)
    rng = np.random.default_rng(0)
    own, other = (
        ClipSet(tuple(f"{kind}-{i}" for i in range(BATCH)), samples=samples).with_log_mels(recipe.features)
        for kind in ("own", "other")
        for samples in [rng.normal(0, 3000, (BATCH, WINDOW_SAMPLES)).astype(np.int16)]
    )
    assert own.features.shape == (BATCH, 257, 256)
    model = load_classifier(train_classifier(own, other, expert, recipe.execution, tmp_path, seed=0))
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
