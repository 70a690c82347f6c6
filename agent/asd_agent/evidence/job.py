"""From what was heard around an alarm to the files that prove it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asd_agent.alarm import EvidenceSummary
from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.clock import iso_utc
from asd_agent.evidence.clip import Cut, to_flac
from asd_agent.evidence.picture import PictureContent, SpectrogramLayer, draw
from asd_agent.evidence.record import ClipEntry, FileEntry, Record, ScoreEntry, Span
from asd_agent.evidence.store import CLIP, PICTURE, RECORD
from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_agent.inference.scorer import BundleScorer

log = logging.getLogger(__name__)

_TITLES = {"spreads": "error above the usual", "dB": "level above the usual"}


@dataclass(frozen=True)
class Job:
    """Everything that is known of an alarm when its sound has been heard.

    Attributes:
        id: Of the evidence.
        agent: Its name.
        monitor: Its name.
        alert: `raised`, as JSON.
        cut: The sound.
        window: First sample and the one after the last of the window that raised the alarm.
        scores: Windows around it: first sample, the one after the last, verdict, score and threshold.
        utc: Of the cut's first sample and of the one after its last, in seconds since 1970.
        scorer: Of the bundle that scored.
        section: That was scored.
        domain: That judged.
    """

    id: str
    agent: str
    monitor: str
    alert: Mapping[str, Any]
    cut: Cut
    window: tuple[int, int]
    scores: tuple[tuple[int, int, str, float | None, float | None], ...]
    utc: tuple[float, float]
    scorer: BundleScorer
    section: str
    domain: str

    @property
    def folder(self) -> str:
        """Its place below the folder of evidence."""
        return f"{self.monitor}/{self.id}"


def build(job: Job, kept_utc: float, meter_seconds: float) -> tuple[dict[str, bytes], EvidenceSummary]:
    """Make the files, in memory: their length is known before the disk is asked for room.

    Args:
        job: What was heard.
        kept_utc: Now, in seconds since 1970.
        meter_seconds: For how long the agent has run.

    Returns:
        Content by name, and what is said of the clip.
    """
    clip = to_flac(job.cut.samples)
    files = {CLIP: clip}
    scores = _scores(job)
    try:
        files[PICTURE] = draw(_scene(job, scores))
    except Exception as error:  # noqa: BLE001 - proof without a picture is still proof
        log.warning("evidence %s: no picture could be drawn (%s: %s)", job.id, type(error).__name__, error)
    entry = _entry(CLIP, clip)
    record = Record(
        id=job.id,
        agent=job.agent,
        monitor=job.monitor,
        alarm_id=str(job.alert["alarm_id"]),
        kept_at=iso_utc(kept_utc),
        meter_seconds=round(meter_seconds, 3),
        alert=dict(job.alert),
        window=_span(job, *job.window),
        gaps=tuple(_span(job, g.first, g.end) for g in job.cut.gaps),
        lacks=job.cut.lacks,
        clip=ClipEntry(
            **entry.model_dump(),
            rate=SAMPLE_RATE,
            samples=len(job.cut.samples),
            first=job.cut.first,
            start=iso_utc(job.utc[0]),
            end=iso_utc(job.utc[1]),
        ),
        picture=_entry(PICTURE, files[PICTURE]) if PICTURE in files else None,
        scores=scores,
    )
    files[RECORD] = record.to_json().encode()
    return files, EvidenceSummary(f"{job.folder}/{CLIP}", entry.sha256, entry.bytes)


def _entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _scores(job: Job) -> tuple[ScoreEntry, ...]:
    return tuple(
        ScoreEntry(
            start=job.cut.seconds(first), end=job.cut.seconds(end), verdict=verdict, score=score, threshold=threshold
        )
        for first, end, verdict, score, threshold in job.scores
        if job.cut.first <= end <= job.cut.end
    )


def _scene(job: Job, scores: tuple[ScoreEntry, ...]) -> PictureContent:
    alert, samples = job.alert, job.cut.samples
    anomaly_map = _anomaly_map(job)
    spec = anomaly_map.spec if anomaly_map else FeatureSpec()
    said = (alert.get("explanation") or {}).get("text", "")
    score, threshold = alert.get("score"), alert.get("threshold")
    beyond = f", score {score:.2f} over {threshold:.2f}" if score is not None and threshold is not None else ""
    return PictureContent(
        titles=(
            f"{job.monitor}: {alert['machine']}, section {job.section}, severity {alert['severity']}",
            f"{str(alert.get('window_end') or '')[:19].replace('T', ' ')} UTC{beyond}",
            *([said] if said else []),
        ),
        seconds=len(samples) / SAMPLE_RATE,
        sound=SpectrogramLayer(log_mel(np.nan_to_num(samples), spec), spec, "sound", "dB"),
        anomaly_map=anomaly_map,
        scores=scores,
        window=_span(job, *job.window),
        gaps=tuple(_span(job, g.first, g.end) for g in job.cut.gaps),
    )


def _span(job: Job, first: int, end: int) -> Span:
    return Span(start=job.cut.seconds(first), end=job.cut.seconds(end))


def _anomaly_map(job: Job) -> SpectrogramLayer | None:
    """What was unusual of the clip: windows side by side, the last one flush with its end."""
    samples, window = np.nan_to_num(job.cut.samples), job.scorer.bundle.manifest.window_samples
    starts = list(range(0, len(samples) - window + 1, window))
    if not starts:
        return None
    if starts[-1] + window < len(samples):
        starts.append(len(samples) - window)
    found = job.scorer.anomaly_map(np.stack([samples[s : s + window] for s in starts]), job.section, job.domain)
    if found is None:
        return None
    hop = found.spec.hop_length
    joined = np.full((-(-len(samples) // hop) + 1, found.spec.n_mels), np.nan)
    for start, cells in zip(starts, found.cells, strict=True):
        there = joined[round(start / hop) :][: len(cells)]
        there[:] = cells[: len(there)]
    return SpectrogramLayer(joined, found.spec, _TITLES[found.unit], found.unit, is_anomaly_map=True)
