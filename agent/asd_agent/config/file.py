"""Reading of agent.yaml and other settings: every mistake at once, each with its line and remedy."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from asd_agent.config.added import FILE_NAME, AddedMachines, is_there, joined
from asd_agent.config.model import Config
from asd_agent.config.sources import SOURCE_KINDS
from asd_agent.config.yaml_reader import YamlMistakeError, child, compose, construct
from asd_agent.errors import ConfigError
from asd_agent.small_files import read_small

_MOST_MISTAKES = 50
"""Mistakes of one file that are reported; a damaged file may have thousands."""
_SHOWN = 300
"""Characters of a mistake's text that are shown: it may repeat a value of any length."""
Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True)
class ConfigMistake:
    """One mistake in a configuration file.

    Attributes:
        line: Counted from 1; 0 for the file as a whole.
        key: Path of the key, such as `monitors.press.section`.
        text: The mistake.
        remedy: The way to repair it; may be empty.
        path: The file of the mistake, where it is not the one that was read but one that it extends.
    """

    line: int
    key: str
    text: str
    remedy: str = ""
    path: Path | None = None


class ConfigFileError(ConfigError):
    """Configuration file with at least one mistake."""

    def __init__(self, path: Path, mistakes: list[ConfigMistake]) -> None:
        self.path, self.mistakes = path, mistakes
        super().__init__("\n".join(self._line(m) for m in mistakes))

    def _line(self, mistake: ConfigMistake) -> str:
        path = mistake.path or self.path
        where = f"{path}:{mistake.line}" if mistake.line else str(path)
        key = f"{mistake.key[:_SHOWN]}: " if mistake.key else ""
        text = mistake.text if len(mistake.text) <= _SHOWN else f"{mistake.text[:_SHOWN]}…"
        return f"{where}: {key}{text}" + (f". {mistake.remedy}" if mistake.remedy else "")


def load_config(path: Path, added: Path | None = None) -> Config:
    """Read and validate agent.yaml, with the machines that the page added to it.

    Relative paths in it start at the file's own folder.

    Args:
        path: The file.
        added: The file of added machines; by default that of `paths.state`, where there is one.

    Raises:
        ConfigFileError: A file has mistakes; it holds all of them.
    """
    root = read_yaml(path, unreadable="Give it with -c.", empty="Begin with `agent: {name: …}`.")
    config: Config = _absolute(validate_yaml(path, root, Config), path.parent.resolve())
    more = added or config.paths.state / FILE_NAME
    if not is_there(more):
        return config
    nodes = read_yaml(more)
    validate_yaml(more, nodes, AddedMachines)
    whole: Config = _absolute(validate_yaml(path, joined(root, nodes), Config), path.parent.resolve())
    return whole


def load_added(path: Path) -> AddedMachines:
    """Read the machines that the page added; none where there is no file.

    Raises:
        ConfigFileError: The file has mistakes.
    """
    return load_settings(path, AddedMachines) if is_there(path) else AddedMachines()


def load_settings(path: Path, model: type[Settings], *, unreadable: str = "", empty: str = "") -> Settings:
    """Read a YAML file and validate it.

    Args:
        path: The file.
        model: The settings that it must hold.
        unreadable: Remedy where the file cannot be read.
        empty: Remedy where it holds no keys.

    Raises:
        ConfigFileError: The file has mistakes; it holds all of them.
    """
    return validate_yaml(path, read_yaml(path, unreadable=unreadable, empty=empty), model)


