"""A short form of benchmarks/fuzz_commands.py: hostile messages through a real broker, each accounted for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

pytestmark = pytest.mark.rig


def test_no_message_is_obeyed_that_may_not_be_and_each_is_answered(tmp_path):
    import fuzz_commands

    result = fuzz_commands.run(1000, 3, tmp_path)
    assert result.wrongly == []
    assert result.answered == result.received > 700
    assert result.obeyed > 20
    assert result.sent["retained"] > 50
