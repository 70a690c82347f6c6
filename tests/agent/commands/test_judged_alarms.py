"""Alarms that were judged: their sound is found, and a calibration shows its effect on each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from asd_agent.bundle import Bundle
from asd_agent.commands.judged_alarms import changes, judged_alarms
from asd_agent.history.store import AlarmRow, Batch, EventRow, HistoryStore
from asd_agent.inference.scorer import BundleScorer
from rigs.bundles import hum
from rigs.history import START


def test_only_judged_alarms_with_whole_sound_are_taken(tmp_path: Path):
    store = HistoryStore(tmp_path / "history.sqlite3")
    for number, verdict in enumerate(["false", "true", None, "false"]):
        name = f"a{number}"
        alarm = AlarmRow(name, "fan", "hum", "00", "source", "d", START + number, 200, "text", evidence_id=name)
        judged = EventRow(f"e{number}", name, "fan", START + number, "verdict", 1, "normal", 200, verdict=verdict)
        store.commit(Batch(alarms=[alarm], events=[judged]), START + 10)
        if number < 3:
            folder = tmp_path / "evidence" / "fan" / name
            folder.mkdir(parents=True)
            soundfile.write(folder / "clip.flac", hum(25, number), 16_000)
    store.close()
    found = {a.alarm_id: a for a in judged_alarms(tmp_path, "fan", 160_000)}
    assert {k: a.verdict for k, a in found.items()} == {"a0": "false", "a1": "true"}
    assert found["a0"].windows.shape == (4, 160_000)


def test_the_effect_on_each_judged_alarm_is_counted(tmp_path: Path, bundle_path: Path):
    scorer = BundleScorer(Bundle.open(bundle_path))
    sound = np.stack([hum(10, 5, knocks=True)]).astype(np.float32)

    class After:
        """A condition that finds nothing anomalous."""

        def score(self, windows, section, domain):
            assert domain == "site"
            return [type("Got", (), {"score": 0.0, "threshold": 9.0})() for _ in windows]

    from asd_agent.commands.judged_alarms import JudgedAlarm

    (change,) = changes([JudgedAlarm("a", "false", sound)], scorer, After(), "00", "source")
    assert (change.over_before, change.over_after) == (1, 0)
