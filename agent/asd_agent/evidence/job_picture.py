"""Picture of an alarm's evidence: its sound, the anomaly map, scores and gaps. Only this module leads to Pillow."""

from __future__ import annotations

import numpy as np

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.evidence.job import EvidenceJob, span_of
from asd_agent.evidence.picture import PictureContent, SpectrogramLayer, draw
from asd_agent.evidence.record import ScoreEntry
from asd_agent.features.log_mel import FeatureSpec, log_mel

_TITLES = {"spreads": "error above the usual", "dB": "level above the usual"}


def draw_job(job: EvidenceJob, scores: tuple[ScoreEntry, ...]) -> bytes:
    """Draw the picture of an alarm, as PNG."""
    return draw(_content(job, scores))


def _content(job: EvidenceJob, scores: tuple[ScoreEntry, ...]) -> PictureContent:
    alert, samples = job.alert, job.sound.samples
    anomaly_map = _anomaly_map(job)
    spec = anomaly_map.spec if anomaly_map else FeatureSpec()
    explanation = (alert.get("explanation") or {}).get("text", "")
    score, threshold = alert.get("score"), alert.get("threshold")
    beyond = f", score {score:.2f} over {threshold:.2f}" if score is not None and threshold is not None else ""
    return PictureContent(
        titles=(
            f"{job.monitor}: {alert['machine']}, section {job.section}, severity {alert['severity']}",
            f"{str(alert.get('window_end') or '')[:19].replace('T', ' ')} UTC{beyond}",
            *([explanation] if explanation else []),
        ),
        seconds=len(samples) / SAMPLE_RATE,
        sound=SpectrogramLayer(log_mel(np.nan_to_num(samples), spec), spec, "sound", "dB"),
        anomaly_map=anomaly_map,
        scores=scores,
        window=span_of(job, *job.window),
        gaps=tuple(span_of(job, g.first, g.end) for g in job.sound.gaps),
    )


def _anomaly_map(job: EvidenceJob) -> SpectrogramLayer | None:
    """Return the anomaly map of the clip: windows side by side, the last one flush with its end."""
    samples, window = np.nan_to_num(job.sound.samples), job.scorer.bundle.manifest.window_samples
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
