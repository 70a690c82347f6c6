"""Masks of everything that must not leave the box: passwords, names of users and hosts, addresses."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asd_agent.config.base import Secret
from asd_agent.config.model import MOST_ERRORS, Config, MqttSettings

_HOME = re.compile(r"/home/[^/\s\"']+")
_IPV4 = re.compile(r"\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}\b")
_IPV6 = re.compile(
    r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){4,7}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4})*::[0-9A-Fa-f:]*"
)
_LOCAL = {"localhost", "127.0.0.1", "::1", ""}
_SENSITIVE = r"pass|pw|secret|token|auth|cred|login|user|host|key|bearer|signature|salt"
_SECRET_KEY = re.compile(_SENSITIVE, re.IGNORECASE)
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")
_PLACES = frozenset({"file", "credential", "ca", "certificate", "key", "users"})
"""Keys that name the place of a secret; the place may stay where validation accepts it."""
_PLACE = re.compile(r"/[A-Za-z0-9_./@+-]*\Z")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}\Z")
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s\"'<>]*@")
_ASSIGNED = re.compile(rf"([A-Za-z0-9_-]*(?:{_SENSITIVE})[A-Za-z0-9_-]*=)[^\s&;,\"']+", re.IGNORECASE)
_AUTHORIZATION = re.compile(r"(Authorization\W{1,4})[^\r\n\"']+", re.IGNORECASE)
_MASKED = "<masked>"
_SHORTEST = 4
"""Characters of a masked value that is looked for in the other files as well; a shorter one is part of other words."""
_CUT = 40
"""Characters after which messages may cut a value off: what follows is masked with it."""


def hidden_words(mqtt: MqttSettings) -> dict[str, str]:
    """Return the mask of each word that must not leave the box; a secret that cannot be read is not among them."""
    words: dict[str, str] = {}
    if mqtt.password is not None:
        with contextlib.suppress(ValueError):  # raised by a text that is not UTF-8 as well
            words[mqtt.password.read()] = "<password>"
    if mqtt.username is not None:
        words[mqtt.username] = "<username>"
    for name in (mqtt.host, socket.gethostname()):
        if name not in _LOCAL:
            words.setdefault(name, "<host>")
    return words


def mask_text(text: str, words: Mapping[str, str]) -> str:
    """Return a text without those words, in any case, without addresses, names of homes and users in URLs."""
    for word in sorted(words, key=len, reverse=True):
        if word:
            pattern = re.escape(word) if len(word) <= _CUT else re.escape(word[:_CUT]) + r"[^\s\"']*"
            text = re.sub(pattern, words[word], text, flags=re.IGNORECASE)
    text = _ASSIGNED.sub(rf"\1{_MASKED}", _USER_INFO.sub(r"\1<user>@", text))
    text = _AUTHORIZATION.sub(rf"\1{_MASKED}", text)
    text = _HOME.sub("/home/<user>", text)
    return _IPV6.sub("<address>", _IPV4.sub("<address>", text))


@dataclass
class MaskedDocument:
    """Configuration without what must not leave the box.

    Attributes:
        content: Its keys, with masks in place of secrets and of whatever validation refused.
        words: Mask of each value that was taken out, for other texts that may repeat it.
    """

    content: Any
    words: dict[str, str] = field(default_factory=dict)


def mask_document(document: Any) -> MaskedDocument:
    """Mask a configuration, valid or not.

    A value stays only where validation accepts it and its key does not look like that of a secret: a secret under a
    mistyped key is refused, and so is masked.
    """
    masked = MaskedDocument(None)
    refused = _refused(document)
    masked.content = _masked(document, (), refused, masked.words)
    return masked


def secret_words(document: Any, folder: Path) -> dict[str, str]:
    """Return the mask of each secret that a configuration names the file of, valid or not.

    Args:
        document: The configuration.
        folder: Folder where relative paths start.
    """
    words: dict[str, str] = {}
    for value in _files(document):
        with contextlib.suppress(ValueError, OSError):
            secret = Secret(file=folder / value).read()
            parts = [secret, *re.split(r"[\s/?&=@:]+", secret)]
            words |= {part: _MASKED for part in parts if part == secret or len(part) > 2 * _SHORTEST}
    return words


def _files(document: Any) -> Iterator[str]:
    values = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    if isinstance(document, dict) and isinstance(document.get("file"), str):
        yield document["file"]
    for value in values:
        yield from _files(value)


def _refused(document: Any) -> set[tuple[Any, ...]]:
    """Return the places that validation refuses; the root where there are too many to know all."""
    try:
        Config.model_validate(document)
    except ValidationError as error:
        if error.error_count() >= MOST_ERRORS:
            return {()}
        return {_place(document, e["loc"]) for e in error.errors(include_url=False) if e["type"] != "missing"}
    except Exception:  # noqa: BLE001 - nothing is known of it then
        return {()}
    return set()


def _place(document: Any, location: tuple[int | str, ...]) -> tuple[Any, ...]:
    # A location has tags of unions, which are in no document.
    place: list[Any] = []
    for part in location:
        is_index = isinstance(document, list) and isinstance(part, int) and part < len(document)
        if is_index or (isinstance(document, dict) and part in document):
            document = document[part]
            place.append(part)
    return tuple(place)


def _masked(value: Any, place: tuple[Any, ...], refused: set[tuple[Any, ...]], words: dict[str, str]) -> Any:
    hidden = any(place[:n] in refused for n in range(len(place) + 1))
    if isinstance(value, dict):
        return {_masked_key(key): _masked(inner, (*place, key), refused, words) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, (*place, number), refused, words) for number, inner in enumerate(value)]
    keys = [str(part) for i, part in enumerate(place) if not isinstance(part, int) and not _is_own_name(place, i)]
    if not hidden and (_is_place(keys, value) or not any(map(_SECRET_KEY.search, keys))):
        return value
    if value is None or isinstance(value, bool):
        return value
    mask = f"<{keys[-1]}>" if not hidden and keys else _MASKED
    for text in {str(value), repr(str(value))[1:-1], json.dumps(str(value))[1:-1]}:
        if len(text) >= _SHORTEST and text not in _LOCAL:
            words.setdefault(text, mask)
    return mask


def _is_own_name(place: tuple[Any, ...], position: int) -> bool:
    """Return whether a part of a place is a name that the user gave to a source, monitor or target."""
    return position == 1 and place[0] in {"sources", "monitors", "notify"}


def _is_place(keys: list[str], value: Any) -> bool:
    """Return whether a valid value is the place of a secret and no secret."""
    if not keys or keys[-1] not in _PLACES or not isinstance(value, str):
        return False
    return bool((_NAME if keys[-1] == "credential" else _PLACE).match(value))


def _masked_key(key: Any) -> Any:
    return key if isinstance(key, str) and _KEY.match(key) else "<key>"
