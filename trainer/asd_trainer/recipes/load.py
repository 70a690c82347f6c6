"""Reading recipes: packaged ones by their names, others from files, each perhaps on top of another.

A recipe is a YAML file; `asd_trainer.recipes.recipe` describes its keys. With `extends:` it names another recipe, by
name or by a path from its own folder, and gives only what differs:

    extends: ae
    name: ae-long
    experts:
      0: {training: {steps: 600}}

Mappings are merged key by key, to any depth; anything else replaces what was there. Lists are replaced, with one
exception: where the other recipe has a list and this one gives a mapping of places, as `experts:` above, the items at
these places are merged and the others stay. A mapping with the key `extends: null` replaces instead of being merged, so
that keys fall back to their defaults:

    experts:
      0: {density: {extends: null, density: mean}}

An expert in a list may extend as well: it takes the only expert of the named recipe, with that recipe's front end.

    experts:
      - extends: ae-ens
      - extends: bc-ens
        members: 1

`name`, `description`, `needs` and `seconds` are a recipe's own and are not inherited.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from asd_agent.config.file import (
    ConfigFileError,
    ConfigMistake,
    load_settings,
    read_yaml,
    validate_yaml,
)
from asd_agent.config.yaml_reader import construct
from asd_agent.errors import ConfigError
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.settings import Settings

FOLDER = Path(__file__).parent
TABLE = FOLDER / "table.yaml"
"""Recipes that a table compares where none is named."""
EXTENDS = "extends"
_OWN = ("name", "description", "needs", "seconds")
"""Keys that a recipe does not inherit."""
_DEEPEST = 10
"""Recipes on top of each other; more is a circle."""
_TEXT = "tag:yaml.org,2002:str"


class TableRecipes(Settings):
    """A file that names recipes to compare, such as recipes/table.yaml and recipes/ablations.yaml.

    Attributes:
        recipes: Names of packaged recipes, or files; paths start at this file's folder.
    """

    recipes: list[str] = Field(min_length=1)


def packaged() -> dict[str, Path]:
    """Return the files of the packaged recipes by their names, sorted."""
    files = {path.stem: path for path in FOLDER.rglob("*.yaml") if not _names_recipes(path)}
    return dict(sorted(files.items()))


def recipe_names() -> list[str]:
    """Return the names of the packaged recipes, sorted."""
    return list(packaged())


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Load a packaged recipe by its name, or one from a file (anything with a suffix or a folder in it).

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: The file cannot be read or has mistakes; it holds every mistake with its line and remedy.
    """
    path = _file_of(str(name_or_path), Path())
    return validate_yaml(path, _merged(path), Recipe)


def resolved(name_or_path: str | Path) -> dict[str, Any]:
    """Return the keys of a recipe together with those that it extends, as they would be in one file.

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: The file cannot be read or has mistakes.
    """
    path = _file_of(str(name_or_path), Path())
    root = _merged(path)
    validate_yaml(path, root, Recipe)
    return construct(root)


def load_recipes(named: Sequence[str | Path]) -> list[Recipe]:
    """Load the named recipes, or those of the packaged table where none is named.

    Args:
        named: Names of packaged recipes or lists of them, files, or files with `recipes: […]`; several with commas
            between them.

    Raises:
        ConfigError: No recipe has this name.
        ConfigFileError: A file cannot be read or has mistakes.
    """
    found: list[Recipe] = []
    for name in [part.strip() for text in named or [TABLE] for part in str(text).split(",")]:
        path = Path(name)
        listed = FOLDER / f"{name}.yaml"
        if listed.is_file() and _names_recipes(listed):
            path = listed
        if path.suffix and path.is_file() and _names_recipes(path):
            names = packaged()
            recipes = load_settings(path, TableRecipes).recipes
            found += [load_recipe(one if one in names else path.parent / one) for one in recipes]
        else:
            found.append(load_recipe(name))
    return found


def _file_of(name: str, folder: Path) -> Path:
    """The file of a packaged recipe, or of a path that starts at a folder.

    Raises:
        ConfigError: No packaged recipe has this name.
    """
    path = Path(name)
    if path.suffix or len(path.parts) > 1:
        return folder / path
    files = packaged()
    if name not in files:
        near = difflib.get_close_matches(name, files, n=1)
        remedy = f"Did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"no recipe is called '{name}'", f"{remedy}There are {', '.join(files)}, or give a file's path."
        )
    return files[name]


