"""Recipes: the packaged ones hold, and mistakes are reported with file, line and what was meant."""

from pathlib import Path

import pytest

from asd_agent.config.file import ConfigFileError
from asd_agent.errors import ConfigError
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.recipes.load import load_recipe, recipe_names
from asd_trainer.search.space import check_space


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_packaged_recipes_are_valid_and_know_their_name():
    names = recipe_names()
    assert {"tiny", "quick", "paper", "ae", "ae-ens", "baseline-ae", "baseline-mnv2"} <= set(names)
    assert [load_recipe(name).name for name in names] == names
    assert not {"table", "ablations"} & set(names)


def test_an_ablation_changes_what_it_says_and_nothing_else():
    ae = load_recipe("ae").model_dump(exclude={"name"})
    for name, key, value in [
        ("ae-no-masks", "replicas", {"count": 1, "pooling": "mean", "masked": False, "cells": "all"}),
        ("ae-masked-cells", "replicas", {"count": 4, "pooling": "mean", "masked": True, "cells": "masked"}),
        ("ae-no-id", "id_regression", False),
    ]:
        wanted = {**ae, "experts": [{**ae["experts"][0], key: value}]}
        assert load_recipe(name).model_dump(exclude={"name"}) == wanted
    paper = load_recipe("ae-paper-scorer").experts[0]
    assert (paper.density.density, paper.density.summary, paper.fitted_to) == ("gmm", "rows", "unlearnt")
    assert (paper.frame_pooling.alpha, load_recipe("ae-mean").experts[0].frame_pooling.alpha) == (1.0, 0.0)
    assert load_recipe("ae-mean").experts[0].density == paper.density
    one = load_recipe("ae-one-scorer").experts[0]
    assert (one.scorers, one.fitted_to) == ("machine", "unlearnt")


def test_a_variant_changes_what_it_names_and_the_recipes_features_stay_below_it():
    recipe = load_recipe("ae-ens")
    members = [recipe.experts[0].member(n, recipe.features) for n in range(4)]
    assert members[0] == members[3]
    second, third = members[1], members[2]
    assert second.features == recipe.features.model_copy(update={"n_fft": 1024, "n_mels": 96})
    assert (second.masks.freq_width, second.masks.time_masks, second.network.blocks) == ((0, 8), 25, 2)
    assert (third.network.blocks, third.network.units, third.network.feedforward) == (1, 96, 128)


def test_the_official_baselines_have_the_official_numbers():
    dense, sections = load_recipe("baseline-ae"), load_recipe("baseline-mnv2")
    for recipe in (dense, sections):
        spec = recipe.experts[0].member(0, recipe.features).features
        assert (spec.n_fft, spec.hop_length, spec.n_mels, spec.power) == (1024, 512, 128, 2)
    expert = dense.experts[0]
    assert (expert.frames, expert.width, expert.depth, expert.bottleneck) == (5, 128, 4, 8)
    assert tuple(expert.training.model_dump().values()) == (100, 512, 1e-3)
    expert = sections.experts[0]
    assert (expert.frames, expert.hop, expert.backbone) == (64, 8, "mobilenetv2_050")
    assert tuple(expert.training.model_dump().values()) == (20, 32, 1e-5)


def test_the_papers_recipe_has_the_papers_numbers():
    recipe = load_recipe("paper")
    expert = recipe.experts[0]
    training, masks = expert.training, expert.masks
    assert (training.steps, training.warmup_steps, training.batch) == (50_000, 8_000, 64)
    assert (masks.time_masks, masks.time_width) == (50, (1, 5))
    assert (masks.freq_masks, masks.freq_width) == (5, (0, 10))
    assert masks.input_dropout == 0.2
    assert expert.id_regression
    assert recipe.held_out.fraction == 0.1
    assert recipe.features.n_mels == 128


def test_the_rows_of_the_papers_table_have_recipes():
    """Single networks, the mixture, the selection by labels, and a pool for each N that the paper chooses from."""
    (ae,), (bc,) = load_recipe("paper-ae").experts, load_recipe("paper-bc").experts
    assert (ae.member_count, ae.training.steps) == (1, 50_000)
    assert (bc.member_count, bc.network.backbone, bc.training.steps, bc.tuning.steps) == (1, "resnet34", 8_000, 800)
    mix, select = load_recipe("paper-mix"), load_recipe("paper-select")
    assert select.experts_by_labels
    assert select.choosing_none().model_dump(exclude={"name"}) == mix.model_dump(exclude={"name"})
    pool = load_recipe("paper-ae-pool")
    assert [pool.choosing_by_labels(n).experts[0].best_by_labels for n in (3, 5, 10, 20)] == [3, 5, 10, 20]
    first = load_recipe("paper-ae-ens")
    for n in range(10):
        assert pool.experts[0].member(n, pool.features) == first.experts[0].member(n, first.features).model_copy(
            update={"members": 20}
        )


def test_augmentation_differs_from_member_to_member_as_in_the_paper():
    recipe = load_recipe("paper-bc-ens")
    members = [recipe.experts[0].member(n, recipe.features) for n in range(3)]
    assert [(m.augmentation.noise, m.augmentation.volume, m.losses.arcface) for m in members] == [
        (0, 0, 0),
        (0.5, 0, 0.1),
        (0, 0.5, 0),
    ]


@pytest.mark.parametrize("name", [n for n in recipe_names() if n.endswith("-search")])
def test_packaged_search_spaces_are_valid_at_both_ends(name):
    check_space(load_recipe(name))


def test_a_file_is_read_and_an_experts_features_go_before_the_recipes(tmp_path):
    path = write(
        tmp_path,
        "name: mine\nfeatures: {n_mels: 64}\nexperts:\n"
        "  - {kind: autoencoder}\n  - {kind: autoencoder, features: {n_mels: 32}}\n",
    )
    recipe = load_recipe(path)
    assert [e.member(0, recipe.features).features.n_mels for e in recipe.experts] == [64, 32]
    assert recipe.experts[0].member(0, recipe.features).features == FeatureSpec(n_mels=64)


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
        (
            "name: m\nexperts:\n  - kind: autoencoder\n    variants: [{network: {kernal: 3}}]\n",
            "a variant's kernal: Extra inputs are not permitted",
        ),
        (
            "name: m\nexperts: [{kind: autoencoder, variants: [{features: {n_fft: 7}}]}]\n",
            "a variant's values: Value error, n_fft is 7",
        ),
        (
            "name: m\nexperts:\n  - kind: autoencoder\n    replicas: {count: 2, masked: false}\n",
            "replicas without masks are all the same",
        ),
        (
            "name: m\nexperts:\n  - {kind: autoencoder, members: 2, members_by_labels: 3}\n",
            "the best 3 of 2 members cannot be chosen",
        ),
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
    assert [f.line for f in caught.value.mistakes] == [2, 5]


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(ConfigError, match=r"no recipe is called 'quik'\. Did you mean 'quick'\?"):
        load_recipe("quik")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigFileError, match=r"none\.yaml: cannot be read"):
        load_recipe(tmp_path / "none.yaml")