def read_yaml(path: Path, *, unreadable: str = "", empty: str = "") -> yaml.MappingNode:
    """Read the keys of a YAML file; each node knows its file and line.

    Args:
        path: The file.
        unreadable: Remedy where the file cannot be read.
        empty: Remedy where it holds no keys.

    Raises:
        ConfigFileError: The file cannot be read, is not YAML, holds no keys, or one of them twice.
    """
    try:
        root = compose(read_small(path).decode(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigFileError(path, [ConfigMistake(0, "", f"cannot be read: {reason}", unreadable)]) from error
    except YamlMistakeError as error:
        raise _file_error(path, error) from error
    mistakes = _wrong_keys(root)
    if not isinstance(root, yaml.MappingNode):
        mistakes.append(ConfigMistake(1, "", "holds no keys", empty))
    if mistakes:
        raise ConfigFileError(path, mistakes[:_MOST_MISTAKES])
    assert isinstance(root, yaml.MappingNode)
    return root


def validate_yaml(path: Path, root: yaml.MappingNode, model: type[Settings]) -> Settings:
    """Validate the keys of a YAML file.

    Args:
        path: The file, for error messages.
        root: Its keys; nodes may come from other files.
        model: The settings that they must hold.

    Raises:
        ConfigFileError: The keys have mistakes; it holds all of them.
    """
    try:
        return model.model_validate(construct(root))
    except YamlMistakeError as error:
        raise _file_error(path, error) from error
    except ValidationError as error:
        mistakes = [_mistake(e, root, model, path) for e in error.errors()[:_MOST_MISTAKES]]
        raise ConfigFileError(path, sorted(mistakes, key=lambda m: m.line)) from error
    except Exception as error:  # no exception of a validator may end a command without a place
        text = f"cannot be validated ({type(error).__name__}: {error})"
        raise ConfigFileError(path, [ConfigMistake(0, "", text, "Compare it with docs/configuration.md.")]) from error


def line_of(path: Path, key: str) -> int:
    """Return the line of a key such as `monitors.press.section`, or of its nearest parent; 0 where there is none."""
    try:
        node = compose(read_small(path).decode(), str(path))
    except (OSError, UnicodeDecodeError, YamlMistakeError):
        return 0
    line = 0
    for part in key.split("."):
        found = child(node, part)
        if found is None:
            break
        line, node = found
    return line


def _absolute(model: Any, base: Path) -> Any:
    """Return the same settings with every relative path starting at `base`."""
    if isinstance(model, BaseModel):
        return model.model_copy(update={k: _absolute(v, base) for k, v in model if v is not None})
    if isinstance(model, dict):
        return {k: _absolute(v, base) for k, v in model.items()}
    if isinstance(model, Path) and not model.is_absolute():
        return base / model
    return model


def _file_error(path: Path, error: YamlMistakeError) -> ConfigFileError:
    return ConfigFileError(path, [ConfigMistake(error.line, "", error.text, f"{error.remedy}.")])


def _wrong_keys(node: yaml.Node | None, key: str = "") -> list[ConfigMistake]:
    """Report keys that are no text, and those that are given twice."""
    found: list[ConfigMistake] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                found.append(ConfigMistake(line, key, "a key is a list or a mapping", "Write a text in its place."))
                continue
            here = f"{key}.{name.value}" if key else str(name.value)
            if name.value in seen:
                found.append(ConfigMistake(line, here, "is given twice", "Keep one of them."))
            seen.add(name.value)
            found += _wrong_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found += _wrong_keys(value, f"{key}[{index}]")
    return found


def _mistake(error: Any, root: yaml.MappingNode, model: type[BaseModel], path: Path) -> ConfigMistake:
    # Union tags and "__key__"-like parts of pydantic's location are in no file; they are skipped.
    line, keys = 1, []
    node: yaml.Node = root
    for part in error["loc"]:
        found = child(node, part)
        if found is not None:
            line, node = found
            keys.append(str(part))
        elif error["type"] in ("extra_forbidden", "missing") and part == error["loc"][-1]:
            keys.append(str(part))
    text = error["msg"].removeprefix("Value error, ")
    remedy = ""
    if error["type"] == "extra_forbidden":
        text = "unknown key"
        near = difflib.get_close_matches(str(error["loc"][-1]), valid_names(model), n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else "Remove it."
    elif error["type"] == "missing":
        text = "is missing"
    elif error["type"] == "union_tag_invalid":
        # The one union by tag is that of source kinds.
        text = f"there is no source kind {error['ctx']['tag'][:60]!r}"
        remedy = f"Kinds are: {', '.join(sorted(SOURCE_KINDS))}."
        at = child(node, "kind")
        line, keys = (at[0], [*keys, "kind"]) if at else (line, keys)
    elif error["type"] == "reference":
        remedy = error["ctx"]["remedy"]
    text = text[:1].lower() + text[1:] if text[:2] != "MQ" else text
    file = str(node.start_mark.name)
    return ConfigMistake(line, ".".join(keys), text, remedy, None if file == str(path) else Path(file))


def valid_names(model: type[BaseModel]) -> list[str]:
    """Return every key that some part of a settings model has, sorted."""
    names: set[str] = set()
    queue: list[Any] = [model]
    seen: set[int] = set()
    while queue:
        item = queue.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, type) and issubclass(item, BaseModel):
            names |= set(item.model_fields)
            queue += [f.annotation for f in item.model_fields.values()]
        queue += list(getattr(item, "__args__", ()))
    return sorted(names)
