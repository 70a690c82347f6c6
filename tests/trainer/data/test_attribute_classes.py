"""Clips that one network for all machines learns, and the classes that it separates."""

from pathlib import Path

from asd_trainer.data.attribute_classes import class_names, load_classes
from asd_trainer.data.dataset import scan
from asd_trainer.data.layout import parse
from asd_trainer.data.split import DataSplit, HeldOut
from rigs.clips import write_data_set


def clips(*names: str):
    found = [parse(Path("fan/train") / name) for name in names]
    assert None not in found
    return found


def test_classes_are_machine_section_domain_and_attributes():
    named = class_names(
        clips(
            "section_00_source_train_normal_0000_vel_6.wav",
            "section_00_source_train_normal_0001_vel_8.wav",
            "section_00_target_train_normal_0002_vel_6.wav",
            "section_00_source_train_normal_0003_vel_6.wav",
            "section_01_source_train_normal_0000.wav",
        )
    )
    assert named == [
        "fan 00 source vel=6",
        "fan 00 source vel=8",
        "fan 00 target vel=6",
        "fan 00 source vel=6",
        "fan 01 source",
    ]


def test_what_names_single_recordings_is_no_class():
    named = class_names(
        clips(*(f"section_00_source_train_normal_000{i}_rec_{i // 2}_id_{i}_vel_6.wav" for i in range(6)))
    )
    assert set(named) == {"fan 00 source vel=6"}


def test_neither_test_clips_nor_what_is_held_out_of_any_machine_is_learnt(tmp_path):
    """Names repeat from machine to machine: what is held out of one must not be looked up in another."""
    for machine in ("fan", "pump"):
        write_data_set(tmp_path, machine, train_source=6, train_target=2, test=1)
    data = scan(tmp_path)
    split = DataSplit.of(data, HeldOut(), 3)
    learnt = split.learnt_of_all()
    assert {c.machine for c in learnt} == {"fan", "pump"}
    assert {(c.split, c.label) for c in learnt} == {("train", "normal")}
    assert sum(c.domain == "target" for c in learnt) == 8
    for machine in ("fan", "pump"):
        own = data.select(machine=machine, split="train", label="normal")
        held_out = split.held_out(machine)
        assert len(held_out) == 4
        assert {c.path.name for c in learnt if c.machine == machine} == {c.path.name for c in own} - held_out
    found = load_classes(learnt)
    assert len(found.class_names) == 8
    assert found.samples.shape == (len(learnt), 160_000)
    assert [found.class_names[i] for i in found.classes] == class_names(learnt)
    assert found.names[0].startswith("fan/section_")
