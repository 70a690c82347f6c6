"""Truth against alarms, by hand."""

from asd_agent.demo.verdict import LabelledFault, RaisedAlarm, judge

FAULTS = [
    LabelledFault(start=120, end=160, fault="bearing", severity=0.8),
    LabelledFault(start=220, end=260, fault="blade", severity=0.8),
]


def test_an_alarm_during_a_fault_detects_it_with_its_latency():
    verdict = judge(FAULTS, [RaisedAlarm("a", 130, 140)])
    assert (verdict.faults, verdict.detected, verdict.latency_seconds, verdict.false_alarms) == (2, 1, (20.0,), 0)


def test_an_alarm_on_a_normal_stretch_is_false_and_detects_nothing():
    verdict = judge(FAULTS, [RaisedAlarm("a", 110, 120), RaisedAlarm("b", 160, 170)])
    assert (verdict.detected, verdict.false_alarms) == (0, 2)


def test_two_alarms_for_one_fault_count_once_and_by_the_first():
    verdict = judge(FAULTS, [RaisedAlarm("a", 235, 245), RaisedAlarm("b", 225, 235)])
    assert (verdict.detected, verdict.latency_seconds, verdict.false_alarms) == (1, (15.0,), 0)
