"""From clips to a bundle on a box, as a person does it: train, evaluate, export, score; also when the power goes."""

import csv
import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asd_trainer.cli import main
from asd_trainer.jobs import status
from rigs.clips import DOMAINS, SECTIONS, write_data_set
from rigs.command import call as call_here
from rigs.waiting import PATIENCE

STEPS = 60
TWO = ("--workers", 2)
"""One thread each: threads that wait for a core which others use cost more than they give."""
RECIPE = f"""name: chain
features: {{n_fft: 1024, hop_length: 1024, n_mels: 32}}
experts:
  - kind: autoencoder
    network: {{blocks: 1, units: 16, heads: 2, kernel: 7, feedforward: 32}}
    training: {{steps: {STEPS}, batch: 8, warmup_steps: 10, learning_rate: 3.0e-3}}
    replicas: {{count: 2}}
    density: {{density: mahalanobis}}
checkpoint_every: 5
device: cpu
"""


def call(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    code = f"from {program}.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


PROGRESS = ("train: ", "table: ", "jobs: ")
"""Beginnings of the lines of progress where stderr is no terminal."""


def trainer(*arguments: object) -> str:
    return quiet(call("asd_trainer", *arguments))


def told(*arguments: object) -> str:
    """Output of the trainer where nothing is trained, without a process of its own."""
    return quiet(call_here(main, *arguments))


def quiet(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith(PROGRESS)] == []
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a recipe, trained, evaluated and exported without a break."""
    place = tmp_path_factory.mktemp("chain")
    write_data_set(place / "data")
    (place / "chain.yaml").write_text(RECIPE)
    trainer("train", place / "data", "--recipe", place / "chain.yaml", "--out", place / "runs", *TWO)
    (place / "evaluated.json").write_text(trainer("evaluate", place / "runs", "--json", *TWO))
    trainer("export", place / "runs", "--out", place / "models")
    return place


@pytest.fixture(scope="module")
def run(place: Path) -> Path:
    return place / "runs" / "chain" / "seed-0" / "fan"


def test_evaluate_measures_every_cell_and_compares_in_the_form_of_the_paper(place, run):
    said = json.loads((place / "evaluated.json").read_text())
    (one,) = said["runs"]
    assert [(c["domain"], c["section"]) for c in one["cells"]] == [(d, s) for d in DOMAINS for s in SECTIONS]
    assert {(c["normal"], c["anomalous"], c["training_clips"]) for c in one["cells"][:2]} == {(3, 3, 8)}
    assert all(c["provisional"] == (c["domain"] == "target") for c in one["cells"])
    assert one == json.loads((run / "evaluation.json").read_text())
    table = said["table"]
    assert [(c["machine"], c["domain"]) for c in table["columns"]] == [("fan", "source"), ("fan", "target")]
    overall = table["rows"][0]["overall"]["value"]
    assert overall["value"] == pytest.approx(100 * one["harmonic_mean"][0])
    assert overall["low"] == pytest.approx(100 * one["harmonic_mean"][1])
    assert overall["transductive"] == pytest.approx(100 * one["harmonic_mean_transductive"])
    assert table["paper"] == []


@pytest.mark.parametrize(("section", "domain"), [("00", "source"), ("01", "target")])
def test_the_box_gives_the_scores_of_the_evaluation(place, run, section, domain):
    clips = sorted((place / "data" / "fan" / f"{domain}_test").glob(f"section_{section}_*.wav"))
    done = call(
        "asd_agent",
        "score",
        *clips,
        "--bundle",
        place / "models" / "fan",
        "--section",
        section,
        "--domain",
        domain,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    with (run / "scores" / f"anomaly_score_fan_section_{section}_{domain}_test.csv").open(newline="") as file:
        evaluated = {name: float(score) for name, score in csv.reader(file)}
    on_the_box = {Path(c["clip"]).name: c["score"] for c in json.loads(done.stdout)["clips"]}
    assert len(on_the_box) == 6
    assert on_the_box == pytest.approx(evaluated, abs=1e-5)


def test_the_exported_bundle_tells_what_was_measured(place, run):
    manifest = json.loads((place / "models" / "fan" / "manifest.json").read_text())
    assert manifest["metrics"] == json.loads((run / "evaluation.json").read_text())
    assert manifest["provenance"]["recipe"] == "chain"
    shown = call("asd_agent", "bundle", "show", place / "models" / "fan")
    assert re.search(r"01 target: \d+ % of 3 labelled faults are above the level; half of them from ", shown.stdout)


def test_what_is_done_is_not_done_again(place, run):
    before = {s.digest: s.attempts for s in status(place / "runs")}
    assert len(before) == 3
    told("train", place / "data", "--recipe", place / "chain.yaml", "--out", place / "runs")
    told("evaluate", place / "runs")
    assert {s.digest: s.attempts for s in status(place / "runs")} == before
    listed = json.loads(told("jobs", place / "runs", "--json"))["jobs"]
    assert {j["name"]: j["state"] for j in listed} == {
        f"chain/seed-0/fan/{job}": "done" for job in ("ae-0", "bundle", "evaluation")
    }


def test_other_settings_of_the_scorer_fit_anew_without_training_anew(place):
    (place / "other.yaml").write_text(RECIPE.replace("density: mahalanobis", "density: gmm"))
    said = told(
        "train", place / "data", "--recipe", place / "other.yaml", "--out", place / "runs", "--dry-run", "--json"
    )
    jobs = json.loads(said)["jobs"]
    assert [(j["kind"], j["state"], j["size"]) for j in jobs] == [
        ("network", "done", {"clips": 12, "steps": STEPS}),
        ("bundle", "pending", {"clips": 22}),
    ]


def test_a_killed_training_goes_on_and_ends_with_the_same_evaluation(place, run):
    killed = place / "killed"
    program = """
import sys
from pathlib import Path
from asd_trainer.data.dataset import scan
from asd_trainer.jobs import executor
from asd_trainer.jobs.plan import make_plan
from asd_trainer.recipes.load import load_recipe
from asd_trainer.jobs.train import carry_out
data, recipe, out = map(Path, sys.argv[1:])
def tell(statuses):
    if list(out.glob("jobs/*/files/checkpoint.pt")):
        print(*(s.pid for s in statuses if s.state == "running"), flush=True)
executor.STATUS_SECONDS = 0
carry_out(make_plan([scan(data)], [load_recipe(recipe)], [0], out), workers=2, on_status=tell)
"""
    command = [sys.executable, "-c", program, place / "data", place / "chain.yaml", killed]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    worker = os.pidfd_open(int(runner.stdout.readline()))
    try:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait(PATIENCE)
        assert select.select([worker], [], [], PATIENCE)[0], "the worker outlived its starter"
    finally:
        os.close(worker)
        runner.stdout.close()
    (left,) = killed.glob("jobs/*/files/checkpoint.pt")
    trainer("train", place / "data", "--recipe", place / "chain.yaml", "--out", killed, *TWO)
    trainer("evaluate", killed, *TWO)
    assert {s.name.rpartition("/")[2]: s.attempts for s in status(killed)} == {"ae-0": 2, "bundle": 1, "evaluation": 1}
    assert not left.exists()
    (unbroken,) = (place / "runs").glob("jobs/*/files/metrics.jsonl")
    assert (left.parent / "metrics.jsonl").read_bytes() == unbroken.read_bytes()
    again = killed / "chain" / "seed-0" / "fan" / "evaluation.json"
    assert again.read_text() == (run / "evaluation.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["train", "data", "--recipe", "quik"], 78, "no recipe is called 'quik'. Did you mean 'quick'?"),
        (["train", "nowhere"], 1, "nowhere: no such folder. Give the folder that holds a folder for each machine."),
        (["train", "data", "--machine", "fann"], 2, "data: has no machine 'fann'. It has: fan."),
        (["evaluate", "empty"], 1, "empty: holds no finished run. Train first"),
        (["export", "empty"], 1, "empty: holds no finished run. Train first"),
        (["jobs", "empty"], 1, "empty: has no jobs. Train first"),
        (
            ["table", "data", "--recipes", "level,quick", "--reference", "tiny"],
            2,
            "'tiny' is not one of the recipes. Choose",
        ),
        (["table", "data", "--recipes", "level,level"], 2, "two recipes are called 'level'"),
        (["table", "data", "data"], 2, "two of the data sets are the same"),
    ],
)
def test_a_mistake_is_said_in_one_line_with_its_remedy(place, monkeypatch, arguments, code, text):
    (place / "empty").mkdir(exist_ok=True)
    monkeypatch.chdir(place)
    done = call_here(main, *arguments)
    assert done.returncode == code
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith(PROGRESS)]
    assert text in line
