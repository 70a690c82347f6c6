"""Folders of a data set: links are followed once, hidden files and copies of clips are named in one line."""

import os
from pathlib import Path

import pytest

from asd_agent.audio.sound_folders import folder_files
from asd_trainer.data.dataset import scan


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF")
    return path


def names(paths, root: Path) -> list[str]:
    return [str(p.relative_to(root)) for p in paths]


NORMAL = "train/section_00_source_train_normal_0000.wav"


def test_a_linked_machine_folder_is_read_under_its_own_name(tmp_path):
    touch(tmp_path / "disk" / "anything" / NORMAL)
    root = tmp_path / "data"
    touch(root / "fan" / NORMAL)
    (root / "pump").symlink_to(tmp_path / "disk" / "anything")
    data = scan(root)
    assert data.machines == ["fan", "pump"]
    assert data.problems == ()


def test_links_within_linked_folders_are_followed_too(tmp_path):
    touch(tmp_path / "b" / "section_00_source_train_normal_0000.wav")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train").symlink_to(tmp_path / "b")
    root = tmp_path / "data"
    root.mkdir()
    (root / "fan").symlink_to(tmp_path / "a")
    assert names(folder_files(root).files, root) == ["fan/" + NORMAL]


def test_loops_end_and_are_named(tmp_path):
    root = tmp_path / "data"
    touch(root / "fan" / NORMAL)
    (root / "fan" / "train" / "up").symlink_to(root)
    (root / "fan" / "self").symlink_to(root / "fan")
    (root / "all").symlink_to("/")
    (root / "again").symlink_to(root / "fan")
    found = folder_files(root)
    assert names(found.files, root) == ["fan/" + NORMAL]
    assert names(found.repeated, root) == ["again", "all", "fan/self", "fan/train/up"]
    problems = scan(root).problems
    assert {p.kind for p in problems} == {"link"}
    assert "links to a folder that is read already" in str(problems[0])


def test_two_links_to_one_folder_give_its_clips_once(tmp_path):
    touch(tmp_path / "x" / NORMAL)
    root = tmp_path / "data"
    root.mkdir()
    for name in ("a", "b"):
        (root / name).symlink_to(tmp_path / "x")
    assert [c.machine for c in scan(root).clips] == ["a"]


def test_hidden_files_take_one_line(tmp_path):
    for index in range(5):
        touch(tmp_path / "fan" / "train" / f"section_00_source_train_normal_{index:04d}.wav")
        touch(tmp_path / "fan" / "train" / f"._section_00_source_train_normal_{index:04d}.wav")
    touch(tmp_path / ".Trash" / "fan" / NORMAL)
    touch(tmp_path / "fan" / ".DS_Store")
    data = scan(tmp_path)
    assert len(data.clips) == 5
    (problem,) = data.problems
    assert problem.kind == "hidden"
    assert "6 hidden sound files" in problem.text


def test_a_file_that_a_kill_left_unfinished_is_nothing(tmp_path):
    touch(tmp_path / "fan" / NORMAL)
    touch(tmp_path / "fan" / "train" / ".unfinished-section_00_source_train_normal_0001.wav")
    assert scan(tmp_path).problems == ()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    touch(tmp_path / "fan" / NORMAL)
    shut = tmp_path / "pump"
    shut.mkdir(mode=0)
    try:
        assert [(p.path, p.kind) for p in scan(tmp_path).problems] == [(shut, "unreadable")]
    finally:
        shut.chmod(0o755)


def test_renamed_test_clips_of_the_official_baseline_replace_the_unlabelled_ones(tmp_path):
    """`tools/rename_eval_wav.py` copies test/section_00_0000.wav to test_rename/ under a name with domain and label."""
    touch(tmp_path / "Vacuum" / NORMAL)
    for index in range(3):
        touch(tmp_path / "Vacuum" / "test" / f"section_00_{index:04d}.wav")
    touch(tmp_path / "Vacuum" / "test" / "section_01_0000.wav")
    touch(tmp_path / "Vacuum" / "test_rename" / "section_00_source_test_normal_0000_car_A1.wav")
    touch(tmp_path / "Vacuum" / "test_rename" / "section_00_target_test_anomaly_0000_car_A2.wav")
    data = scan(tmp_path)
    tested = [c for c in data.clips if c.split == "test"]
    assert [(c.path.parent.name, c.section, c.domain, c.label) for c in tested] == [
        ("test_rename", "00", "source", "normal"),
        ("test_rename", "00", "target", "anomaly"),
        ("test", "01", None, None),
    ]
    assert tested[0].attributes == {"car": "A1"}
    (problem,) = data.problems
    assert (problem.kind, "3 copies in all" in problem.text) == ("copy", True)


def test_renamed_clips_alone_are_test_clips(tmp_path):
    touch(tmp_path / "Vacuum" / NORMAL)
    touch(tmp_path / "Vacuum" / "test_rename" / "section_00_source_test_anomaly_0000.wav")
    data = scan(tmp_path)
    assert [c.label for c in data.select(split="test")] == ["anomaly"]
    assert data.problems == ()


def test_the_copies_that_the_official_baseline_makes_of_a_set_of_2021_count_once(tmp_path):
    touch(tmp_path / "fan" / NORMAL)
    for domain in ("source", "target"):
        name = f"section_00_{domain}_test_normal_0000.wav"
        touch(tmp_path / "fan" / f"{domain}_test" / name)
        touch(tmp_path / "fan" / "test" / name)
    data = scan(tmp_path)
    assert [c.path.parent.name for c in data.select(split="test")] == ["source_test", "target_test"]
    assert [p.kind for p in data.problems] == ["copy"]
