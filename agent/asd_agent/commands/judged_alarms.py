"""Alarms that a person has judged, with their recorded sound: for a calibration that takes false ones into account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import read_clip
from asd_agent.errors import AsdError
from asd_agent.evidence.store import CLIP
from asd_agent.evidence.store import FOLDER as EVIDENCE
from asd_agent.history import FILE_NAME
from asd_agent.history.reader import open_history
from asd_agent.inference.scorer import BundleScorer

MOST_ALARMS = 200
"""Judged alarms that are read, the newest: each holds half a minute of sound."""


@dataclass(frozen=True)
class JudgedAlarm:
    """An alarm with a verdict and its sound.

    Attributes:
        alarm_id: Its id.
        verdict: `true` or `false`.
        windows: Sound around the alarm, shape (windows, samples).
    """

    alarm_id: str
    verdict: str
    windows: npt.NDArray[np.float32]


@dataclass(frozen=True)
class JudgedChange:
    """Effect of another condition on one judged alarm.

    Attributes:
        alarm_id: Its id.
        verdict: `true` or `false`.
        over_before: Windows over the level of the present condition.
        over_after: Windows over the level of the new one.
    """

    alarm_id: str
    verdict: str
    over_before: int
    over_after: int


def judged_alarms(state: Path, monitor: str, samples: int) -> list[JudgedAlarm]:
    """Return the alarms of a monitor that were judged true or false and whose sound is still there.

    Args:
        state: The state folder.
        monitor: Name of the monitor.
        samples: Length of a window.

    Raises:
        AsdError: There is no history.
    """
    with open_history(state / FILE_NAME) as history:
        alarms = history.alarms(monitor=monitor, limit=MOST_ALARMS)
    found = []
    for alarm in alarms:
        clip = state / EVIDENCE / monitor / str(alarm["evidence_id"]) / CLIP
        if alarm["verdict"] not in {"true", "false"} or alarm["evidence_id"] is None or not clip.is_file():
            continue
        try:
            signal = read_clip(clip).samples
        except AsdError:
            continue  # damaged evidence is no sound of a machine
        starts = range(0, len(signal) - samples + 1, samples // 2)
        if starts:
            windows = np.stack([signal[s : s + samples] for s in starts])
            found.append(JudgedAlarm(str(alarm["alarm_id"]), str(alarm["verdict"]), windows))
    return found


def changes(
    alarms: Sequence[JudgedAlarm], before: BundleScorer, after: BundleScorer, section: str, domain: str
) -> list[JudgedChange]:
    """Return how many windows of each alarm are over the level now, and would be with the new condition.

    Args:
        alarms: Judged alarms.
        before: Scorer of the present condition.
        after: Scorer with the new condition as domain `site`.
        section: Section of the monitor.
        domain: Domain that judges now.
    """
    return [
        JudgedChange(
            alarm.alarm_id,
            alarm.verdict,
            sum(w.score > w.threshold for w in before.score(alarm.windows, section, domain)),
            sum(w.score > w.threshold for w in after.score(alarm.windows, section, "site")),
        )
        for alarm in alarms
    ]
