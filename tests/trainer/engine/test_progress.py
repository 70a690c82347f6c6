"""Progress where nobody watches a terminal: a line at each interval, none for short work."""

import threading

from asd_trainer.engine.progress import progress_bars, progress_lines
from rigs.waiting import PATIENCE


def test_a_line_is_written_at_each_interval_also_while_nothing_is_reported(capfd):
    seen = threading.Event()
    with progress_lines("table", seconds=0.05) as report:
        report("clips read", 3, 9)
        for _ in range(int(PATIENCE / 0.05)):
            if seen.wait(0.05):
                break
            text = capfd.readouterr().err
            if "clips read 3 of 9, after 0 s" in text or "clips read 3 of 9, after 1 s" in text:
                seen.set()
    assert seen.is_set()


def test_announced_work_writes_a_line_at_its_start_and_at_its_first_report(capfd):
    with progress_bars("train", announced=True) as report:
        assert capfd.readouterr().err == "train: starting\n"
        report("clips read", 1, 9)
        report("clips read", 2, 9)
    assert capfd.readouterr().err == "train: clips read 1 of 9\n"


def test_short_work_writes_nothing(capfd):
    with progress_bars("inspect") as report:
        report("clips opened", 1, 1)
    assert capfd.readouterr().err == ""
