"""Runs are scored once, reported completely, and never shown with the measures of another bundle."""

import json
import shutil
from pathlib import Path

import pytest

from asd_agent.errors import DataError
from asd_trainer.cli import main
from asd_trainer.data.dataset import scan
from asd_trainer.evaluation.score import evaluate_run, evaluate_runs, read_evaluation
from asd_trainer.jobs import status
from asd_trainer.jobs.runs import Run, find_runs, read_summary
from asd_trainer.jobs.train import export_run, train_machine
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set
from rigs.command import call


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that no test changes."""
    return write_data_set(tmp_path_factory.mktemp("sound") / "data", train_source=4, train_target=2, test=2)


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "data")


def trained(data: Path, recipe: Recipe | None = None) -> Run:
    return train_machine(scan(data), "fan", recipe or load_recipe("level"), 0, data.parent / "runs")


def attempts(data: Path) -> dict[str, int]:
    return {s.name.removeprefix("level/seed-0/fan/"): s.attempts for s in status(data.parent / "runs")}


def test_what_has_no_auc_or_no_training_clips_is_left_out_and_said(data):
    for clip in (data / "fan" / "train").glob("section_01_target_*"):
        clip.unlink()
    for clip in (data / "fan" / "target_test").glob("section_00_*_anomaly_*"):
        clip.unlink()
    document = evaluate_run(trained(data)).document
    assert [(c["section"], c["domain"]) for c in document["cells"]] == [("00", "source"), ("01", "source")]
    assert document["left_out"] == [
        "fan section 00 target: has only normal clips, so that no AUC is defined",
        "fan section 01 target: 4 test clips, no training clips",
    ]


def test_a_cell_states_its_recordings_and_where_its_transductive_scores_show_nothing(data):
    cells = evaluate_run(trained(data)).document["cells"]
    assert [c["recordings"] for c in cells] == [[2, 2]] * 4
    assert all(c["transductive_is_streaming"] for c in cells)
    assert all(c["auc_transductive"] == pytest.approx(c["auc"][0]) for c in cells)


def test_data_that_has_moved_is_found_again_by_training_without_doing_anything_anew(data):
    evaluate_run(trained(data))
    moved = data.rename(data.parent / "moved")
    with pytest.raises(DataError, match="data: no such folder"):
        evaluate_runs(find_runs(data.parent / "runs"))
    again = evaluate_run(trained(moved))
    assert again.document["data"] == str(moved)
    assert attempts(data) == {"bundle": 1, "evaluation": 1}


def test_another_bundle_takes_the_measures_of_the_old_one_away(data):
    run = trained(data)
    assert evaluate_run(run).document == read_summary(run)
    other = load_recipe("level").model_dump() | {"combination": {"method": "maximum"}}
    run = trained(data, Recipe.model_validate(other))
    assert read_summary(run) is None
    assert not (run.folder / "scores").exists()
    with pytest.raises(DataError, match="has not been evaluated"):
        read_evaluation(run)


def test_other_test_clips_are_scored_and_the_bundle_is_kept(data):
    before = evaluate_run(trained(data)).document
    added = data / "fan" / "source_test" / "section_00_source_test_normal_0009.wav"
    shutil.copy(next((data / "fan" / "train").glob("section_00_source_*")), added)
    after = evaluate_run(find_runs(data.parent / "runs")[0]).document
    assert (before["cells"][0]["normal"], after["cells"][0]["normal"]) == (2, 3)
    assert sorted(s.kind for s in status(data.parent / "runs")) == ["bundle", "evaluation", "evaluation"]


def test_a_bundle_that_was_deleted_is_set_out_again_from_its_job(data):
    run = trained(data)
    shutil.rmtree(run.bundle)
    assert export_run(trained(data), data.parent / "models" / "fan").manifest.machine == "fan"
    assert attempts(data) == {"bundle": 1}


def test_a_run_whose_jobs_are_gone_is_told(data):
    run = trained(data)
    shutil.rmtree(data.parent / "runs" / "jobs")
    with pytest.raises(DataError, match=r"the jobs that made it are gone\. Train it again"):
        evaluate_run(run)


def test_a_machine_without_labelled_test_clips_is_told(data):
    run = trained(data)
    for folder in ("source_test", "target_test"):
        shutil.rmtree(data / "fan" / folder)
    with pytest.raises(DataError, match="has no labelled test clips of fan"):
        evaluate_run(run)


def test_a_table_of_what_works_is_given_where_a_clip_cannot_be_read(data):
    shutil.copytree(data / "fan", data / "pump")
    bad = data / "pump" / "train" / "section_00_source_train_normal_0001.wav"
    bad.write_bytes(bad.read_bytes()[:20])
    out = data.parent / "runs"
    asked = ("--recipes", "level,indicators", "--seeds", 1, "--workers", 2, "--json")
    done = call(main, "table", data, "--out", out, *asked)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]  # after those of progress
    assert "job level/seed-0/pump/bundle failed" in line
    assert bad.name in line
    table = json.loads(done.stdout)
    assert [(c["machine"], c["domain"]) for c in table["columns"]] == [("fan", "source"), ("fan", "target")]
    assert table["left_out"] == [
        "level/seed-0/pump: one of its jobs failed",
        "indicators/seed-0/pump: one of its jobs failed",
    ]
    assert table["reference"] == "level"
    assert table["rows"][1]["overall"]["difference"]["verdict"] in {"better", "worse", "undecided"}
    assert table == json.loads((out / "table.json").read_text())
    assert (out / "table.md").read_text().startswith("| recipe | fan source | fan target | all | against level |")
