"""Factors that the benchmark of a recipe's networks multiplies: steps over machines and sections, and operations."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from asd_trainer.data.clips import WINDOW_SAMPLES
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "training_networks.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_papers_mix_is_counted_over_machines_sections_members_and_tunings(benchmark):
    found = benchmark.networks(load_recipe("paper-mix"), machines=7, sections=6)
    autoencoders, classifiers = found[:5], found[5:]
    assert [one.name for one in classifiers] == ["resnet34", "resnext50_32x4d", "efficientnet_b3"]
    # Two members of each of five variants; a section's tuning has three folds beside itself.
    assert [one.steps for one in autoencoders] == [7 * 2 * 50_000] * 5
    assert [one.steps for one in classifiers] == [7 * 6 * (8_000 + 4 * 800)] * 3


def test_operations_of_a_step_are_those_of_its_products_and_convolutions(benchmark):
    network = {"blocks": 1, "units": 4, "heads": 2, "kernel": 3, "feedforward": 8}
    expert = {"kind": "autoencoder", "network": network, "training": {"batch": 5}}
    recipe = Recipe.model_validate({"name": "t", "features": {"n_mels": 16, "hop_length": 4000}, "experts": [expert]})
    (one,) = benchmark.networks(recipe, 1, 1)
    frames = recipe.features.frames(WINDOW_SAMPLES)
    # In and out with the section's value; four layers of two feed-forward modules; attention's and convolution's own.
    weights = 2 * 17 * 4 + 4 * 4 * 8 + (3 + 1) * 4 * 4 + (2 + 1) * 4 * 4
    depthwise, attention = 4 * 3, 2 * frames * 4
    forward = 2 * frames * (weights + depthwise + attention)
    assert benchmark.flops(one) == 5 * 3 * forward
