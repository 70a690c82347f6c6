"""Reading recipes: packaged ones by their names, others from files.

A recipe is a YAML file; see `asd_trainer.recipes.recipe` for what it holds.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from asd_agent.config.file import load_settings
from asd_agent.errors import ConfigError
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.settings import Settings

FOLDER = Path(__file__).parent
TABLE = FOLDER / "table.yaml"
"""The recipes that a table compares where none is named."""


def recipe_names() -> list[str]:
    """Names of the packaged recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if not _names_recipes(path))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A packaged recipe by its name, or one from a file (anything with a suffix or a folder in it).

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: The file cannot be read or is wrong; with every mistake, its line and the nearest valid name.
    """
    path = Path(name_or_path)
    if path.suffix or len(path.parts) > 1:
        return load_settings(path, Recipe, unreadable="Name a recipe's file.", empty="Begin with `name: …`.")
    names = recipe_names()
    if path.name not in names:
        near = difflib.get_close_matches(path.name, names, n=1)
        remedy = f"Did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"no recipe is called '{name_or_path}'", f"{remedy}There are {', '.join(names)}, or give a file's path."
        )
    return load_settings(FOLDER / f"{path.name}.yaml", Recipe)


class TableRecipes(Settings):
    """A file that names recipes to compare, such as recipes/table.yaml and recipes/ablations.yaml.

    Attributes:
        recipes: Names of packaged recipes, or files; paths are taken from this file's folder.
    """

    recipes: list[str] = Field(min_length=1)


def load_recipes(named: Sequence[str | Path]) -> list[Recipe]:
    """The recipes that are named, or those of the packaged table where none is.

    Args:
        named: Names of packaged recipes or lists of them, files, or files with `recipes: […]`; several with commas
            between them.

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: A file cannot be read or is wrong.
    """
    found: list[Recipe] = []
    for name in [part.strip() for text in named or [TABLE] for part in str(text).split(",")]:
        path = Path(name)
        if (FOLDER / f"{name}.yaml").is_file() and name not in recipe_names():
            path = FOLDER / f"{name}.yaml"
        if path.suffix and path.is_file() and _names_recipes(path):
            listed = load_settings(path, TableRecipes).recipes
            found += [load_recipe(n if n in recipe_names() else path.parent / n) for n in listed]
        else:
            found.append(load_recipe(name))
    return found


def _names_recipes(path: Path) -> bool:
    return any(line.startswith("recipes:") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
