"""Base class, names and secrets shared by every part of agent.yaml."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema, model_validator

NAME = re.compile(r"[A-Za-z0-9_-]+\Z")
"""Names become parts of MQTT topics, file names and labels; these characters are safe in all of them."""


def _valid_name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} may hold only letters, digits, '_' and '-'")
    return value


Name = Annotated[str, AfterValidator(_valid_name), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"})]


class Strict(BaseModel):
    """Part of the configuration: immutable once read, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Secret(Strict):
    """Place of a secret: a file, or a systemd credential."""

    file: Path | None = None
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
        """Return the secret: the file's text without the line end after it.

        Raises:
            ValueError: The file cannot be read, or is empty.
        """
        path = self.path()
        try:
            text = path.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        if not text:
            raise ValueError(f"{path} is empty")
        return text
