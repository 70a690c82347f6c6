"""Lines of long work where no terminal shows a bar."""

from __future__ import annotations

import pytest

from asd_agent.commands.console import MinuteLines


def test_a_line_is_written_at_once_and_then_once_a_minute(capsys: pytest.CaptureFixture[str]):
    now = 1000.0
    lines = MinuteLines(terminal=False, clock=lambda: now)
    for second in range(150):
        now = 1000.0 + second
        lines.write(f"at {second}")
    assert capsys.readouterr().err.splitlines() == ["at 0", "at 60", "at 120"]


def test_beside_a_progress_bar_no_line_is_written(capsys: pytest.CaptureFixture[str]):
    MinuteLines(terminal=True).write("x")
    assert capsys.readouterr().err == ""
