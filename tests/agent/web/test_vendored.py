"""Files of others, the languages, and what the wheel carries."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from asd_agent.alarm import EVENTS
from asd_agent.alarm.state import StateName
from asd_agent.audio.source_state import SourceStateName
from asd_agent.web.texts import Texts

WEB = Path(str(files("asd_agent.web")))
VENDOR = WEB / "static" / "vendor"


def test_vendored_files_are_those_that_are_listed():
    listed = {}
    for package in json.loads((VENDOR / "vendor.json").read_text()):
        assert package["name"]
        assert package["version"]
        assert package["licence"] in {"0BSD", "MIT"}
        listed |= package["files"]
        assert package["name"] in (Path(__file__).parents[3] / "NOTICE").read_text()
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in VENDOR.iterdir() if p.name != "vendor.json"}
    assert found == listed


def test_every_text_of_templates_and_pages_is_there():
    english = json.loads((WEB / "language" / "en.json").read_text(encoding="utf-8"))
    sources = [*WEB.rglob("*.html"), *WEB.rglob("*.py")]
    used = set()
    for source in sources:
        used |= set(re.findall(r"(?:\bt|texts)\(['\"]([a-z_.0-9-]+)['\"]", source.read_text(encoding="utf-8")))
    assert {key for key in used if not key.endswith((".", "_"))} - set(english) == set()
    wanted = [f"state.{name}" for name in (*StateName.__args__, "unknown", "over")]  # type: ignore[attr-defined]
    wanted += [f"event.{name}" for name in EVENTS]
    wanted += [f"source.{name}" for name in SourceStateName.__args__]  # type: ignore[attr-defined]
    assert [key for key in wanted if key not in english] == []


@pytest.mark.parametrize("language", [p.stem for p in (WEB / "language").iterdir() if p.stem != "en"])
def test_another_language_has_every_text(language: str):
    other = json.loads((WEB / "language" / f"{language}.json").read_text(encoding="utf-8"))
    english = json.loads((WEB / "language" / "en.json").read_text(encoding="utf-8"))
    assert list(other) == list(english)
    for key, text in other.items():
        assert text.strip(), key
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key
    texts = Texts(language)
    assert texts("state.normal") == other["state.normal"]
    assert texts("done.shelve", count=2).endswith("2")
    assert texts("no.such.text") == "no.such.text"
