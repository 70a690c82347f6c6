"""Masks of everything that must not leave the box: passwords, names of users and hosts, addresses."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Mapping
from typing import Any

from asd_agent.config.model import MqttSettings

_HOME = re.compile(r"/home/[^/\s\"']+")
_IPV4 = re.compile(r"\b(?!127\.)\d{1,3}(?:\.\d{1,3}){3}\b")
_IPV6 = re.compile(
    r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){4,7}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4})*::[0-9A-Fa-f:]*"
)
_LOCAL = {"localhost", "127.0.0.1", "::1", ""}
_HIDDEN_KEYS = re.compile(r"pass|secret|token|username|user\Z|host\Z", re.IGNORECASE)


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
    """Return a text without those words, in any case, without addresses and names of homes."""
    for word in sorted(words, key=len, reverse=True):
        if word:
            text = re.sub(re.escape(word), words[word], text, flags=re.IGNORECASE)
    text = _HOME.sub("/home/<user>", text)
    return _IPV6.sub("<address>", _IPV4.sub("<address>", text))


def mask_document(document: Any) -> Any:
    """Return a configuration with the values of sensitive keys masked; the place of a secret may stay."""
    if isinstance(document, Mapping):
        return {
            key: f"<{key}>"
            if _HIDDEN_KEYS.search(str(key)) and not isinstance(value, Mapping)
            else mask_document(value)
            for key, value in document.items()
        }
    if isinstance(document, list | tuple):
        return [mask_document(value) for value in document]
    return document
