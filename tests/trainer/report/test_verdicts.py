"""Sentences of the page about a cell follow from the cell's figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.manifest import Condition, ExpertUse, MemberUse, Standardisation, Threshold
from asd_trainer.data.layout import Clip
from asd_trainer.evaluation.metrics.roc import auc
from asd_trainer.report.gather import CellReport, ScoredClip
from asd_trainer.report.verdicts import sentences, weakest

UNIT = Standardisation(mean=0, std=1)
LEVEL = 2.0


def cell(normal, anomalous, *, width=0.1, domain="source", provisional=False, faults=("",)):
    """A cell with these scores; its AUC's interval is as wide as asked, either way."""
    judged = [_judged(s, False, i, "") for i, s in enumerate(normal)]
    judged += [_judged(s, True, i, faults[i % len(faults)]) for i, s in enumerate(anomalous)]
    value = auc(np.array(normal, dtype=float), np.array(anomalous, dtype=float))
    use = MemberUse(member="m", density="mahalanobis", scorer="s", standardisation=UNIT, reference="r")
    threshold = Threshold(
        raise_level=LEVEL,
        clear_level=1.5,
        method="quantile",
        window_rate=0.01,
        false_alarms_per_day=1,
        wanted_per_day=1,
    )
    condition = Condition(
        section="00",
        domain=domain,
        experts=[ExpertUse(name="e", members=[use], standardisation=UNIT, reference="r")],
        standardisation=UNIT,
        reference="r",
        clips=50,
        level_dbfs=(-40, -10),
        threshold=threshold,
    )
    measured = {"auc": [value, value - width, value + width], "provisional": provisional, "training_clips": 3}
    return CellReport(measured, condition, np.zeros(3), tuple(sorted(judged, key=lambda j: j.score)))


def _judged(score, anomalous, index, fault):
    attributes = {"fault": fault} if fault else {}
    label = "anomaly" if anomalous else "normal"
    clip = Clip(Path(f"{label}{index}.wav"), "fan", "00", "source", "test", label, index, attributes)
    return ScoredClip(clip, float(score), anomalous)


def said(found):
    return " ".join(s.text for s in found)


NORMAL = [i / 25 - 1 for i in range(50)]


def test_a_cell_near_chance_is_said_to_be_guessing_and_comes_first():
    found = sentences(cell(NORMAL, NORMAL))
    assert found[0].tone == "bad"
    assert "not distinguishable from guessing" in found[0].text


def test_a_cell_that_errs_the_wrong_way_is_not_called_guessing():
    found = sentences(cell(NORMAL, [x - 2 for x in NORMAL]))
    assert "score lower than healthy" in found[0].text


def test_false_alarms_beyond_chance_are_told_apart_from_bad_luck():
    bad = sentences(cell([*NORMAL[:40], *[3.0] * 10], [5.0] * 50))
    assert "More false alarms than chance allows" in said(bad)
    lucky = sentences(cell([*NORMAL[:49], 3.0], [5.0] * 50))
    assert "More false alarms" not in said(lucky)
    assert "1 of 50 (2 %) healthy clips" in said(lucky)


def test_a_high_threshold_over_a_good_ranking_is_named():
    assert "most faults are below the threshold" in said(sentences(cell(NORMAL, [1.5] * 50)))
    assert "most faults" not in said(sentences(cell(NORMAL, [2.5] * 50)))


def test_the_fault_that_is_missed_is_named():
    anomalous = [0.0, 5.0] * 10
    text = said(sentences(cell(NORMAL, anomalous, faults=("rub", "bearing"))))
    assert "By fault: rub is detected worst" in text
    assert "bearing best (100 %, 10)" in text


def test_a_shift_is_said_where_the_intervals_part():
    source, target = cell(NORMAL, [3.0] * 50), cell(NORMAL, NORMAL, domain="target", provisional=True)
    text = said(sentences(target, source))
    assert "costs 50 points" in text
    assert "provisional: there were only 3 normal clips" in text
    assert "domain shift" not in said(sentences(cell(NORMAL, NORMAL, width=0.3), cell(NORMAL, [3.0] * 50, width=0.3)))


def test_faults_below_the_threshold_are_told_with_the_rates_that_find_them():
    one = cell(NORMAL, [1.5] * 50)
    assert "most faults are below the threshold." in said(sentences(one))
    measured = replace(one, measured={**one.measured, "half_found_per_day": 4.04, "most_found_per_day": 120.0})
    assert "Half of them are found at 4 false alarms a day and more, 90 % at 120." in said(sentences(measured))


def test_a_threshold_of_one_day_is_said_to_be_so():
    one = cell(NORMAL, [3.0] * 50, provisional=True)
    of_a_day = replace(one, condition=one.condition.model_copy(update={"session": "one day"}))
    assert "provisional: all of its sound is of one day" in said(sentences(of_a_day))


def test_the_weakest_is_the_one_with_the_smallest_auc():
    good, poor = cell(NORMAL, [3.0] * 50), cell(NORMAL, NORMAL)
    found = weakest([("good", good), ("poor", poor)])
    assert found is not None
    assert found[0] == "poor"
    assert weakest([]) is None


@pytest.mark.parametrize(("most", "names"), [(1, ["anomaly0.wav"]), (9, ["anomaly0.wav", "anomaly1.wav"])])
def test_misses_are_the_faulty_ones_below_the_threshold_lowest_first(most, names):
    one = cell([0.0, 4.0, 3.0], [-1.0, 1.0, 2.5])
    assert [j.clip.path.name for j in one.misses(most)] == names
    assert [j.score for j in one.false_alarms(9)] == [4.0, 3.0]
