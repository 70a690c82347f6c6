"""From a played recording to evidence on disk: the very samples, the alert that names them, and lost sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent.config.model import Config
from asd_agent.evidence.store import CLIP, StoredEvidence, list_evidence
from asd_agent.outbox.reader import alerts, open_outbox, states
from asd_agent.outbox.schema import OUTBOX_NAME
from asd_agent.service import loop
from asd_agent.service.loader import LoadedRuntime
from asd_agent.service.loop import Service
from rigs.bundles import RATE, hum, write_wav
from rigs.waiting import PATIENCE


@pytest.fixture(autouse=True)
def time_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ends bounds the time of writing; a busy machine may take longer."""
    monkeypatch.setattr(loop, "STOP_SECONDS", 2 * PATIENCE)
    monkeypatch.setattr(loop, "WRITE_SECONDS", PATIENCE)


def config_of(
    folder: Path, bundle: Path, recording: Path, evidence: dict[str, Any] | None = None, speed: float = 1000, **monitor
) -> Config:
    return Config.model_validate(
        {
            "agent": {"name": "box"},
            "mqtt": {"port": 1},
            "sources": {"sound": {"kind": "file", "path": recording, "speed": speed}},
            "monitors": {"m": {"source": "sound", "bundle": str(bundle), **monitor}},
            "paths": {"state": folder / "state"},
            "evidence": {"free_megabytes": 0, **(evidence or {})},
        }
    )


def said(config: Config) -> list[dict[str, Any]]:
    """All alerts, oldest first."""
    with open_outbox(config.paths.state / OUTBOX_NAME) as db:
        return [alert for _, alert, _ in reversed(alerts(db, 1000))]


def kept(config: Config) -> list[StoredEvidence]:
    return list_evidence(config.paths.state / "evidence")


def faulty(*, before: float = 60, during: float = 40, after: float = 60) -> np.ndarray:
    sound = np.concatenate([hum(before, 11), hum(during, 12, knocks=True), hum(after, 13)])
    return np.round(sound * 32768).astype(np.float32) / 32768


def test_the_clip_is_what_was_played_to_the_sample(bundle_path, tmp_path):
    sound = faulty()
    config = config_of(tmp_path, bundle_path, write_wav(tmp_path / "a.wav", sound))
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    (one,) = kept(config)
    clip, _rate = soundfile.read(one.path / CLIP, dtype="float32")
    first = one.record.clip.first
    np.testing.assert_array_equal(clip, sound[first : first + len(clip)])
    assert len(clip) == 40 * RATE
    raised = next(a for a in said(config) if a["event"] == "raised")
    told = next(a for a in said(config) if a["event"] == "evidence")
    assert raised["evidence_id"] == told["evidence_id"] == one.id
    assert (told["alarm_id"], raised["evidence"]) == (raised["alarm_id"], None)
    clip_file = one.record.clip
    assert told["evidence"] == {"path": f"m/{one.id}/clip.flac", "sha256": clip_file.sha256, "bytes": clip_file.bytes}
    window = (one.record.window.start, one.record.window.end)
    assert window == (20.0, 30.0)
    assert one.record.clip.start < raised["window_start"] < raised["window_end"] < one.record.clip.end
    assert one.record.scores[-1].end == 40.0
    assert {s.score for s in one.record.scores} >= {raised["score"]}
    assert [a["seq"] for a in said(config)] == list(range(1, len(said(config)) + 1))


def test_lengths_are_as_configured_also_when_longer_than_the_last_minute(bundle_path, tmp_path):
    recording = write_wav(tmp_path / "a.wav", faulty(before=90, after=90))
    config = config_of(tmp_path, bundle_path, recording, evidence={"pre_seconds": 60, "post_seconds": 30})
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    (one,) = kept(config)
    assert one.record.clip.samples == 100 * RATE
    assert one.record.lacks == ()


def test_a_recording_that_ends_soon_after_the_alarm_is_kept_as_far_as_it_goes(bundle_path, tmp_path):
    sound = faulty(before=5, during=20, after=0)
    config = config_of(tmp_path, bundle_path, write_wav(tmp_path / "a.wav", sound))
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    (one,) = kept(config)
    assert one.record.lacks == ("beginning", "end")
    clip, _ = soundfile.read(one.path / CLIP, dtype="float32")
    np.testing.assert_array_equal(clip, sound[: len(clip)])
    assert one.record.clip.samples == len(sound)


def test_alarms_in_close_succession_have_a_proof_each(bundle_path, tmp_path):
    sound = np.concatenate([hum(20, 21), *[hum(6, 22 + i, knocks=i % 2 == 0) for i in range(8)], hum(30, 40)])
    recording = write_wav(tmp_path / "a.wav", sound)
    alarm = {"raise_after": "1 of 1", "clear_after": 1}
    config = config_of(tmp_path, bundle_path, recording, hop_seconds=1, alarm=alarm, evidence={"pre_seconds": 5})
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    raised = [a["evidence_id"] for a in said(config) if a["event"] == "raised"]
    assert len(raised) >= 1
    assert sorted(raised) == sorted(h.id for h in kept(config))
    assert sorted(a["evidence_id"] for a in said(config) if a["event"] == "evidence") == sorted(raised)


def test_where_it_is_off_nothing_is_kept_and_nothing_promised(bundle_path, tmp_path):
    recording = write_wav(tmp_path / "a.wav", faulty())
    config = config_of(tmp_path, bundle_path, recording, evidence={"enabled": False})
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    assert kept(config) == []
    assert [(a["event"], a["evidence_id"]) for a in said(config)] == [("raised", None), ("cleared", None)]


def test_a_disk_that_refuses_loses_the_evidence_and_not_the_alert(bundle_path, tmp_path):
    recording = write_wav(tmp_path / "a.wav", faulty())
    config = config_of(tmp_path, bundle_path, recording, evidence={"free_megabytes": 1e9})
    Service(LoadedRuntime(config)).run(drain_seconds=0)
    assert [a["event"] for a in said(config)] == ["raised", "cleared"]
    with open_outbox(config.paths.state / OUTBOX_NAME) as db:
        state = states(db)["m"]
        told = [json.loads(p) for (p,) in db.execute("SELECT payload FROM outbox WHERE topic LIKE 'asd/box/event'")]
    assert state.pending_evidence == ()
    (lost,) = [e for e in told if e["event"] == "evidence_lost"]
    assert "have to stay free" in lost["text"]


class ServiceObserver:
    """Ends the service as soon as an alarm is raised."""

    def __init__(self) -> None:
        self.service: Service | None = None

    def window(self, monitor, observation):
        pass

    def event(self, monitor, event):
        if event.event == "raised":
            self.service.stop()


def test_a_clean_stop_keeps_what_was_heard_so_far(bundle_path, tmp_path):
    recording = write_wav(tmp_path / "a.wav", faulty(before=20, after=300))
    config = config_of(tmp_path, bundle_path, recording, evidence={"post_seconds": 120}, speed=30)
    watcher = ServiceObserver()
    watcher.service = Service(LoadedRuntime(config), observer=watcher)
    watcher.service.run(drain_seconds=0)
    (one,) = kept(config)
    assert one.record.lacks == ("end",)
    assert [a["event"] for a in said(config)] == ["raised", "evidence"]
