"""Former state: an outbox that an earlier version left at a kill, one alarm standing and its alert unsent."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from asd_agent.alarm import restore
from asd_agent.bundle import Bundle
from asd_agent.clock import ClockReading
from asd_agent.outbox.schema import Message
from asd_agent.outbox.store import Outbox

WRITTEN = sorted((Path(__file__).parent / "former").glob("*.sql"))
DEMO_FAN = Path(__file__).resolve().parents[3] / "exported_models" / "demo-fan"


@pytest.fixture(params=WRITTEN, ids=lambda path: path.stem)
def former(request, tmp_path) -> Path:
    path = tmp_path / "outbox.sqlite3"
    db = sqlite3.connect(path)
    db.executescript(request.param.read_text(encoding="utf-8"))
    db.close()
    return path


def test_the_unsent_alert_leaves_and_nothing_is_set_aside(former, clock):
    outbox = Outbox(former, clock)
    row = outbox.next()
    alert = json.loads(row.message.payload)
    assert (alert["event"], alert["seq"]) == ("raised", 1)
    outbox.done(row)
    assert outbox.depth() == 0
    assert not outbox.notices()
    assert not list(former.parent.glob("*.corrupt-*"))
    assert outbox.retained() == {f"asd/former/{t}" for t in ("health", "monitor/fan/state", "source/recording/state")}


def test_the_standing_alarm_and_its_seq_go_on_with_the_same_bundle(former, clock):
    text = Outbox(former, clock).load("fan")
    digest = Bundle.open(DEMO_FAN).digest
    state, reason = restore(text, "former/fan", digest, ClockReading.read(clock))
    assert reason is None
    assert (state.phase, state.seq, state.bundle) == ("active", 1, digest)
    assert state.alarm_id == json.loads(text)["alarm_id"]


def test_what_is_stored_from_now_on_survives_beside_what_was_there(former, clock):
    outbox = Outbox(former, clock)
    assert outbox.commit("fan", '{"seq":2}', [Message("next", "asd/former/monitor/fan/alert", '{"seq":2}')])
    outbox.close()
    again = Outbox(former, clock)
    assert again.load("fan") == '{"seq":2}'
    seqs = []
    while (row := again.next()) is not None:
        seqs.append(json.loads(row.message.payload)["seq"])
        again.done(row)
    assert seqs == [1, 2]
