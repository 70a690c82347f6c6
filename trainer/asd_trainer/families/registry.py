"""The families that recipes can name, by the kinds of their experts.

A family of this package is one folder and one line in `_FAMILIES`. A family of your own needs no change of the package:
it is a folder with an `__init__.py` that calls `register`. The folder is named on the command line,

    asd-trainer --families my_families train data --recipe mine.yaml

or in the environment variable `ASD_TRAINER_FAMILIES` (several folders with `:` between them), which the option sets.
The processes that train read the variable again, also those of a cluster. `my_families/__init__.py` holds, or imports
from the files beside it with `from . import`, a subclass of `asd_trainer.families.base.Family`:

    from asd_trainer.families.registry import register
    register(MyFamily())

The Python files of such a folder are executed: name only folders whose content you know. A member's training is
repeated where a Python file of the folder has changed. The agent needs no change either: a member exports a graph from
log-mels to rows of numbers under the kind `network`, and a density of the agent's makes a score of the rows.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from asd_agent.config.file import valid_names
from asd_agent.errors import ConfigError
from asd_trainer.families.base import Family
from asd_trainer.families.settings import Expert

OWN_FAMILIES = "ASD_TRAINER_FAMILIES"
"""Environment variable with folders of families outside this package."""
_FAMILIES = (
    "asd_trainer.families.autoencoder.family",
    "asd_trainer.families.classifier.family",
    "asd_trainer.families.embedding.family",
    "asd_trainer.families.dense_autoencoder.family",
    "asd_trainer.families.section_classifier.family",
    "asd_trainer.families.statistics.family",
)
_known: dict[str, Family[Any]] = {}
_folders: dict[Path, str] = {}
"""Folders of families outside the package that are loaded, and the digest of their code."""
_origins: dict[str, Path] = {}
"""Folder of each kind from outside the package."""


def register(family: Family[Any]) -> None:
    """Add a family; each of its modules in `_FAMILIES` and each folder of somebody's own calls this.

    Raises:
        ConfigError: One of its kinds belongs to another family.
    """
    for kind in family.kinds:
        other = _known.get(kind)
        if other is not None and type(other).__qualname__ != type(family).__qualname__:
            raise ConfigError(f"two families have the kind {kind!r}", "Give one of them another kind.")
    _known.update(dict.fromkeys(family.kinds, family))


def kinds() -> list[str]:
    """Return every kind of expert that a recipe can name."""
    _load()
    return sorted(_known)


def family_of(kind: str) -> Family[Any]:
    """Return the family of a kind.

    Raises:
        ConfigError: No family has this kind.
    """
    _load()
    if kind not in _known:
        raise ConfigError(unknown_kind(kind), f"Kinds: {', '.join(kinds())}.")
    return _known[kind]


def unknown_kind(kind: object) -> str:
    """Return the message for a kind that no family has, with the nearest one."""
    near = difflib.get_close_matches(str(kind), kinds(), n=1)
    return f"no family has the kind {kind!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def validate_expert(value: Any) -> Any:
    """Build an expert's settings from its entry in a recipe.

    Raises:
        ValueError: It names no kind, or one that no family has.
        ValidationError: The settings do not fit the kind.
    """
    if isinstance(value, Expert):
        return value
    if not isinstance(value, dict) or "kind" not in value:
        raise ValueError(f"an expert needs a kind: one of {', '.join(kinds())}")
    _load()
    family = _known.get(str(value["kind"]))
    if family is None:
        raise ValueError(f"{unknown_kind(value['kind'])}. Kinds: {', '.join(kinds())}")
    try:
        return family.settings.model_validate(value)
    except ValidationError as error:
        raise _with_nearest_keys(error, family.settings) from None


def code_digest(kind: str) -> str:
    """Return the digest of a family's code for a family outside this package; empty for families of the package."""
    folder = _origins.get(kind)
    return _folders[folder] if folder is not None else ""


def load_folder(folder: Path) -> None:
    """Load the families of a folder outside the package, once.

    Raises:
        ConfigError: There is no such folder, it cannot be imported, or it registers no family.
    """
    place = folder.resolve()
    if place in _folders:
        return
    start = place / "__init__.py"
    if not start.is_file():
        raise ConfigError(f"{folder}: is no folder of families", "Name a folder with an __init__.py.")
    name = f"asd_trainer_own_families_{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, start, submodule_search_locations=[str(place)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that the folder's files find each other
    before = set(_known)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{start}: cannot be imported: {reason}", "Correct it and try again.") from error
    added = set(_known) - before
    if not added:
        raise ConfigError(f"{start}: registers no family", "Call asd_trainer.families.registry.register in it.")
    _folders[place] = _code_digest(place)
    _origins.update(dict.fromkeys(added, place))


def _with_nearest_keys(error: ValidationError, settings: type[Expert]) -> ValidationError:
    """The same mistakes; an unknown key comes with the nearest one of the family's settings."""
    details: list[InitErrorDetails] = []
    for one in error.errors():
        kind: PydanticCustomError | str = one["type"]
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(str(one["loc"][-1]), valid_names(settings), n=1)
            remedy = f"Did you mean '{near[0]}'?" if near else "Remove it."
            kind = PydanticCustomError("reference", "unknown key", {"remedy": remedy})
        details.append({"type": kind, "loc": one["loc"], "input": one["input"], "ctx": one.get("ctx", {})})
    return ValidationError.from_exception_data(error.title, details)


def _load() -> None:
    """Load the package's families and those that the environment names."""
    for name in _FAMILIES:
        import_module(name)
    for folder in os.environ.get(OWN_FAMILIES, "").split(os.pathsep):
        if folder:
            load_folder(Path(folder))


def _code_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
