"""Faults found at a level, in words; what is no measurement is left out."""

from __future__ import annotations

from typing import Any

import pytest

from asd_agent.alarm.faults_found import found_text

CELL: dict[str, Any] = {
    "section": "01",
    "domain": "target",
    "anomalous": 50,
    "recall": 0.421,
    "half_found_per_day": 262.3,
    "most_found_per_day": 9000.0,
}


def test_a_measured_cell_is_told():
    assert found_text({"cells": [{**CELL, "section": "00"}, CELL]}, "01", "target") == (
        "42 % of 50 labelled faults are above the level; half of them from 260 false alarms a day on, 90 % from 9000"
    )
    assert found_text({"cells": [CELL]}, "01", "source") == ""


def test_an_evaluation_of_before_the_rates_has_the_share_alone():
    earlier = {k: CELL[k] for k in ("section", "domain", "anomalous", "recall")}
    assert found_text({"cells": [earlier]}, "01", "target") == "42 % of 50 labelled faults are above the level"


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"cells": None},
        {"cells": "01 target"},
        {"cells": [None, 1, "x", []]},
        {"pruned": {"cells": [CELL]}},
        *({"cells": [{**CELL, "recall": value}]} for value in (None, "all", True, -0.1, 1.1, float("nan"), 10**400)),
        *({"cells": [{**CELL, "anomalous": value}]} for value in (None, 0, -1, [1], 1e300)),
    ],
)
def test_what_is_no_measurement_is_left_out(metrics: dict[str, Any]):
    assert found_text(metrics, "01", "target") == ""
