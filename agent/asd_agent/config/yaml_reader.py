"""YAML as settings need it: a bounded, plain subset, in which every mistake has a line.

Aliases, tags, control characters and deep nesting are refused before anything is composed: a few lines of aliases grow
to gigabytes, and a parser that recurses ends in an error without a place. Dates stay text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import yaml

MOST_VALUES = 50_000
"""Keys and values of one file. A monitor has about 15, and 1,000 monitors are the most."""
MOST_CHARACTERS = 10_000
"""Characters of one text."""
_MOST_DEPTH = 30
"""Lists and mappings within each other. agent.yaml has 5 levels, a recipe 8."""
_MOST_DIGITS = 30
_NUMBER = re.compile(r"[-+]?(0x[0-9a-fA-F_]+|0b[01_]+|[0-9][0-9_:.]*)\Z")
_REMEDY = "Check this line and the one above: brackets and quotes are closed, indentation is blanks and no tabs"
_FORBIDDEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufffe\\uffff]")
"""Control characters but tab and line feed, halves of characters, and what is none."""
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML has it: a file of 1 MB takes 0.3 s instead of 8."""


class YamlMistakeError(Exception):
    """One mistake in a YAML file.

    Args:
        line: Counted from 1; 0 for the file as a whole.
        text: The mistake.
        remedy: The way to repair it.
    """

    def __init__(self, line: int, text: str, remedy: str) -> None:
        super().__init__(text)
        self.line, self.text, self.remedy = line, text, remedy


class _Composer(_Parser):  # type: ignore[misc]
    """Loader without dates: `2026-13-45` is a text, and no error of a calendar."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the library's attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class _Constructor(yaml.SafeLoader):
    """Constructor of plain values from nodes, in which a value that cannot be converted has a place."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:
            raise YamlMistakeError(
                node.start_mark.line + 1, f"{_shown(node)} is no value", "Write a number or a text"
            ) from error


def compose(text: str, name: str) -> yaml.Node | None:
    """Parse a YAML text into nodes, each with its line.

    Args:
        text: The text.
        name: Name of its file, which the nodes' marks carry.

    Returns:
        The root; None for an empty text.

    Raises:
        YamlMistakeError: It is no YAML, or more than the plain subset.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        raise YamlMistakeError(text.count("\n", 0, wrong.start()) + 1, _character(wrong[0]), "Remove it")
    node: yaml.Node | None = _located(lambda: _composed(text, name))
    return node


def construct(root: yaml.MappingNode) -> dict[str, Any]:
    """Return the plain values of a node.

    Raises:
        YamlMistakeError: A value cannot be converted.
    """
    loader = _Constructor("")
    try:
        document: dict[str, Any] = _located(lambda: dict(loader.construct_document(root)))
        return document
    finally:
        loader.dispose()


def child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    """Return line and node of a key or index below a node; None where there is none."""
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == str(part):
                return name.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None


def _located(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except YamlMistakeError:
        raise
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = getattr(error, "problem", None) or "no plain text"
        raise YamlMistakeError(mark.line + 1 if mark else 0, f"not valid YAML: {reason}", _REMEDY) from error
    except Exception as error:  # whatever else the library lets out
        raise YamlMistakeError(0, f"not valid YAML ({type(error).__name__})", _REMEDY) from error


def _composed(text: str, name: str) -> yaml.Node | None:
    _check_events(text)
    stream = StringIO(text)
    stream.name = name  # the marks of nodes have it
    loader = _Composer(stream)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _check_events(text: str) -> None:
    depth = values = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_Parser)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise YamlMistakeError(line, f"'*{str(event.anchor)[:40]}' refers to another value", "Write the value out")
        if getattr(event, "tag", None) is not None:
            raise YamlMistakeError(
                line, f"the tag {event.tag[:60]!r} is not allowed", "Remove it; put a text in quotes"
            )
        if isinstance(event, yaml.ScalarEvent):
            _check_scalar(event, line)
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_DEPTH:
            raise YamlMistakeError(line, f"more than {_MOST_DEPTH} lists or mappings within each other", "Write fewer")
        if values > MOST_VALUES:
            raise YamlMistakeError(line, f"more than {MOST_VALUES:,} values", "Write fewer")


def _check_scalar(event: yaml.ScalarEvent, line: int) -> None:
    value: str = event.value
    wrong = _FORBIDDEN.search(value)
    if wrong is not None:
        raise YamlMistakeError(line, _character(wrong[0]), "Remove it")
    if len(value) > MOST_CHARACTERS:
        raise YamlMistakeError(line, f"a text of {len(value):,} characters", f"At most {MOST_CHARACTERS:,} are read")
    if event.implicit[0] and len(value) > _MOST_DIGITS and _NUMBER.match(value):
        raise YamlMistakeError(line, f"a number of {len(value):,} digits", "Write a shorter one")


def _character(found: str) -> str:
    return f"holds the character U+{ord(found):04X}, which no setting may hold"


def _shown(node: yaml.Node) -> str:
    return repr(node.value)[:60] if isinstance(node, yaml.ScalarNode) else "this"
