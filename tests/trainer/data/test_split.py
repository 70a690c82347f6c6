"""The stored split: the same folds when it is read again, wherever the data are; nothing looks for clips twice."""

import json
from pathlib import Path

import pytest

from asd_agent.errors import DataError
from asd_trainer.data import dataset
from asd_trainer.data.dataset import scan
from asd_trainer.data.split import DataSplit, HeldOut
from asd_trainer.jobs.plan import make_plan
from asd_trainer.jobs.train import carry_out
from asd_trainer.recipes.recipe import Recipe
from rigs.clips import write_data_set


def names(root: Path, machine: str, source: int, target: int) -> None:
    """Clips by their names alone: a split reads no sound."""
    for domain, count in (("source", source), ("target", target)):
        for index in range(count):
            path = root / machine / "train" / f"section_00_{domain}_train_normal_{index:04d}_vel_{index % 2}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("no sound")
    path = root / machine / "source_test" / "section_00_source_test_anomaly_0000.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("no sound")


def test_a_stored_split_is_read_as_it_was_also_where_the_data_have_moved(tmp_path):
    names(tmp_path / "here", "fan", 8, 3)
    split = DataSplit.of(scan(tmp_path / "here"), HeldOut(folds=4), 7)
    path = split.store(tmp_path / "splits")
    assert path.name == "split.json"
    moved = (tmp_path / "here").rename(tmp_path / "there")
    again = DataSplit.read(path, moved)
    assert (again.settings, again.seed, again.folds) == (split.settings, split.seed, split.folds)
    assert [c.path for c in again.clips] == [moved / c.path.relative_to(tmp_path / "here") for c in split.clips]
    assert [(c.recording, dict(c.attributes), c.label) for c in again.clips] == [
        (c.recording, dict(c.attributes), c.label) for c in split.clips
    ]
    assert [c.path.name for c in again.testing("fan")] == ["section_00_source_test_anomaly_0000.wav"]


def test_its_place_follows_from_its_content(tmp_path):
    names(tmp_path / "data", "fan", 8, 3)
    first = DataSplit.of(scan(tmp_path / "data"), HeldOut(), 0)
    assert DataSplit.of(scan(tmp_path / "data"), HeldOut(), 0).path(tmp_path) == first.path(tmp_path)
    others = [
        DataSplit.of(scan(tmp_path / "data"), HeldOut(), 1),
        DataSplit.of(scan(tmp_path / "data"), HeldOut(folds=2), 0),
    ]
    names(tmp_path / "data", "fan", 9, 3)
    others.append(DataSplit.of(scan(tmp_path / "data"), HeldOut(), 0))
    assert len({one.path(tmp_path) for one in (first, *others)}) == 4


def test_a_target_domain_is_held_out_in_part_only_with_clips_enough_and_only_for_both_domains(tmp_path):
    names(tmp_path / "few", "fan", 8, 9)
    names(tmp_path / "many", "fan", 8, 12)
    for root, count in ((tmp_path / "few", 2), (tmp_path / "many", 2 + 3)):
        split = DataSplit.of(scan(root), HeldOut(), 0)
        assert len(split.held_out("fan")) == 2  # a fifth of 8 recordings, at least 2
        assert len(split.held_out("fan", both_domains=True)) == count  # and a fifth of 12, at least 2


def test_a_machine_with_too_few_recordings_is_learnt_whole_and_refused_when_it_is_asked_for(tmp_path):
    names(tmp_path, "fan", 8, 0)
    names(tmp_path, "pump", 3, 0)
    split = DataSplit.of(scan(tmp_path), HeldOut(), 0)
    assert sum(c.machine == "pump" for c in split.learnt_of_all()) == 3
    assert sum(c.machine == "fan" for c in split.learnt_of_all()) == 6
    with pytest.raises(DataError, match="3 normal recordings of section 00 are too few to train a network"):
        split.held_out("pump")


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2}', "[1]"])
def test_a_file_that_is_no_split_is_named(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError, match=r"split\.json: is not a split of a data set"):
        DataSplit.read(tmp_path / "split.json", tmp_path)


def test_the_jobs_of_a_plan_read_the_stored_split_and_no_folder(tmp_path, monkeypatch):
    write_data_set(tmp_path / "data", train_source=5, test=1)
    recipe = Recipe.model_validate({"name": "level", "experts": [{"kind": "level"}], "device": "cpu"})
    plan = make_plan([scan(tmp_path / "data")], [recipe], [0], tmp_path / "runs", evaluations=True)
    for job in plan.jobs:
        assert Path(job.paths["split"]).parts[-4:-2] == ("jobs", "splits")
        assert not Path(job.paths["split"]).exists()

    def refuse(_: Path) -> None:
        raise AssertionError("the data set is looked through again")

    monkeypatch.setattr(dataset, "scan", refuse)
    for module in ("asd_trainer.jobs.bodies", "asd_trainer.evaluation.score"):
        monkeypatch.setattr(f"{module}.scan", refuse, raising=False)
    (run,) = carry_out(plan, workers=0)
    assert run.bundle.is_dir()
    stored = json.loads(Path(plan.jobs[0].paths["split"]).read_text())
    assert set(stored["folds"]["fan"]) == {"00/source", "01/source"}
