"""Base class and names shared by every part of agent.yaml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema

NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
"""Names become parts of MQTT topics, file names and labels; these characters are safe in all of them."""


def _valid_name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} may hold only letters, digits, '_' and '-'")
    return value


Name = Annotated[str, AfterValidator(_valid_name), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})]


class Strict(BaseModel):
    """Part of the configuration: immutable once read, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
