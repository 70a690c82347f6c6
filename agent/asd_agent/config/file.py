"""Reading of agent.yaml and other settings: every mistake at once, each with its line and remedy."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from asd_agent.config.model import Config
from asd_agent.config.sources import SOURCE_KINDS
from asd_agent.errors import ConfigError

_YAML = "Check this line and the one above: brackets and quotes are closed, indentation is blanks and no tabs"
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
        key = f"{mistake.key}: " if mistake.key else ""
        return f"{where}: {key}{mistake.text}" + (f". {mistake.remedy}" if mistake.remedy else "")


def load_config(path: Path) -> Config:
    """Read and validate agent.yaml.

    Relative paths in it start at the file's own folder.

    Raises:
        ConfigFileError: The file has mistakes; it holds all of them.
    """
    config = load_settings(path, Config, unreadable="Give it with -c.", empty="Begin with `agent: {name: …}`.")
    resolved: Config = _absolute(config, path.parent.resolve())
    return resolved


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
        stream = StringIO(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigFileError(path, [ConfigMistake(0, "", f"cannot be read: {reason}", unreadable)]) from error
    stream.name = str(path)  # the marks of nodes have it
    try:
        root = yaml.compose(stream, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        reason = getattr(error, "problem", None) or "not YAML"
        raise ConfigFileError(path, [ConfigMistake(line, "", f"not valid YAML: {reason}", _YAML)]) from error
    mistakes = _duplicates(root)
    if not isinstance(root, yaml.MappingNode):
        mistakes.append(ConfigMistake(1, "", "holds no keys", empty))
    if mistakes:
        raise ConfigFileError(path, mistakes)
    assert isinstance(root, yaml.MappingNode)
    return root


def construct(root: yaml.MappingNode) -> dict[str, Any]:
    """Return the plain values of a node."""
    loader = yaml.SafeLoader("")
    try:
        return dict(loader.construct_document(root))
    finally:
        loader.dispose()


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
        data = construct(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or "not YAML"
        mistake = ConfigMistake(mark.line + 1 if mark else 0, "", f"not valid YAML: {reason}", _YAML)
        raise ConfigFileError(path, [mistake]) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        mistakes = (_mistake(e, root, model, path) for e in error.errors())
        raise ConfigFileError(path, sorted(mistakes, key=lambda m: m.line)) from error


def line_of(path: Path, key: str) -> int:
    """Return the line of a key such as `monitors.press.section`, or of its nearest parent; 0 where there is none."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return 0
    line = 0
    for part in key.split("."):
        child = _child(node, part)
        if child is None:
            break
        line, node = child
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


def _duplicates(node: yaml.Node | None, key: str = "") -> list[ConfigMistake]:
    found: list[ConfigMistake] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            here = f"{key}.{name.value}" if key else str(name.value)
            if name.value in seen:
                found.append(ConfigMistake(name.start_mark.line + 1, here, "is given twice", "Keep one of them."))
            seen.add(name.value)
            found += _duplicates(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found += _duplicates(value, f"{key}[{index}]")
    return found


def _mistake(error: Any, root: yaml.MappingNode, model: type[BaseModel], path: Path) -> ConfigMistake:
    # Union tags and "__key__"-like parts of pydantic's location are in no file; they are skipped.
    line, keys = 1, []
    node: yaml.Node = root
    for part in error["loc"]:
        child = _child(node, part)
        if child is not None:
            line, node = child
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
        text = f"there is no source kind {error['ctx']['tag']!r}"
        remedy = f"Kinds are: {', '.join(sorted(SOURCE_KINDS))}."
        at = _child(node, "kind")
        line, keys = (at[0], [*keys, "kind"]) if at else (line, keys)
    elif error["type"] == "reference":
        remedy = error["ctx"]["remedy"]
    text = text[:1].lower() + text[1:] if text[:2] != "MQ" else text
    file = str(node.start_mark.name)
    return ConfigMistake(line, ".".join(keys), text, remedy, None if file == str(path) else Path(file))


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(part):
                return name.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


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
