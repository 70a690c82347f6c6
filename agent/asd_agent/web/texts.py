"""Texts of the page in one language; a text that a language lacks is shown in English."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


class Texts:
    """Texts by key.

    Args:
        language: Name of a file of the folder `language`, such as `de`.
    """

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self._texts = {**_read("en"), **_read(language)}

    def __call__(self, key: str, **values: Any) -> str:
        """Return a text with its values put in; an unknown key is shown as it is."""
        text = self._texts.get(key, key)
        return text.format(**values) if values else text

    def some(self, prefix: str) -> dict[str, str]:
        """Return the texts whose keys begin with a prefix, by the rest of the key; for scripts."""
        return {k[len(prefix) :]: v for k, v in self._texts.items() if k.startswith(prefix)}


def _read(language: str) -> dict[str, str]:
    path = files("asd_agent.web") / "language" / f"{language}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))
