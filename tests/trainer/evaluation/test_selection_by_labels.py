"""Members by labels, the paper's way: the best of the development sections for each domain, and no other label."""

import pytest

from asd_trainer.evaluation.selection_by_labels import best_members, choice_of
from asd_trainer.recipes.recipe import Recipe

MEMBERS = ["ae-0", "ae-1", "ae-2", "ae-3"]
MEASURES = {
    "00/source": {"ae-0": [0.9, 0.9], "ae-1": [0.5, 0.5], "ae-2": [0.7, 0.7], "ae-3": [0.6, 0.6]},
    "01/source": {"ae-0": [0.1, 0.1], "ae-1": [0.5, 0.5], "ae-2": [0.7, 0.7], "ae-3": [0.6, 0.6]},
    "00/target": {"ae-0": [0.9, 0.9], "ae-1": [0.8, 0.8], "ae-2": [0.7, 0.7], "ae-3": [0.6, 0.6]},
    "03/source": {"ae-0": [0.9, 0.9], "ae-1": [1.0, 1.0], "ae-2": [0.1, 0.1], "ae-3": [0.1, 0.1]},
}


def test_the_harmonic_mean_over_development_sections_of_a_domain_decides():
    # ae-0 has 4 / (2/0.9 + 2/0.1) = 0.18 over sections 00 and 01; section 03 does not count.
    assert best_members(MEASURES, MEMBERS, "source", 3) == ["ae-2", "ae-3", "ae-1"]
    assert best_members(MEASURES, MEMBERS, "target", 3) == ["ae-0", "ae-1", "ae-2"]


def test_nothing_is_chosen_without_labels():
    assert best_members({"03/target": MEASURES["03/source"]}, MEMBERS, "target", 3) == []


@pytest.mark.parametrize("by_labels", [False, True])
def test_labels_are_looked_at_only_where_the_recipe_asks(by_labels):
    recipe = Recipe.model_validate({"name": "pool", "experts": [{"kind": "autoencoder", "members": 4}]})
    choice = choice_of(MEASURES, {}, recipe.choosing_by_labels(3) if by_labels else recipe)
    if by_labels:
        assert choice.members["autoencoder"]["source"] == [2, 3, 1]
        assert choice.sections == ["00", "01"]
    else:
        assert (choice.members, choice.sections) == ({}, [])


def test_the_best_configurations_of_each_development_section_are_used_in_all_sections():
    """For classifiers, "N × S models": what is best in 00 and what is best in 01, together."""

    def cell(section: str, domain: str, *values: float) -> dict[str, list[float]]:
        return {f"bc-{n}-{section}-{domain}": [v, v] for n, v in enumerate(values)}

    measures = {
        "00/source": cell("00", "source", 0.9, 0.8, 0.1, 0.2),
        "01/source": cell("01", "source", 0.1, 0.8, 0.2, 0.9),
        "03/source": cell("03", "source", 0.1, 0.1, 0.9, 0.1),
        "00/target": cell("00", "target", 0.5, 0.4, 0.6, 0.7),
        "01/target": cell("01", "source", 0.5, 0.4, 0.6, 0.7),  # nothing was tuned: the source's network judges
    }
    recipe = Recipe.model_validate({"name": "pool", "experts": [{"kind": "classifier", "members": 4}]})
    choice = choice_of(measures, {}, recipe.choosing_by_labels(2))
    assert choice.members == {"classifier": {"source": [0, 1, 3], "target": [3, 2]}}
    assert choice.sections == ["00", "01"]


def test_one_expert_for_each_domain_is_chosen_by_labels_and_all_where_there_are_none():
    """The paper's "max": its cells are one expert's or the other's."""
    experts = {
        "00/source": {"autoencoder": [0.9, 0.6], "classifier": [0.7, 0.6]},
        "01/source": {"autoencoder": [0.6, 0.6], "classifier": [0.7, 0.6]},
        "03/target": {"autoencoder": [0.9, 0.9], "classifier": [0.5, 0.5]},
    }
    content = {
        "name": "select",
        "experts": [{"kind": "autoencoder"}, {"kind": "classifier"}],
        "experts_by_labels": True,
    }
    recipe = Recipe.model_validate(content)
    assert recipe.by_labels
    assert not recipe.choosing_none().by_labels
    assert choice_of({"00/source": {}}, experts, recipe).experts == {"source": "autoencoder"}
    with pytest.raises(ValueError, match="needs two experts"):
        Recipe.model_validate({**content, "experts": [{"kind": "autoencoder"}]})
