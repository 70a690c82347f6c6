"""Files of an alarm's evidence, made from its sound: clip, picture and record."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asd_agent.alarm import EvidenceSummary
from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.clock import iso_utc
from asd_agent.evidence.clip import ClipSound, to_flac
from asd_agent.evidence.record import ClipEntry, EvidenceRecord, FileEntry, ScoreEntry, Span
from asd_agent.evidence.store import CLIP, PICTURE, RECORD
from asd_agent.inference.scorer import BundleScorer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvidenceJob:
    """Alarm whose sound is complete, with everything that its evidence needs.

    Attributes:
        id: Id of the evidence.
        agent: Name of the agent.
        monitor: Name of the monitor.
        alert: Alert `raised`, as JSON.
        sound: Sound around the alarm.
        window: First sample and the one after the last of the window that raised the alarm.
        scores: Windows around it: first sample, the one after the last, verdict, score and threshold.
        utc: Times of the first sample and of the one after the last, in seconds since 1970.
        scorer: Scorer of the bundle.
        section: Section that was scored.
        domain: Domain that judged.
        opened: Report on how the source was opened, see `CaptureSource.opened`.
    """

    id: str
    agent: str
    monitor: str
    alert: Mapping[str, Any]
    sound: ClipSound
    window: tuple[int, int]
    scores: tuple[tuple[int, int, str, float | None, float | None], ...]
    utc: tuple[float, float]
    scorer: BundleScorer
    section: str
    domain: str
    opened: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Path below the folder of evidence."""
        return f"{self.monitor}/{self.id}"


def build_files(job: EvidenceJob, stored_utc: float, meter_seconds: float) -> tuple[dict[str, bytes], EvidenceSummary]:
    """Make the files in memory, so that their size is known before room is made on the disk.

    Args:
        job: The alarm and its sound.
        stored_utc: Time now, in seconds since 1970.
        meter_seconds: Reading of the hour meter.

    Returns:
        Content by name, and the summary for the alert.
    """
    clip = to_flac(job.sound.samples)
    files = {CLIP: clip}
    scores = _scores(job)
    try:
        from asd_agent.evidence.job_picture import draw_job  # Pillow costs memory and start time

        files[PICTURE] = draw_job(job, scores)
    except Exception as error:  # noqa: BLE001 - evidence without a picture is still evidence
        log.warning("evidence %s: no picture could be drawn (%s: %s)", job.id, type(error).__name__, error)
    entry = _entry(CLIP, clip)
    record = EvidenceRecord(
        id=job.id,
        agent=job.agent,
        monitor=job.monitor,
        alarm_id=str(job.alert["alarm_id"]),
        kept_at=iso_utc(stored_utc),
        meter_seconds=round(meter_seconds, 3),
        alert=dict(job.alert),
        window=span_of(job, *job.window),
        gaps=tuple(span_of(job, g.first, g.end) for g in job.sound.gaps),
        lacks=job.sound.lacks,
        clip=ClipEntry(
            **entry.model_dump(),
            rate=SAMPLE_RATE,
            samples=len(job.sound.samples),
            first=job.sound.first,
            start=iso_utc(job.utc[0]),
            end=iso_utc(job.utc[1]),
            opened_rate=job.opened.get("rate"),
            resampler=job.opened.get("resampler"),
        ),
        picture=_entry(PICTURE, files[PICTURE]) if PICTURE in files else None,
        scores=scores,
    )
    files[RECORD] = record.to_json().encode()
    return files, EvidenceSummary(f"{job.folder}/{CLIP}", entry.sha256, entry.bytes)


def _entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(path=name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))


def _scores(job: EvidenceJob) -> tuple[ScoreEntry, ...]:
    return tuple(
        ScoreEntry(
            start=job.sound.seconds(first),
            end=job.sound.seconds(end),
            verdict=verdict,
            score=score,
            threshold=threshold,
        )
        for first, end, verdict, score, threshold in job.scores
        if job.sound.first <= end <= job.sound.end
    )


def span_of(job: EvidenceJob, first: int, end: int) -> Span:
    """Return the time of some samples, in seconds from the clip's start."""
    return Span(start=job.sound.seconds(first), end=job.sound.seconds(end))
