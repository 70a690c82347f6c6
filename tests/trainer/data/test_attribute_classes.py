"""Clips that one network for all machines learns, and the classes that it separates."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from asd_trainer.data.attribute_classes import class_counts, class_names, few_clips, groups_by_sound, load_classes
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
        [
            *many(20, lambda i: f"vel_{6 + 2 * (i % 2)}"),
            *many(1, lambda _: "vel_6", "target"),
            *clips("section_01_source_train_normal_0000.wav"),
        ]
    )
    assert named == [
        *["fan 00 source vel=6", "fan 00 source vel=8"] * 10,
        "fan 00 target",
        "fan 01 source",
    ]


def test_what_names_single_recordings_is_no_class():
    named = class_names(many(32, lambda i: f"rec_{i // 8}_id_x{i}_vel_{6 + i % 2}"))
    assert set(named) == {"fan 00 source vel=6", "fan 00 source vel=7"}


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


def many(count: int, name: Callable[[int], str], domain: str = "source", first: int = 0):
    return clips(*(f"section_00_{domain}_train_normal_{first + i:04d}_{name(i)}.wav" for i in range(count)))


def test_attributes_are_admitted_together_while_their_product_keeps_eight_clips_a_class():
    """Each alone leaves 16 and 12 clips a class, both together 4."""
    named = Counter(class_names(many(48, lambda i: f"tool_{'abc'[i % 3]}_car_{'wxyz'[i % 4]}")))
    assert set(named.values()) == {16}
    assert {n.split()[-1] for n in named} == {"tool=a", "tool=b", "tool=c"}
    both = Counter(class_names(many(96, lambda i: f"tool_{'abc'[i % 3]}_car_{'wxyz'[i % 4]}")))
    assert set(both.values()) == {8}
    assert len(both) == 12


def test_a_number_with_many_values_is_grouped_by_quantiles():
    named = Counter(class_names(many(40, lambda i: f"speed_{1000 + 7 * i}")))
    assert sorted(named) == [
        "fan 00 source speed=1000..1063",
        "fan 00 source speed=1070..1133",
        "fan 00 source speed=1140..1203",
        "fan 00 source speed=1210..1273",
    ]
    assert set(named.values()) == {10}
    assert set(class_names(many(40, lambda i: f"operator_{'pq'[i % 2]}{i}"))) == {"fan 00 source"}


def test_three_target_clips_are_one_class_whatever_their_attributes():
    found = class_names([*many(16, lambda i: f"vel_{i % 2}"), *many(3, lambda i: f"vel_{i}", "target")])
    assert Counter(found) == {"fan 00 source vel=0": 8, "fan 00 source vel=1": 8, "fan 00 target": 3}


def test_clips_without_attributes_are_grouped_by_their_sound(tmp_path):
    """Two speeds without a name: 20 clips of a low tone and 12 of a high one."""
    folder, rng = tmp_path / "fan" / "train", np.random.default_rng(0)
    folder.mkdir(parents=True)
    t = np.arange(160_000) / 16_000
    for i in range(32):
        x = 0.1 * np.sin(2 * np.pi * (300 if i < 20 else 3000) * t) + 0.01 * rng.normal(size=t.size)
        soundfile.write(folder / f"section_00_source_train_normal_{i:04d}.wav", x, 16_000)
    found = scan(tmp_path).select(machine="fan")
    assert groups_by_sound(found) == 2
    counts = class_counts(load_classes(found))
    assert counts == {"fan 00 source group=0": 20, "fan 00 source group=1": 12}
    assert groups_by_sound(found[:31]) == 0


def test_classes_that_are_too_small_to_learn_are_reported():
    warning = few_clips({"fan 00 source a=1": 3, "fan 00 source a=2": 4, "fan 00 target": 3})
    assert warning is not None
    assert "1 of 3 classes have fewer than 4 clips" in warning
    assert "fan 00 source a=1" in warning
    assert few_clips({"fan 00 source": 8, "fan 00 target": 1}) is None
