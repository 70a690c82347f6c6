"""A dry run writes nothing, and jobs are reported by lines where stderr is not a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from asd_trainer.commands.jobs import _report_jobs, _size
from asd_trainer.jobs.store import JobStatus
from rigs.clips import write_data_set
from rigs.waiting import PATIENCE


@pytest.mark.parametrize("command", ["train", "table"])
def test_a_dry_run_writes_nothing(tmp_path: Path, command):
    data = write_data_set(tmp_path / "data", train_source=8, train_target=2, test=2)
    options = ["--recipe", "level"] if command == "train" else ["--recipes", "level", "--seeds", "1"]
    options += ["--out", tmp_path / "runs", "--dry-run"]
    done = subprocess.run(
        [sys.executable, "-c", "from asd_trainer.cli import main; main()", command, data, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "0 of them done" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_the_line_of_jobs_names_what_runs_what_failed_and_the_time_left():
    lines: list[tuple[str, int, int]] = []
    statuses = [
        JobStatus("a", "network", "1", "done", seconds=60.0),
        JobStatus("b", "network", "2", "running", step=3, total=9, seconds_left=90.0),
        JobStatus("c", "network", "3", "failed", error="broken"),
        JobStatus("d", "network", "4", "pending"),
    ]
    _report_jobs(lambda *line: lines.append(line), statuses, workers=1)
    assert lines == [("2 min 30 s left; 1 failed; running b 3/9; done", 1, 4)]


def test_hours_are_shown_as_a_duration():
    assert _size("hours", 0.087) == "5 min 13 s"
    assert _size("steps", 8000) == "8000 steps"
