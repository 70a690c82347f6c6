"""Recipes on top of others: what is merged, what is replaced, and mistakes named in the file that holds them."""

import json
from pathlib import Path

import pytest

from asd_agent.config.file import ConfigFileError
from asd_trainer.cli import main
from asd_trainer.recipes.load import load_recipe, packaged, resolved
from rigs.command import call

BASE = """name: base
description: the one below
features: {n_mels: 64}
experts:
  - kind: autoencoder
    training: {steps: 9, batch: 4}
    density: {density: gmm, components: 2}
  - kind: level
device: cpu
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path, "base", BASE)
    return tmp_path


def test_mappings_are_merged_and_experts_patched_by_their_places(place):
    text = (
        "extends: base.yaml\nname: mine\nfeatures: {n_fft: 2048}\nexperts:\n  0: {training: {steps: 7}, members: 2}\n"
    )
    recipe = load_recipe(write(place, "mine", text))
    assert (recipe.features.n_mels, recipe.features.n_fft, recipe.device) == (64, 2048, "cpu")
    first, second = recipe.experts
    assert (first.training.steps, first.training.batch, first.members, second.kind) == (7, 4, 2, "level")
    assert first.density.components == 2
    assert recipe.description == ""  # not that of the other recipe


def test_a_list_replaces_and_a_mapping_that_extends_nothing_begins_anew(place):
    replaced = load_recipe(write(place, "a", "extends: base.yaml\nname: a\nexperts: [{kind: indicators}]\n"))
    assert [e.kind for e in replaced.experts] == ["indicators"]
    text = "extends: base.yaml\nname: b\nexperts:\n  0: {density: {extends: null, density: mean}}\n"
    fresh = load_recipe(write(place, "b", text)).experts[0].density
    assert (fresh.density, fresh.components) == ("mean", 1)


def test_an_expert_takes_the_only_one_of_another_recipe_with_its_front_end(tmp_path):
    text = "name: two\nexperts:\n  - extends: ae\n    members: 2\n  - extends: bc\n"
    recipe = load_recipe(write(tmp_path, "two", text))
    for expert, other in zip(recipe.experts, ("ae", "bc"), strict=True):
        assert expert.features == load_recipe(other).features
    assert (recipe.experts[0].members, recipe.experts[0].network) == (2, load_recipe("ae").experts[0].network)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: nowhere\nname: m\n", r"m\.yaml:1: extends: no recipe is called 'nowhere'"),
        ("extends: aee\nname: m\n", r"m\.yaml:1: .*Did you mean 'ae'"),
        ("name: m\nextends: m.yaml\n", r"m\.yaml:1: extends: extends itself in a circle"),
        ("extends: base.yaml\n", r"name: is missing"),
        (
            "extends: base.yaml\nname: m\nexperts:\n  5: {members: 2}\n",
            r"m\.yaml:4: 5: there is no item 5: the list has 2",
        ),
        (
            "extends: base.yaml\nname: m\nexperts:\n  0: {membrs: 2}\n",
            r"m\.yaml:4: .*membrs: unknown key. Did you mean 'm",
        ),
        ("name: m\nexperts: [{extends: base.yaml}]\n", r"m\.yaml:2: .*can only extend a recipe of one expert"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_remedy(place, text, message):
    with pytest.raises(ConfigFileError, match=message):
        load_recipe(write(place, "m", text))


def test_a_mistake_below_is_named_in_the_file_that_holds_it(place):
    write(place, "base", BASE.replace("steps: 9", "stepps: 9"))
    with pytest.raises(ConfigFileError, match=r"base\.yaml:6: .*stepps: unknown key"):
        load_recipe(write(place, "m", "extends: base.yaml\nname: m\n"))


def test_a_resolved_recipe_is_the_same_recipe_in_one_file(tmp_path):
    import yaml

    for name in ("mix", "ae-mean", "bc-bank", "baseline-ae-short"):
        path = write(tmp_path, name, yaml.safe_dump(resolved(name)))
        assert "extends" not in path.read_text()
        assert load_recipe(path) == load_recipe(name)


def test_every_packaged_recipe_is_listed_on_one_line_of_80_columns_with_a_description():
    lines = call(main, "recipes").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert listed == set(packaged())
    rows = json.loads(call(main, "recipes", "--json").stdout)["recipes"]
    assert {row["group"] for row in rows} == {"reduced", "paper", "ablations"}
    assert all(row["description"] for row in rows)


def test_a_recipe_is_shown_with_what_it_extends_and_an_unknown_one_gets_the_nearest_name():
    assert "freq_masks: 5" in call(main, "recipes", "show", "ae-mean").stdout
    done = call(main, "recipes", "show", "mixx")
    assert done.returncode == 78
    assert "Did you mean 'mix'?" in done.stderr
