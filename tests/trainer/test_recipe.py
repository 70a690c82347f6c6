"""Recipes: the packaged ones hold, and mistakes are told with file, line and what was meant."""

from pathlib import Path

import pytest

from asd_agent.config_file import ConfigFileError
from asd_agent.errors import ConfigError
from asd_agent.features import FeatureSpec
from asd_trainer.recipe import load_recipe, recipe_names


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["tiny", "quick", "paper"])
def test_packaged_recipes_are_valid_and_know_their_name(name):
    assert name in recipe_names()
    assert load_recipe(name).name == name


def test_the_papers_recipe_has_the_papers_numbers():
    recipe = load_recipe("paper")
    expert = recipe.autoencoder()
    training, masks = expert.training, expert.masks
    assert (training.steps, training.warmup_steps, training.batch) == (50_000, 8_000, 64)
    assert (masks.time_masks, masks.time_width) == (50, (1, 5))
    assert (masks.freq_masks, masks.freq_width) == (5, (0, 10))
    assert masks.input_dropout == 0.2
    assert expert.id_regression
    assert recipe.held_out.fraction == 0.1
    assert recipe.features_of(expert).n_mels == 128


def test_a_file_is_read_and_an_experts_features_go_before_the_recipes(tmp_path):
    path = write(
        tmp_path,
        "name: mine\nfeatures: {n_mels: 64}\nexperts:\n"
        "  - {kind: autoencoder}\n  - {kind: autoencoder, features: {n_mels: 32}}\n",
    )
    recipe = load_recipe(path)
    assert [recipe.features_of(e).n_mels for e in recipe.experts] == [64, 32]
    assert recipe.features_of(recipe.experts[0]) == FeatureSpec(n_mels=64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: m\nexperts:\n  - kind: autoencoder\n    trainin: {}\n",
            r"mine.yaml:4: .*trainin: unknown key. Did you mean 'training'",
        ),
        (
            "name: m\nexperts:\n  - kind: autoencoder\n    network: {blokcs: 2}\n",
            r":4: .*blokcs: unknown key. Did you mean 'blocks'",
        ),
        (
            "name: m\nfeature: {}\nexperts: [{kind: autoencoder}]\n",
            r":2: feature: unknown key. Did you mean 'features'",
        ),
        ("name: m\nexperts: [{kind: autoencodr}]\n", r":2: .*autoencodr.*'autoencoder'"),
        ("name: m\nexperts: []\n", ":2: experts: "),
        (
            "name: m\nexperts:\n  - kind: autoencoder\n    network: {units: 30, heads: 4}\n",
            "4 heads do not divide 30 units",
        ),
        ("name: m\nexperts:\n  - kind: autoencoder\n    network: {kernel: 4}\n", "kernel is 4; it must be odd"),
        ("name: m\nexperts:\n  - kind: autoencoder\n    masks: {time_width: [5, 1]}\n", "a width goes from 5 to 1"),
        ("name: m\nexperts: [{kind: autoencoder}]\nfeatures: {n_fft: 1023}\n", ":3: features: n_fft is 1023"),
        ("experts: [{kind: autoencoder}]\n", "name: is missing"),
        ("", "holds no keys"),
    ],
)
def test_mistakes_are_told_with_file_line_and_what_was_meant(tmp_path, text, message):
    with pytest.raises(ConfigFileError, match=message) as caught:
        load_recipe(write(tmp_path, text))
    assert caught.value.exit_code == 78


def test_every_mistake_is_told_at_once(tmp_path):
    with pytest.raises(ConfigFileError) as caught:
        load_recipe(write(tmp_path, "name: m\ndevise: cpu\nexperts:\n  - kind: autoencoder\n    member: 2\n"))
    assert [f.line for f in caught.value.findings] == [2, 5]


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ConfigError, match=r"no recipe is called 'quik'\. Did you mean 'quick'\?"):
        load_recipe("quik")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigFileError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml")
