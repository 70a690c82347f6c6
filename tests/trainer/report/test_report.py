"""The page as its reader opens it: in a browser, from one file, without a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from asd_trainer.cli import main
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluate_run
from asd_trainer.jobs.train import train_machine
from asd_trainer.recipes.load import load_recipe
from rigs.clips import write_data_set
from rigs.command import call
from rigs.waiting import PATIENCE


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report")
    data = write_data_set(place / "data", train_source=8, train_target=2, test=3)
    for recipe in ("level", "tiny"):
        evaluate_run(train_machine(scan(data), "fan", load_recipe(recipe), 0, place / "runs"))
    return place / "runs"


def report(*arguments: object) -> subprocess.CompletedProcess[str]:
    return call(main, "report", *arguments)


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    done = report(runs, "--json")
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["report"])


def test_the_page_needs_nothing_but_itself(page):
    text = page.read_text(encoding="utf-8")
    linked = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert linked
    assert all(link.startswith(("data:", "#")) for link in linked)
    assert "<script" not in text
    assert not re.search(r"url\((?!#)", text)


def test_the_page_says_which_cell_is_weakest_what_was_wrong_and_where_it_comes_from(page):
    text = page.read_text(encoding="utf-8")
    for said in ("Weakest:", "section 00, target", "provisional", "threshold", "Origin", "seed 0"):
        assert said in text, said
    assert "Training</h3>" in text
    assert text.count("<svg") >= 2 * 4 + 2
    assert "No choice was made by test labels" in text


def test_a_browser_shows_it_without_complaint(page, tmp_path):
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: scripts/install-system-packages"
    shot = tmp_path / "page.png"
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}/c")
    done = subprocess.run(
        [chromium, *flags, "--window-size=1200,3000", f"--screenshot={shot}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    assert shot.stat().st_size > 50_000


def test_without_evaluated_runs_it_says_what_to_do(runs, tmp_path):
    done = report(runs, "--machine", "pump")
    assert done.returncode == 1
    assert "asd-trainer evaluate" in done.stderr
    assert "Traceback" not in done.stderr
    assert report(tmp_path / "none").returncode == 1
