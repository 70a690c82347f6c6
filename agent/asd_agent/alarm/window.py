"""The judged window, as the alarm takes it, and its severity.

Severity is that of OPC UA Part 9 (Alarms and Conditions), 1 to 1000.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from asd_agent.inference.explanation import Explanation

Verdict = Literal["scored", "invalid", "suspended"]

SEVERITY_AT_THRESHOLD = 100
SEVERITY_PER_SPREAD = 100
"""A score nine spreads beyond the threshold reaches 1000, the end of OPC UA's range."""
MEDIUM, HIGH = 334, 667
"""Lowest severities of the classes medium and high: thirds of OPC UA's range."""


class StoredValue(BaseModel):
    """A value that is stored as JSON with the alarm's state."""

    # Stored under aliases, the names of earlier versions, whose states must load. Fields that a later version has
    # stored are ignored: after a downgrade a standing alarm and its sequence continue.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, ser_json_inf_nan="constants")


class ScoredWindow(StoredValue):
    """One judged window: its times, its quality and, where it could be scored, its score."""

    index: int
    """Number of the window in this run of the source."""
    start: float
    end: float
    """Sample time in seconds."""
    utc_start: float = 0.0
    utc_end: float = 0.0
    """The same on the wall clock, seconds since 1970."""
    verdict: Verdict
    """`invalid` (gap, silence) and `suspended` (the machine is stopped) count neither for nor against an alarm."""
    suspect: bool = False
    reasons: tuple[str, ...] = ()
    """Reasons why the window is suspect or invalid, such as `clipping` or `gap`."""
    score: float | None = None
    threshold: float | None = None
    clear_level: float | None = None
    spread: float = 1.0
    """Spread of normal scores, the unit of severity; 1 for a standardised score."""
    domain: str | None = None
    """Domain that judged the window, where it is chosen window by window."""
    provisional: bool | None = None
    """True where the threshold of that domain rests on too few clips."""
    experts: dict[str, float] = Field(default_factory=dict)
    explanation: Explanation | None = None

    def validated(self) -> ScoredWindow:
        """Return the window; as an invalid one where a score that should count is not a finite number."""
        experts = {name: value for name, value in self.experts.items() if math.isfinite(value)}
        numbers = (self.score, self.threshold)
        if self.verdict == "scored" and not all(n is not None and math.isfinite(n) for n in numbers):
            reasons = (*self.reasons, "score is not a number")
            lost = {"verdict": "invalid", "score": None, "experts": experts, "reasons": reasons}
            return self.model_copy(update=lost)
        if self.verdict != "scored":
            return self.model_copy(update={"score": None, "experts": experts})
        return self.model_copy(update={"experts": experts}) if len(experts) < len(self.experts) else self

    @property
    def over(self) -> bool:
        """True where the score exceeds its threshold."""
        return (
            self.verdict == "scored"
            and self.score is not None
            and self.threshold is not None
            and self.score > self.threshold
        )

    @property
    def below_clear(self) -> bool:
        """True where the score is below the clear level, which is never above the threshold."""
        if self.verdict != "scored" or self.score is None or self.threshold is None:
            return False
        level = self.threshold
        if self.clear_level is not None and math.isfinite(self.clear_level):
            level = min(level, self.clear_level)
        return self.score < level


def severity_of(window: ScoredWindow) -> int:
    """Return the OPC UA severity, 1 to 1000: 100 at the threshold, 100 more for each spread of normal scores beyond it.

    It is a difference and no ratio, so that it means the same for any threshold, also for one of zero or below.
    """
    if window.score is None or window.threshold is None:
        return 1
    spread = window.spread if math.isfinite(window.spread) and window.spread > 0 else 1.0
    beyond = (window.score - window.threshold) / spread
    value = SEVERITY_AT_THRESHOLD + SEVERITY_PER_SPREAD * max(-1e3, min(beyond, 1e3))
    return max(1, min(1000, math.floor(value + 0.5)))


def severity_class(severity: int) -> int:
    """Return the class of a severity: 0 low, 1 medium, 2 high."""
    return int(severity >= MEDIUM) + int(severity >= HIGH)