def _merged(path: Path, above: int = 0) -> yaml.MappingNode:
    """The keys of a file on top of those of the recipe that it extends; each node knows its file and line."""
    root = read_yaml(path, unreadable="Name a recipe's file.", empty="Begin with `name: …`.")
    if above > _DEEPEST:
        raise ConfigFileError(path, [ConfigMistake(1, EXTENDS, "extends itself in a circle", "Break the circle.")])
    root = _with_experts(root, path, above)
    base = _extended(root, path, above)
    if base is None:
        return _without(root, EXTENDS)
    return _merge_mappings(_without(base, *_OWN), _without(root, EXTENDS))


def _extended(node: yaml.MappingNode, path: Path, above: int) -> yaml.MappingNode | None:
    """The recipe that a mapping extends; None where it names none."""
    value = _get(node, EXTENDS)
    if value is None or _is_null(value):
        return None
    line = value.start_mark.line + 1
    if not isinstance(value, yaml.ScalarNode):
        raise ConfigFileError(path, [ConfigMistake(line, EXTENDS, "names no recipe", "Give a name or a path.")])
    try:
        file = _file_of(str(value.value), path.parent)
    except ConfigError as error:
        raise ConfigFileError(path, [ConfigMistake(line, EXTENDS, str(error))]) from error
    return _merged(file, above + 1)


def _with_experts(root: yaml.MappingNode, path: Path, above: int) -> yaml.MappingNode:
    """The same recipe with the experts that its list takes from other recipes."""
    experts = _get(root, "experts")
    if not isinstance(experts, yaml.SequenceNode):
        return root
    items = [_expert(item, path, above) if isinstance(item, yaml.MappingNode) else item for item in experts.value]
    return _replaced(root, "experts", yaml.SequenceNode(experts.tag, items, experts.start_mark, experts.end_mark))


def _expert(item: yaml.MappingNode, path: Path, above: int) -> yaml.MappingNode:
    """An expert on top of the only expert of the recipe that it extends, with the front end of that recipe."""
    base = _extended(item, path, above)
    if base is None:
        return item
    experts = _get(base, "experts")
    only = experts.value[0] if isinstance(experts, yaml.SequenceNode) and len(experts.value) == 1 else None
    if not isinstance(only, yaml.MappingNode):
        line = item.start_mark.line + 1
        text = "an expert can only extend a recipe of one expert"
        raise ConfigFileError(path, [ConfigMistake(line, f"experts.{EXTENDS}", text, "Name another recipe.")])
    features = _get(base, "features")
    if features is not None and _get(only, "features") is None:
        only = _replaced(only, "features", features)
    return _merge_mappings(only, _without(item, EXTENDS))


def _merge_mappings(base: yaml.MappingNode, own: yaml.MappingNode) -> yaml.MappingNode:
    """One mapping on top of another, key by key."""
    for key, value in own.value:
        before = _get(base, key.value)
        base = _replaced(base, key.value, value if before is None else _merge(before, value), key)
    return base


def _merge(base: yaml.Node, own: yaml.Node) -> yaml.Node:
    """One node on top of another: a mapping is merged, a list is patched by places, anything else is replaced."""
    if isinstance(own, yaml.MappingNode):
        alone = _get(own, EXTENDS)
        if alone is not None and _is_null(alone):
            return _without(own, EXTENDS)
        if isinstance(base, yaml.MappingNode):
            return _merge_mappings(base, own)
        if isinstance(base, yaml.SequenceNode) and all(str(key.value).isdigit() for key, _ in own.value):
            items = list(base.value)
            for key, value in own.value:
                place = int(key.value)
                if place >= len(items):
                    text = f"there is no item {place}: the list has {len(items)}"
                    mistake = ConfigMistake(key.start_mark.line + 1, str(key.value), text, "Count from 0.")
                    raise ConfigFileError(Path(str(key.start_mark.name)), [mistake])
                items[place] = _merge(items[place], value)
            return yaml.SequenceNode(base.tag, items, base.start_mark, base.end_mark)
    return own


def _get(node: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in node.value if name.value == key), None)


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _without(node: yaml.MappingNode, *keys: str) -> yaml.MappingNode:
    pairs = [(name, value) for name, value in node.value if name.value not in keys]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _replaced(
    node: yaml.MappingNode, key: str, value: yaml.Node, name: yaml.ScalarNode | None = None
) -> yaml.MappingNode:
    """The same mapping with another value for a key, which keeps its place, or is added at the end."""
    pairs = list(node.value)
    place = next((i for i, (old, _) in enumerate(pairs) if old.value == key), len(pairs))
    if name is None:
        name = pairs[place][0] if place < len(pairs) else yaml.ScalarNode(_TEXT, key, value.start_mark, value.end_mark)
    pairs[place : place + 1] = [(name, value)]
    return yaml.MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _names_recipes(path: Path) -> bool:
    return any(line.startswith("recipes:") for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
