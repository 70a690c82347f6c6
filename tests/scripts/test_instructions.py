"""Comparison of instruction counts with the recorded ones."""

import importlib.util
import json
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "instructions.py"
spec = importlib.util.spec_from_file_location("instructions", FILE)
assert spec is not None
assert spec.loader is not None
instructions = importlib.util.module_from_spec(spec)
spec.loader.exec_module(instructions)

RECORD = {"numpy": "2.4.6", "instructions": {"log-mel": 100, "indicators": 1000}}


@pytest.mark.parametrize(
    ("counts", "version", "over"),
    [
        ({"log-mel": 149, "indicators": 900}, "2.4.6", []),
        ({"log-mel": 150, "indicators": 900}, "2.4.6", ["log-mel"]),
        ({"log-mel": 299}, "2.2.0", []),
        ({"log-mel": 300}, "2.2.0", ["log-mel"]),
        ({"new": 10**9}, "2.4.6", []),
    ],
)
def test_counts_are_compared_with_those_of_the_same_numpy(counts, version, over):
    assert instructions.exceeded(counts, RECORD, version) == over


def test_every_work_is_recorded():
    recorded = json.loads(instructions.RECORD.read_text())
    assert all(set(r["instructions"]) == set(instructions.WORKS) for r in recorded.values())


@pytest.mark.parametrize("name", instructions.WORKS)
def test_every_work_runs(name):
    assert instructions.WORKS[name]() is not None
