"""Search space of a recipe: the values that may vary, and recipes with some of them replaced."""

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
    """Check that a recipe has a search space and that both ends of each dimension give a valid recipe.

    Raises:
        ConfigError: The space is missing, or it has an unknown key or an invalid value.
    """
    if not recipe.search:
        raise ConfigError(
            f"recipe {recipe.name} has no search space",
            "Add `search:`, such as `features.n_mels: {values: [64, 128]}`; docs/search.md.",
        )
    for place, dimension in recipe.search.items():
        ends = dimension.values or [dimension.low, dimension.high]
        for value in ends:
            with_values(recipe, {place: _number(dimension, value)}, recipe.name)


def with_values(recipe: Recipe, values: Values, name: str) -> Recipe:
    """Return a recipe with other values at some keys, under another name.

    Raises:
        ConfigError: A key is unknown or a value is invalid.
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
        settings = ", ".join(f"{place} = {value}" for place, value in values.items())
        raise ConfigError(
            f"recipe {recipe.name}: {settings} is not valid: {first['msg']}", "Change `search:`."
        ) from error


def suggest(trial: Trial, recipe: Recipe) -> dict[str, Any]:
    """Return the values that a study suggests, by key."""
    return {place: _suggested(trial, place, dimension) for place, dimension in recipe.search.items()}


def _suggested(trial: Trial, place: str, dimension: Dimension) -> Any:
    if dimension.values is not None:
        # A study stores plain values only, so that lists and mappings are stored by their index.
        return dimension.values[trial.suggest_categorical(place, list(range(len(dimension.values))))]
    low, high = dimension.low or 0.0, dimension.high or 0.0
    if _whole(dimension):
        return trial.suggest_int(place, int(low), int(high), step=int(dimension.step or 1), log=dimension.log)
    return trial.suggest_float(place, low, high, step=dimension.step, log=dimension.log)


def _whole(dimension: Dimension) -> bool:
    """Return True for a dimension of whole numbers: limits and step are whole."""
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
    raise ConfigError(
        f"recipe {name}: `search:` has the key {place!r}, but {key!r} does not exist", f"It has: {there}."
    )
