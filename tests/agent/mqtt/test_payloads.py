"""The contract on the wire. DO NOT CHANGE OR REMOVE A NAME HERE: dashboards read them; add new ones at will."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import pytest

from asd_agent.alarm import AlarmState, Event, EvidenceSummary, ScoredWindow, Shelving
from asd_agent.clock import ClockReading
from asd_agent.inference.explanation import Explanation
from asd_agent.monitor import Identity
from asd_agent.mqtt.mapping import alert_of, clock_word, monitor_state_of, score_of
from asd_agent.mqtt.topics import Topics

ROOT = Path(__file__).parents[3]
SCHEMAS = ROOT / "docs" / "schemas"
sys.path.insert(0, str(ROOT / "scripts"))
from write_schemas import MODELS, schema_texts  # noqa: E402

FIELDS = {
    "alert": "schema id alarm_id seq event state machine section domain window_start window_end score threshold "
    "severity experts explanation quality bundle boot_id clock late durable provisional evidence_id evidence "
    "time agent monitor by note verdict label test text url",
    "monitor-state": "schema state alarm alarm_id raised_at stale suspended out_of_service shelved_until seq machine "
    "section domain window_start window_end score threshold clear_level severity experts quality bundle provisional "
    "boot_id clock last_raised_at evidence_id time agent monitor reason returned",
    "score": "schema window_start window_end score threshold clear_level severity domain experts quality",
    "source-state": "schema state reason since restarts agent source",
    "health": "schema time uptime_seconds versions providers sources windows monitors outbox disk_free_bytes "
    "temperature_celsius boot_id clock faults evidence delivery agent history last_test monitor_states drift levels "
    "notify inventory",
    "event": "schema id event subject text count time boot_id clock late durable agent",
    "command": "schema id monitor expires by alarm_id minutes note verdict label one_shot",
    "install-bundle": "schema id url sha256 expires name by",
    "command-result": "schema id verb monitor done text by time stage",
}
WINDOW = ScoredWindow(
    index=7,
    start=25.0,
    end=35.0,
    utc_start=1_800_000_000.0,
    utc_end=1_800_000_010.0004,
    verdict="scored",
    suspect=True,
    reasons=("clipping",),
    score=4.5,
    threshold=2.0,
    clear_level=1.5,
    domain="target",
    provisional=True,
    experts={"autoencoder": 5.0, "level": 1.0},
    explanation=Explanation("2.0–4.1 kHz at 1.2 s", ((2000.0, 4100.0),), ((1.2, 1.6),)),
)
BEGUN = datetime.fromtimestamp(WINDOW.utc_start).astimezone()
NOW = ClockReading(1_800_000_011.5, 500.0, "boot-1", synchronised=False)
IDENTITY = Identity("fan", "00", "auto", "sha256:abc")


@pytest.mark.parametrize("name", FIELDS)
def test_field_names_are_frozen(name):
    model = MODELS[name]
    names = [field.alias or key for key, field in model.model_fields.items()]
    assert names == FIELDS[name].split()


def test_every_payload_has_its_fields_frozen():
    assert FIELDS.keys() == MODELS.keys()


def test_the_schemas_in_docs_are_current():
    assert {
        p.name: p.read_text(encoding="utf-8") for p in SCHEMAS.glob("[!.]*.json") if p.stem != "agent.schema"
    } == schema_texts(), "run scripts/write_schemas.py"


def test_an_alert_says_all_it_knows():
    event = Event("e1", "raised", "a1", 3, "active", 350, WINDOW, NOW, monitor="hall-3/press")
    assert json.loads(alert_of(event, IDENTITY).to_json()) == {
        "schema": "asd.alert/1",
        "id": "e1",
        "alarm_id": "a1",
        "seq": 3,
        "event": "raised",
        "state": "active",
        "machine": "fan",
        "section": "00",
        "domain": "target",
        "window_start": "2027-01-15T08:00:00.000Z",
        "window_end": "2027-01-15T08:00:10.000Z",
        "score": 4.5,
        "threshold": 2.0,
        "severity": 350,
        "experts": {"autoencoder": 5.0, "level": 1.0},
        "explanation": {
            "text": "2.0–4.1 kHz at 1.2 s",
            "bands_hz": [[2000.0, 4100.0]],
            "times_s": [[1.2, 1.6]],
            "period_s": None,
        },
        "quality": {"verdict": "scored", "suspect": True, "reasons": ["clipping"]},
        "bundle": "sha256:abc",
        "boot_id": "boot-1",
        "clock": "unsynchronised",
        "late": False,
        "durable": True,
        "provisional": True,
        "evidence_id": None,
        "evidence": None,
        "time": "2027-01-15T08:00:11.500Z",
        "agent": "hall-3",
        "monitor": "press",
        "by": None,
        "note": None,
        "verdict": None,
        "label": None,
        "test": False,
        "text": f"press has sounded different since {BEGUN:%H:%M}: 2.0–4.1 kHz at 1.2 s",
        "url": None,
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("escalated", "press sounds more different than when its alarm was raised: 2.0–4.1 kHz at 1.2 s"),
        ("cleared", "press sounds normal again"),
        ("stale", "press cannot be judged: clipping"),
        ("resumed", "press is judged again"),
        ("acknowledged", ""),
    ],
)
def test_an_alert_says_in_a_sentence_what_happened(name, text):
    event = Event("e1", name, "a1", 3, "active", 350, WINDOW, NOW, monitor="hall-3/press")
    assert alert_of(event, IDENTITY).text == text


def test_an_alarm_of_a_monitor_that_never_judged_a_window_as_normal_asks_for_a_calibration():
    raised = Event("e1", "raised", "a1", 3, "active", 350, WINDOW, NOW, monitor="hall-3/press")
    text = alert_of(raised, IDENTITY, never_normal=True).text
    assert text.endswith(
        "2.0–4.1 kHz at 1.2 s. No window has been normal since the start: if the machine is healthy, calibrate"
    )
    cleared = Event("e2", "cleared", "a1", 4, "normal", 350, WINDOW, NOW, monitor="hall-3/press")
    assert alert_of(cleared, IDENTITY, never_normal=True).text == "press sounds normal again"


def test_kept_evidence_is_named_with_its_digest():
    event = Event(
        "e2", "evidence", "a1", 4, "active", 350, WINDOW, NOW, "20270115T080011Z-a1", EvidenceSummary("m/x", "ab", 7)
    )
    said = json.loads(alert_of(event, IDENTITY).to_json())
    assert said["evidence_id"] == "20270115T080011Z-a1"
    assert said["evidence"] == {"path": "m/x", "sha256": "ab", "bytes": 7}


def test_an_event_before_the_first_window_says_null_and_its_configured_domain():
    event = Event("e1", "out_of_service", None, 1, "out_of_service", 1, None, NOW)
    said = json.loads(alert_of(event, IDENTITY).to_json())
    assert (said["score"], said["window_end"], said["quality"], said["domain"]) == (None, None, None, "auto")


def test_no_payload_holds_what_is_not_json():
    wild = WINDOW.model_copy(update={"experts": {"level": float("nan")}, "clear_level": float("inf")})
    text = score_of(wild, IDENTITY).to_json()
    assert json.loads(text, parse_constant=pytest.fail)["clear_level"] is None


def test_a_held_back_alarm_shows_as_shelved_and_not_as_alarm():
    shelving = Shelving(kind="timed", until=560.0, boot_id="boot-1", remaining=90.0)
    state = AlarmState(monitor="box/fan", phase="active", alarm_id="a1", shelving=shelving, newest=WINDOW, seq=4)
    said = json.loads(monitor_state_of(state, IDENTITY, NOW).to_json())
    assert (said["state"], said["alarm"], said["alarm_id"]) == ("shelved", "normal", None)
    assert said["shelved_until"] == "2027-01-15T08:01:11.500Z"


def test_the_clock_that_cannot_be_told_is_called_unknown():
    assert [clock_word(s) for s in (True, False, None)] == ["synchronised", "unsynchronised", "unknown"]


def test_topics():
    topics = Topics("hall-3")
    assert topics.alert("fan") == "asd/hall-3/monitor/fan/alert"
    assert topics.retained(["fan"], ["mic"]) == {
        "asd/hall-3/status",
        "asd/hall-3/health",
        "asd/hall-3/monitor/fan/state",
        "asd/hall-3/source/mic/state",
    }


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "fan 1", "fän\n"])
def test_a_name_that_would_break_a_topic_is_refused(name):
    with pytest.raises(ValueError, match="topic"):
        Topics("box").alert(name)
