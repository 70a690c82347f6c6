"""Reading of manifest.json: a strict document, its version, and the upgrade of the version before.

An agent of version N reads documents of version N - 1: `UPGRADES` turns such a document into the form of the next
version before it is validated. Scores must be computed as the export did: `under_arithmetic` gives a document
of an earlier arithmetic the values that its silence meant.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asd_agent.bundle.files import COPY_AGAIN
from asd_agent.bundle.manifest import ARITHMETIC_VERSION, SCHEMA_VERSION, Manifest
from asd_agent.errors import BundleError

Document = dict[str, Any]
UPGRADES: Mapping[int, Callable[[Document], Document]] = {}
"""Upgrade from each earlier schema version to the one after it."""
_SCALES = {1: "clip", 2: "log"}
"""Scale of combined z-scores that a condition of an earlier arithmetic has where it names none."""
_MOST_DEPTH = 50
"""Nesting of the document. The manifest has 8 levels; a recipe's settings have up to 6 more."""
_MOST_DIGITS = 30
_FORBIDDEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")
"""Control characters, which forge lines and move a terminal's cursor, and halves of surrogate pairs."""
_SHOWN = 300
"""Characters of a validator's message that are shown."""


@dataclass(frozen=True)
class Versions:
    """Versions that this agent reads.

    Attributes:
        schema: The present schema version.
        arithmetic: Every version of the score arithmetic that is computed here.
        upgrades: Upgrade from each earlier schema version to the one after it.
    """

    schema: int = SCHEMA_VERSION
    arithmetic: frozenset[int] = frozenset({1, 2, ARITHMETIC_VERSION})
    upgrades: Mapping[int, Callable[[Document], Document]] = field(default_factory=lambda: UPGRADES)

    @property
    def earliest(self) -> int:
        """Earliest schema version that can be upgraded to the present one."""
        version = self.schema
        while version - 1 in self.upgrades:
            version -= 1
        return version


def read_manifest(path: Path, raw: bytes, versions: Versions | None = None) -> Manifest:
    """Validate a manifest.

    Args:
        path: Its path, for messages.
        raw: Its bytes.
        versions: Versions to read; by default those of this agent.

    Raises:
        BundleError: It is no document, of another version, or violates the schema.
    """
    versions = versions or Versions()
    document = _parse(path, raw)
    schema, arithmetic = (document.get(key) for key in ("schema_version", "arithmetic_version"))
    if schema is None or arithmetic is None:
        raise BundleError(f"{path}: is no manifest", COPY_AGAIN)
    is_known = type(schema) is int and versions.earliest <= schema <= versions.schema
    if not is_known or type(arithmetic) is not int or arithmetic not in versions.arithmetic:
        earliest, present = versions.earliest, versions.schema
        readable = f"{earliest} to {present}" if earliest < present else str(present)
        computed = ", ".join(map(str, sorted(versions.arithmetic)))
        raise BundleError(
            f"{path}: made for schema {_shown(schema)} and arithmetic {_shown(arithmetic)}, "
            f"this agent reads schema {readable} and arithmetic {computed}",
            "Upgrade the agent or export the bundle again.",
        )
    try:
        for version in range(schema, versions.schema):
            document = versions.upgrades[version](document)
        conditions = [under_arithmetic(condition, arithmetic) for condition in document["conditions"]]
        document = document | {"conditions": conditions}
        return Manifest.model_validate(document | {"schema_version": versions.schema})
    except ValidationError as error:
        raise BundleError(f"{path}: {validation_text(error)}", COPY_AGAIN) from error
    except (KeyError, TypeError, AttributeError) as error:  # an upgrade found another form
        raise BundleError(f"{path}: is no manifest of schema {schema}", COPY_AGAIN) from error


def under_arithmetic(condition: Document, version: int) -> Document:
    """Return a condition with the values that its absent settings had in an earlier arithmetic.

    Args:
        condition: Condition of a manifest or of a site, before it is validated.
        version: Arithmetic version of the bundle.

    Raises:
        KeyError, TypeError, AttributeError: It has another form.
    """
    scale = _SCALES.get(version)
    if scale is None:
        return condition
    experts = [expert | _with_scale(expert, scale) for expert in condition["experts"]]
    if version == 1:
        experts = [
            expert
            | {"members": [use | {"pooling": {"unit": "scores"} | use.get("pooling", {})} for use in expert["members"]]}
            for expert in experts
        ]
    return condition | _with_scale(condition, scale) | {"experts": experts}


def _with_scale(part: Document, scale: str) -> Document:
    return {"combination": {"scale": scale} | part.get("combination", {})}


def validation_text(error: ValidationError) -> str:
    """Return the first fault that a validator found, as `place: fault`, in at most a few hundred characters."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(key)[:_SHOWN] for key in first["loc"])
    return f"{where}: {first['msg'].removeprefix('Value error, ')[:_SHOWN]}".removeprefix(": ")


def strict_json(raw: bytes) -> Any:
    """Parse JSON that every reader understands alike: UTF-8, each key once, finite numbers, no control characters.

    Raises:
        ValueError: It is not; the message names the fault.
    """
    try:
        document = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_each_key_once,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short,
        )
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    _check_values(document)
    return document


def _parse(path: Path, raw: bytes) -> Document:
    try:
        document = strict_json(raw)
    except json.JSONDecodeError as error:
        raise BundleError(f"{path}: is no manifest ({error})", COPY_AGAIN) from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: is no manifest (not UTF-8)", COPY_AGAIN) from error
    except ValueError as error:
        raise BundleError(f"{path}: {error}", COPY_AGAIN) from error
    if not isinstance(document, dict):
        raise BundleError(f"{path}: is no manifest", COPY_AGAIN)
    return document


def _each_key_once(pairs: list[tuple[str, Any]]) -> Document:
    document = dict(pairs)
    if len(document) < len(pairs):
        repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {_shown(repeated)} occurs twice")
    return document


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number that a manifest may have")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_constant(text[:_MOST_DIGITS])


def _short(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _check_values(value: Any, depth: int = 0) -> None:
    if depth > _MOST_DEPTH:
        raise ValueError("is nested too deeply")
    if isinstance(value, str):
        _check_characters(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_characters(key)
            _check_values(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner, depth + 1)


def _check_characters(text: str) -> None:
    wrong = _FORBIDDEN.search(text)
    if wrong is not None:
        raise ValueError(f"a text has the character U+{ord(wrong[0]):04X}, which a manifest may not have")


def _shown(value: Any) -> str:
    return repr(value)[:60]
