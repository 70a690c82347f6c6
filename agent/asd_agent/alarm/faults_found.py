"""Faults found at a bundle's levels, as `asd-trainer evaluate` measured them on labelled clips, in words.

A manifest comes from outside, and its `metrics` have no schema: whatever is no such measurement is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from asd_agent.alarm.rate import a_day

__all__ = ["found_text"]


def found_text(metrics: Mapping[str, Any], section: str, domain: str) -> str:
    """Return what share of labelled faults is found, and at which alarm rates more would be; empty where unmeasured.

    >>> cell = {"section": "00", "domain": "source", "anomalous": 50, "recall": 0.4, "half_found_per_day": 4.0}
    >>> found_text({"cells": [cell]}, "00", "source")
    '40 % of 50 labelled faults are above the level; half of them from 4 false alarms a day on'
    """
    cells = metrics.get("cells")
    for cell in cells if isinstance(cells, list) else []:
        if isinstance(cell, dict) and (cell.get("section"), cell.get("domain")) == (section, domain):
            return _text(cell)
    return ""


def _text(cell: Mapping[str, Any]) -> str:
    share, faults = _number(cell.get("recall")), _number(cell.get("anomalous"))
    if share is None or faults is None or not 0 <= share <= 1 or not 1 <= faults < 1e9:
        return ""
    text = f"{100 * share:.0f} % of {faults:.0f} labelled faults are above the level"
    half, most = _number(cell.get("half_found_per_day")), _number(cell.get("most_found_per_day"))
    if half is not None:
        text += f"; half of them from {a_day(half)} false alarms a day on"
    if half is not None and most is not None:
        text += f", 90 % from {a_day(most)}"
    return text


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None
