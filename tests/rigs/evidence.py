"""An alarm's sound as the recorder hands it on, made by hand."""

from __future__ import annotations

import numpy as np

from asd_agent.audio.ring import Gap
from asd_agent.evidence.clip import ClipSound
from asd_agent.evidence.job import EvidenceJob
from asd_agent.inference.scorer import BundleScorer
from rigs.bundles import RATE

ALERT = {
    "event": "raised",
    "machine": "hum",
    "severity": 350,
    "window_end": "2027-01-15T08:00:10.000Z",
    "score": 4.5,
    "threshold": 2.0,
    "explanation": {"text": "3.0 kHz, every 0.33 s", "bands_hz": [], "times_s": [], "period_s": 0.33},
}


def make_job(
    scorer: BundleScorer, name: str, sound: np.ndarray, *, monitor: str = "m", gaps: tuple[Gap, ...] = ()
) -> EvidenceJob:
    """Evidence of an alarm `alarm-<name>` raised by the middle of this sound, whose samples count from 1000."""
    first, third = 1000, len(sound) // 3
    window = (first + third, first + 2 * third)
    return EvidenceJob(
        id=name,
        agent="box",
        monitor=monitor,
        alert={**ALERT, "alarm_id": f"alarm-{name}", "evidence_id": name},
        sound=ClipSound(sound.astype(np.float32), first, gaps, ()),
        window=window,
        scores=((first, first + third, "scored", 1.0, 2.0), (*window, "scored", 4.5, 2.0)),
        utc=(1.8e9, 1.8e9 + len(sound) / RATE),
        scorer=scorer,
        section="00",
        domain="source",
    )
