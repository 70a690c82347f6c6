"""Scores of a recording: its windows at a monitor's hop, the check of their sound, and the alarms of a monitor's rule.

A recording of any length is read in blocks, so that hours need no more memory than a few windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asd_agent.alarm import AlarmState, ScoredWindow, step
from asd_agent.audio.files import (
    SAMPLE_RATE,
    Signal,
    changes_of,
    check_channels,
    check_rate,
    check_whole,
    full_window,
    read_blocks,
)
from asd_agent.audio.quality import QualityLimits, SoundQuality, assess
from asd_agent.audio.sound_header import SoundFormat, read_format
from asd_agent.clock import ClockReading
from asd_agent.config.model import AlarmSettings, RaiseAfter
from asd_agent.inference.scorer import BundleScorer, ExplainedWindows, WindowScore

DEFAULT_RULE = AlarmSettings().raise_after
_AT_ONCE = 4
"""Windows in one call of the scorer; they share the work of their features."""


@dataclass(frozen=True)
class RecordingSettings:
    """Settings of a monitor for recordings.

    Attributes:
        section: Two digits.
        domain: `source`, `target`, `site`, or `auto`.
        hop_seconds: Time from window to window.
        raise_after: Rule of the alarm.
        channel: Channel, counted from 0; None averages all of them.
    """

    section: str = "00"
    domain: str = "source"
    hop_seconds: float = 5.0
    raise_after: RaiseAfter = DEFAULT_RULE
    channel: int | None = None


@dataclass(frozen=True)
class RecordingScores:
    """Scores of one recording.

    Attributes:
        path: The file.
        windows: Every window at the hop; the last one ends with the recording.
        rule: Rule that was applied: `raise_after`, or the same share of fewer windows.
        alarms: Start and end of each alarm in seconds; the end is None where it stands at the end.
        decisive: Window whose score decides: the k-th highest of the n windows that are nearest to an alarm, or beyond;
            None where no window could be scored.
        got: Score of that window.
        warnings: Changes made while reading, one sentence each.
    """

    path: Path
    windows: tuple[ScoredWindow, ...]
    rule: RaiseAfter
    alarms: tuple[tuple[float, float | None], ...]
    decisive: ScoredWindow | None
    got: WindowScore | None
    warnings: tuple[str, ...] = field(default=())

    @property
    def is_anomalous(self) -> bool:
        """True where the rule raises an alarm in the recording."""
        return bool(self.alarms)


def score_recording(
    scorer: BundleScorer,
    path: Path,
    settings: RecordingSettings,
    progress: Callable[[float], None] = lambda _: None,
) -> RecordingScores:
    """Score a recording.

    Args:
        scorer: Scorer of the bundle.
        path: A wav or flac file.
        settings: Section, domain, hop and rule.
        progress: Called with the seconds that are scored.

    Raises:
        AudioError: The file cannot be read, is truncated, shorter than a window, or recorded at a rate below 16 kHz.
        BundleError: The bundle has no such section or domain.
    """
    found = read_format(path)
    check_rate(path, found)
    if settings.channel is None:
        check_channels(path, found)
    check_whole(path, found)
    limits = _limits(scorer, settings)
    windows: list[ScoredWindow] = []
    scores: list[WindowScore | None] = []
    batch: list[tuple[int, Signal, SoundQuality]] = []

    def score_batch() -> None:
        valid = [signal for _, signal, quality in batch if quality.scored]
        # A clip of one window is explained whatever its score; of a long recording, the unusual windows are.
        explained: ExplainedWindows = "all" if not windows and len(batch) == 1 else "unusual"
        stacked = np.stack(valid) if valid else np.empty((0, scorer.bundle.manifest.window_samples), np.float32)
        remaining = iter(scorer.score(stacked, settings.section, settings.domain, explained=explained))
        for first, signal, quality in batch:
            got = next(remaining) if quality.scored else None
            windows.append(_judged(len(windows), first, len(signal), quality, got))
            scores.append(got)
        batch.clear()
        progress(windows[-1].end)

    dead: set[int] = set()
    for first, columns in _windows(path, found, scorer.bundle.manifest.window_samples, settings):
        quality, channels = _quality(columns, limits)
        dead |= channels
        batch.append((first, columns.mean(axis=1, dtype=np.float32), quality))
        if len(batch) == _AT_ONCE:
            score_batch()
    if batch:
        score_batch()
    rule = fitted_rule(settings.raise_after, sum(w.verdict == "scored" for w in windows))
    decisive = _decisive(windows, rule)
    return RecordingScores(
        path,
        tuple(windows),
        rule,
        tuple(alarms(windows, rule)),
        decisive,
        scores[decisive.index] if decisive else None,
        tuple(_warnings(path, found, settings.channel, dead)),
    )


def fitted_rule(rule: RaiseAfter, windows: int) -> RaiseAfter:
    """Return the rule for a recording with fewer windows than it needs: the same share of those that it has."""
    n = max(1, min(rule.n, windows))
    return RaiseAfter(k=math.ceil(rule.k * n / rule.n), n=n)


def alarms(windows: list[ScoredWindow], rule: RaiseAfter) -> Iterator[tuple[float, float | None]]:
    """Apply a monitor's alarm to windows.

    Yields:
        Start and end of each alarm in seconds, at the ends of the windows that raised and cleared it.
    """
    state, settings = AlarmState(monitor="recording"), AlarmSettings(raise_after=rule)
    raised: float | None = None
    for window in windows:
        state, events = step(state, window, settings, ClockReading(window.end, window.end, "recording"))
        for event in events:
            if event.event == "raised":
                raised = window.end
            elif event.event == "cleared" and raised is not None:
                yield raised, window.end
                raised = None
    if raised is not None:
        yield raised, None


def _limits(scorer: BundleScorer, settings: RecordingSettings) -> QualityLimits:
    domains = scorer.bundle.domains(settings.section, settings.domain)
    levels = [scorer.bundle.condition(settings.section, domain).level_dbfs for domain in domains]
    return QualityLimits(low_dbfs=min(low for low, _ in levels), high_dbfs=max(high for _, high in levels))


def _windows(path: Path, found: SoundFormat, size: int, settings: RecordingSettings) -> Iterator[tuple[int, Signal]]:
    """Cut a recording into windows, the last one flush with its end.

    Yields:
        Index of the first sample, and the samples, shape (samples, channels).

    Raises:
        AudioError: The file cannot be read or is shorter than a window.
    """
    hop = max(1, round(settings.hop_seconds * SAMPLE_RATE))
    channels = None if settings.channel is None else [settings.channel]
    held, first, end = np.empty((0, 0), np.float32), 0, 0
    cut = -1
    for block in read_blocks(path, channels=channels):
        held = np.concatenate([held, block]) if held.size else block
        end += len(block)
        while first + size <= end:
            start = first - (end - len(held))
            yield first, held[start : start + size]
            cut, first = first, first + hop
        # Kept: the window to come, and as much as one that is flush with the end needs.
        held = held[max(0, min(first - (end - len(held)), len(held) - size)) :]
    check_whole(path, found, end)
    if cut < 0:
        yield 0, full_window(path, held, size)
    elif cut + size < end:
        yield end - size, held[len(held) - size :]


def _quality(columns: Signal, limits: QualityLimits) -> tuple[SoundQuality, set[int]]:
    """Check a window; where channels are averaged, a dead one among them makes it suspect and is returned."""
    mixed = assess(columns.mean(axis=1, dtype=np.float32), limits=limits)
    if columns.shape[1] == 1 or not mixed.scored:
        return mixed, set()
    each = [assess(np.ascontiguousarray(columns[:, i])) for i in range(columns.shape[1])]
    dead = {i for i, quality in enumerate(each) if not quality.scored}
    if not dead:
        return mixed, dead
    reasons = dict.fromkeys(reason for i in sorted(dead) for reason in (*each[i].reasons, *mixed.reasons))
    return SoundQuality("suspect", tuple(reasons), mixed.level_dbfs), dead


def _judged(index: int, first: int, size: int, quality: SoundQuality, got: WindowScore | None) -> ScoredWindow:
    return ScoredWindow(
        index=index,
        start=first / SAMPLE_RATE,
        end=(first + size) / SAMPLE_RATE,
        verdict="scored" if got else "invalid",
        suspect=got is not None and quality.verdict == "suspect",
        reasons=quality.reasons,
        score=got.score if got else None,
        threshold=got.threshold if got else None,
        clear_level=got.clear_level if got else None,
        domain=got.domain if got else None,
        experts=got.experts if got else {},
        explanation=got.explanation if got else None,
    ).validated()


def _decisive(windows: list[ScoredWindow], rule: RaiseAfter) -> ScoredWindow | None:
    """Return the window with the k-th highest score of the n windows for which it is furthest above its threshold."""

    def margin(window: ScoredWindow) -> float:
        return (window.score or 0.0) - (window.threshold or 0.0)

    scored = [w for w in windows if w.verdict == "scored"]
    kth = [
        sorted(scored[end - rule.n : end], key=margin, reverse=True)[rule.k - 1]
        for end in range(rule.n, len(scored) + 1)
    ]
    return max(kth, key=margin, default=None)


def _warnings(path: Path, found: SoundFormat, channel: int | None, dead: set[int]) -> Iterator[str]:
    yield from changes_of(path, found, channel=channel)
    if dead:
        names = ", ".join(map(str, sorted(dead)))
        yield f"{path}: channel {names} is silent or unusable in part: choose another with --channel"
