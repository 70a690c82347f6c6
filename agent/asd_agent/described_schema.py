"""JSON Schemas whose fields are described by the docstrings below them.

pydantic can collect these itself (`use_attribute_docstrings`), but does so when a class is made: the service would then
parse its own source at every start, a sixth of its start time.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel


def described_schema(
    model: type[BaseModel], base: type[BaseModel], mode: Literal["validation", "serialization"] = "validation"
) -> dict[str, Any]:
    """Return the JSON Schema of a model.

    Args:
        model: The model.
        base: Class that the models with docstrings below their fields derive from.
        mode: Schema of what is read, or of what is written.
    """
    schema = model.model_json_schema(mode=mode)
    classes = {cls.__name__: cls for cls in _derived(base)}
    for name, body in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        if name not in classes:
            continue
        properties = _properties(body)
        for field, text in _docstrings(classes[name]).items():
            alias = classes[name].model_fields[field].alias or field
            if alias in properties and "description" not in properties[alias]:
                properties[alias] = dict(sorted({**properties[alias], "description": text}.items()))
    return schema


def _derived(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _derived(cls)


def _properties(schema: Any) -> dict[str, Any]:
    """Return the first properties in a schema; a class may allow other forms beside them."""
    if isinstance(schema, dict):
        if "properties" in schema:
            properties: dict[str, Any] = schema["properties"]
            return properties
        schema = list(schema.get("anyOf", ()))
    return next((found for part in schema if (found := _properties(part))), {}) if isinstance(schema, list) else {}


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a model's fields, inherited ones included, by name."""
    found: dict[str, str] = {}
    for cls in reversed(model.__mro__):
        found |= _of_module(cls.__module__).get(cls.__qualname__, {}) if issubclass(cls, BaseModel) else {}
    return {name: text for name, text in found.items() if name in model.model_fields}


@cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    """Return the docstrings of fields by class and field."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[name]))):
        if isinstance(node, ast.ClassDef):
            own = found.setdefault(node.name, {})
            for field, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(below):
                    own[field.target.id] = inspect.cleandoc(ast.literal_eval(below.value))  # type: ignore[attr-defined]
    return found


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
