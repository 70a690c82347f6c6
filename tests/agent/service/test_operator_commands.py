"""Operator actions from this box: applied, stored with their entry in the log, and refused where they make no sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asd_agent.config.model import Config
from asd_agent.service.control import Request
from asd_agent.service.loader import LoadedRuntime


@pytest.fixture
def runtime(bundle_path: Path, tmp_path: Path) -> LoadedRuntime:
    return LoadedRuntime(
        Config.model_validate(
            {
                "agent": {"name": "box"},
                "sources": {"s": {"kind": "file", "path": tmp_path / "x.wav"}},
                "monitors": {"m": {"source": "s", "bundle": str(bundle_path)}},
                "paths": {"state": tmp_path / "state"},
            }
        )
    )


def apply(runtime: LoadedRuntime, **fields: Any) -> tuple[list[str], dict[str, Any]]:
    """Send a document as the socket receives it; return the names of its events and the answer."""
    text = json.dumps({"command": "alarm", "monitor": "m", "verb": "shelve", "args": {}, "by": "ada", **fields})
    request = Request(json.loads(text))
    names = [e.event for _, events in runtime.commands.apply_request(request, runtime.monitors) for e in events]
    return names, request.wait()


def test_an_action_changes_the_state_and_is_stored_with_its_alert_and_its_entry(runtime: LoadedRuntime):
    names, answer = apply(runtime, args={"minutes": 5})
    assert (names, answer) == (["shelved"], {"done": True, "text": "shelved for 5 minutes"})
    assert runtime.monitors["m"].state.state == "shelved"
    ((message, sent),) = runtime.outbox.history()
    assert (json.loads(message.payload)["event"], sent) == ("shelved", False)
    ((_, record),) = runtime.outbox.records()
    assert record.request == "shelve m {'minutes': 5} by ada on this box"
    assert runtime.outbox.load("m") == runtime.monitors["m"].state.to_json()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"args": {"minutes": 10**400}}, "no number of minutes"),
        ({"args": {"minutes": float("inf")}}, "no number of minutes"),
        ({"args": {"minutes": True}}, "no number of minutes"),
        ({"args": {"minutes": 1e300}}, "max_shelve_minutes"),
        ({"args": {"minutes": [[[]]]}}, "'args'"),
        ({"args": [1]}, "'args'"),
        ({"by": {"a": 1}}, "'by'"),
        ({"monitor": "press"}, "no monitor 'press'; there are m"),
        ({"verb": "explode"}, "unknown verb 'explode'"),
    ],
)
def test_what_makes_no_sense_is_answered_and_changes_nothing(runtime: LoadedRuntime, fields, words):
    names, answer = apply(runtime, **fields)
    assert names == []
    assert words in answer.get("error", "") + answer.get("text", "")
    assert runtime.monitors["m"].state.seq == 0
