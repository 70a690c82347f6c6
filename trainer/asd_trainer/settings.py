"""The base of all settings that a recipe holds: fixed once read, unknown keys refused."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)


class Settings(BaseModel):
    """A part of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def with_changes(settings: _Model, changes: dict[str, Any]) -> _Model:
    """Return the same settings with some values changed.

    Raises:
        ValueError: The values do not fit.
    """
    try:
        return type(settings).model_validate(settings.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"a variant's {where or 'values'}: {first['msg']}") from error
