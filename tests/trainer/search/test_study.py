"""A search for settings: the recipe as it is comes first, a kill costs one trial at most, and no label is looked at."""

import json
from pathlib import Path

import pytest
import yaml

from asd_agent.errors import ConfigError, DataError
from asd_trainer.data.dataset import scan
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.search import study as module
from asd_trainer.search.space import check_space, with_values
from asd_trainer.search.study import held_out_recordings, search_machine, without
from rigs.clips import write_data_set

EXPERT = {"kind": "mel_statistics", "features": {"n_fft": 1024, "hop_length": 1024, "n_mels": 16}}
SPACE = {
    "experts.0.features.n_mels": {"low": 8, "high": 24, "step": 8},
    "experts.0.scorers": {"values": ["condition", "machine"]},
}


def recipe(**space: object) -> Recipe:
    return Recipe.model_validate({"name": "plain", "experts": [EXPERT], "search": space or SPACE})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("search"), train_source=12, train_target=3, test=2)


def test_a_space_is_part_of_a_recipe_and_decides_nothing_else(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text(yaml.safe_dump({"name": "plain", "experts": [EXPERT], "search": SPACE}))
    read = load_recipe(file)
    assert read.search["experts.0.scorers"].values == ["condition", "machine"]
    assert "search" not in read.model_dump()
    assert load_recipe("mahalanobis-search").search
    check_space(load_recipe("mahalanobis-search"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"experts.0.features.mels": {"values": [8, 16]}}, "'mels' does not exist"),
        ({"experts.1.scorers": {"values": ["condition", "machine"]}}, "'1' does not exist"),
        ({"experts.0.features.n_fft": {"values": [1024, 1023]}}, "n_fft = 1023 is not valid"),
        ({"experts.0.features.n_mels": {"low": 0, "high": 8, "step": 1}}, "n_mels = 0 is not valid"),
    ],
)
def test_an_impossible_space_is_refused_before_anything_is_tried(space, message):
    with pytest.raises(ConfigError, match=message):
        check_space(recipe(**space))


@pytest.mark.parametrize(
    "dimension",
    [{"low": 1}, {"values": [1, 2], "low": 1, "high": 2}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}],
)
def test_a_dimension_is_some_values_or_a_range(dimension):
    with pytest.raises(ValueError, match=r"values|below|above"):
        recipe(**{"experts.0.features.n_mels": dimension})


def test_values_are_put_where_they_belong():
    found = with_values(recipe(), {"experts.0.features.n_mels": 24, "features.hop_length": 256}, "other")
    assert (found.name, found.experts[0].features.n_mels, found.features.hop_length) == ("other", 24, 256)


def test_what_judges_was_neither_trained_on_nor_is_it_a_test_clip(data, tmp_path):
    whole = scan(data)
    kept = held_out_recordings(whole, "fan", ("source", "target"), seed=0)
    assert {place: len(clips) for place, clips in kept.items()} == {("00", "source"): 3, ("01", "source"): 3}
    clips = [c for own in kept.values() for c in own]
    assert {c.split for c in clips} == {"train"}
    rest = without(whole, clips, tmp_path / "links")
    names = {c.path.name for c in rest.select(split="train")}
    assert not names & {c.path.name for c in clips}
    assert len(names) == 2 * (12 - 3 + 3)
    assert len(rest.select(split="test")) == len(whole.select(split="test"))


class Killed(BaseException):
    """Stands for whatever ends a search."""


def test_a_search_goes_on_after_a_kill_to_the_trials_of_an_unbroken_one(data, tmp_path, monkeypatch):
    """And its result is a recipe that trains as it is."""
    whole = search_machine(scan(data), "fan", recipe(), tmp_path / "whole", trials=3)
    assert [t.number for t in whole.tried] == [0, 1, 2]
    assert whole.tried[0].values == {}
    assert whole.hand_set == whole.tried[0].objective
    assert whole.best == max(t.objective for t in whole.tried)
    train, calls = module.train_machine, []

    def killed(*args, **more):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return train(*args, **more)

    monkeypatch.setattr(module, "train_machine", killed)
    with pytest.raises(Killed):
        search_machine(scan(data), "fan", recipe(), tmp_path / "broken", trials=3)
    again = search_machine(scan(data), "fan", recipe(), tmp_path / "broken", trials=3)
    assert len(again.tried) == 3
    assert again.tried[0] == whole.tried[0]
    assert again.tried[1].values == whole.tried[1].values  # what was being tried is tried again
    assert again.tried[1].objective == whole.tried[1].objective
    found = load_recipe(whole.path)
    assert found.experts[0].features.n_mels in (8, 16, 24)
    assert "by altered normal sound alone" in whole.path.read_text()
    assert json.loads(found.model_dump_json()) == json.loads(whole.recipe.model_dump_json())


def test_by_labels_the_file_says_so_and_a_domain_without_clips_to_judge_by_is_refused(data, tmp_path):
    found = search_machine(
        scan(data), "fan", recipe(), tmp_path / "labels", trials=2, objective="labels", domain="target"
    )
    assert "by labelled anomalies of the development sections" in found.path.read_text()
    with pytest.raises(DataError, match="none of 2 trials succeeded"):
        search_machine(scan(data), "fan", recipe(), tmp_path / "target", trials=2, domain="target")
