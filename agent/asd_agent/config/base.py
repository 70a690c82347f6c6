"""Base class, names and secrets shared by every part of agent.yaml."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from asd_agent.small_files import read_small

_MOST_NAME = 100
_MOST_PART, _MOST_PATH = 255, 2000
"""Bytes of a file's name and of a path. Linux has 255 and 4095; the agent appends names of its own."""
_MOST_SECRET = 16_384
"""Bytes of a secret's file; a URL with tokens has some hundreds."""
NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
"""Names become parts of MQTT topics, file names and labels; these characters are safe in all of them."""


def _valid_name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value[:60]!r} may hold only letters, digits, '_' and '-'")
    if len(value) > _MOST_NAME:
        raise ValueError(f"a name has at most {_MOST_NAME} characters, not {len(value)}")
    return value


def _valid_path(value: Path) -> Path:
    longest = max((len(os.fsencode(part)) for part in value.parts), default=0)
    if longest > _MOST_PART or len(os.fsencode(value)) > _MOST_PATH:
        raise ValueError(f"a path has at most {_MOST_PATH} bytes, and each name in it {_MOST_PART}")
    return value


Name = Annotated[
    str,
    AfterValidator(_valid_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": _MOST_NAME}),
]
FilePath = Annotated[Path, AfterValidator(_valid_path)]
"""Path that a file system accepts."""


def _valid_path_text(value: str) -> str:
    _valid_path(Path(value))
    return value


PathText = Annotated[str, Field(min_length=1), AfterValidator(_valid_path_text)]
"""The same as a text; its meaning decides where a relative one starts."""
Text = Annotated[str, Field(max_length=1000)]


class Strict(BaseModel):
    """Part of the configuration: immutable once read, unknown keys refused, finite numbers alone."""

    # Built with the whole document that it is a part of: a schema for each part would take a tenth of a start.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Secret(Strict):
    """Place of a secret: a file, or a systemd credential."""

    file: FilePath | None = None
    credential: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if (self.file is None) == (self.credential is None):
            raise ValueError("give either 'file' or 'credential'")
        return self

    def path(self) -> Path:
        """Return the path of the file that holds the secret.

        Raises:
            ValueError: A credential is named but systemd passed none.
        """
        if self.file is not None:
            return self.file
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None or self.credential is None:
            raise ValueError(f"credential {self.credential!r} is not passed to this process")
        return Path(folder) / self.credential

    def read(self) -> str:
        """Return the secret: the file's text without a byte order mark before and the line end after it.

        Raises:
            ValueError: The file cannot be read, is empty, larger than a secret, no regular file or no text.
        """
        path = self.path()
        try:
            text = read_small(path, _MOST_SECRET).decode("utf-8-sig").rstrip("\r\n")
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text") from error
        if not text:
            raise ValueError(f"{path} is empty")
        if "\0" in text:
            raise ValueError(f"{path} is no text: it holds NUL")
        return text
