"""A recipe's search space: which of its values may change, and the recipe with some of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from asd_agent.errors import ConfigError
from asd_trainer.recipes.recipe import Dimension, Recipe

if TYPE_CHECKING:
    from optuna import Trial

Values = Mapping[str, Any]


def check_space(recipe: Recipe) -> None:
    """See that a recipe has a space and that either end of each dimension makes a recipe.

    Raises:
        ConfigError: It has none, names a place that is not there, or a value that cannot be.
    """
    if not recipe.search:
        raise ConfigError(
            f"recipe {recipe.name} says nothing of what may change",
            "Give it `search:`, such as `features.n_mels: {values: [64, 128]}`; docs/search.md.",
        )
    for place, dimension in recipe.search.items():
        ends = dimension.values or [dimension.low, dimension.high]
        for value in ends:
            changed(recipe, {place: _number(dimension, value)}, recipe.name)


def changed(recipe: Recipe, values: Values, name: str) -> Recipe:
    """The recipe with other values at some places, under another name.

    Raises:
        ConfigError: There is no such place, or a value cannot be.
    """
    content: dict[str, Any] = recipe.model_dump(mode="json") | {"name": name}
    for place, value in values.items():
        *path, last = place.split(".")
        part: Any = content
        for key in path:
            part = _step(part, key, place, recipe.name)
        _step(part, last, place, recipe.name)
        part[int(last) if isinstance(part, list) else last] = value
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        said = ", ".join(f"{place} = {value}" for place, value in values.items())
        raise ConfigError(f"recipe {recipe.name}: {said} cannot be: {first['msg']}", "Change `search:`.") from error


def suggest(trial: Trial, recipe: Recipe) -> dict[str, Any]:
    """Values that a study wants to try, by place."""
    return {place: _suggested(trial, place, dimension) for place, dimension in recipe.search.items()}


def _suggested(trial: Trial, place: str, dimension: Dimension) -> Any:
    if dimension.values is not None:
        # Lists and mappings are told apart by their number; a study keeps plain values alone.
        return dimension.values[trial.suggest_categorical(place, list(range(len(dimension.values))))]
    low, high = dimension.low or 0.0, dimension.high or 0.0
    if _whole(dimension):
        return trial.suggest_int(place, int(low), int(high), step=int(dimension.step or 1), log=dimension.log)
    return trial.suggest_float(place, low, high, step=dimension.step, log=dimension.log)


def _whole(dimension: Dimension) -> bool:
    """Whole numbers alone: a step of whole numbers says so."""
    return dimension.step is not None and all(
        value is not None and float(value).is_integer() for value in (dimension.low, dimension.high, dimension.step)
    )


def _number(dimension: Dimension, value: Any) -> Any:
    return int(value) if dimension.values is None and _whole(dimension) else value


def _step(part: Any, key: str, place: str, name: str) -> Any:
    if isinstance(part, list) and key.isdigit() and int(key) < len(part):
        return part[int(key)]
    if isinstance(part, dict) and key in part:
        return part[key]
    there = (
        ", ".join(part) if isinstance(part, dict) else f"0 to {len(part) - 1}" if isinstance(part, list) else "nothing"
    )
    raise ConfigError(f"recipe {name}: `search:` names {place!r}, and there is no {key!r} in it", f"There is {there}.")
