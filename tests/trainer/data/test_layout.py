"""Every official way of naming clips, and what each name states."""

import os
from collections import Counter
from pathlib import Path

import pytest

from asd_trainer.data.dataset import scan
from asd_trainer.data.layout import attribute_files, attributes_of, hold_out_for_test, parse, split_attributes

DATA = Path(os.environ.get("ASD_TEST_DATA", "../shared/data"))
N, A = "normal", "anomaly"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        # 2020: development with labels, evaluation without
        ("fan/train/normal_id_00_00000012.wav", ("fan", "00", "source", "train", N, 12, {})),
        ("fan/test/anomaly_id_06_00000003.wav", ("fan", "06", "source", "test", A, 3, {})),
        ("fan/test/id_01_00000003.wav", ("fan", "01", "source", "test", None, 3, {})),
        # 2021
        (
            "gearbox/train/section_00_source_train_normal_0000_0_g_25_mm_2000_mV_none.wav",
            ("gearbox", "00", "source", "train", N, 0, {"g": "0", "mm": "25", "mV": "2000", "attribute": "none"}),
        ),
        (
            "fan/target_test/section_02_target_test_anomaly_0099_strength_1_ambient.wav",
            ("fan", "02", "target", "test", A, 99, {"strength": "1", "attribute": "ambient"}),
        ),
        ("fan/source_test/section_03_source_test_0000.wav", ("fan", "03", "source", "test", None, 0, {})),
        # 2022 to 2025
        (
            "bearing/train/section_01_target_train_normal_0003_vel_16_loc_A.wav",
            ("bearing", "01", "target", "train", N, 3, {"vel": "16", "loc": "A"}),
        ),
        (
            "slider/test/section_00_source_test_anomaly_0049_vel_730_ac_0.11.flac",
            ("slider", "00", "source", "test", A, 49, {"vel": "730", "ac": "0.11"}),
        ),
        ("Vacuum/test/section_00_0123.wav", ("Vacuum", "00", None, "test", None, 123, {})),
        # without attributes, 2024 and 2025 end in an underscore or say so
        (
            "ToyRCCar/train/section_00_target_train_normal_0009_.wav",
            ("ToyRCCar", "00", "target", "train", N, 9, {}),
        ),
        ("Polisher/test/section_00_test_0199.wav", ("Polisher", "00", None, "test", None, 199, {})),
        (
            "Polisher/supplemental/section_00_machine_0100_.wav",
            ("Polisher", "00", None, "supplemental", None, 100, {"kind": "machine"}),
        ),
        (
            "ToyCar/test/section_00_source_test_normal_0000_car_A2_spd_28V_mic_1_noise_1.wav",
            (
                "ToyCar",
                "00",
                "source",
                "test",
                N,
                0,
                {"car": "A2", "spd": "28V", "mic": "1", "noise": "1"},
            ),
        ),
        (
            "ToyPet/train/section_00_source_train_normal_0007_noAttribute.wav",
            ("ToyPet", "00", "source", "train", N, 7, {}),
        ),
        (
            "fan/supplemental/section_00_noise_supplemental_normal_0004.wav",
            ("fan", "00", None, "supplemental", None, 4, {"kind": "noise_normal"}),
        ),
        (
            "fan/supplemental/section_00_source_supplemental_machine_0005_n_B.wav",
            ("fan", "00", "source", "supplemental", None, 5, {"n": "B", "kind": "machine"}),
        ),
        # MIMII and ToyADMOS
        (
            "-6_dB_fan/fan/id_02/abnormal/00000017.wav",
            ("fan", "02", "source", "test", A, 17, {"snr": "-6"}),
        ),
        ("fan/id_02/normal/00000017.wav", ("fan", "02", "source", "train", N, 17, {})),
        (
            "ToyCar/case1/NormalSound_IND/1100010001_ToyCar_case1_normal_IND_ch1_0001.wav",
            ("ToyCar", "01", "source", "train", N, 1, {"mic": "1", "how": "IND"}),
        ),
        (
            "ToyCar/case2/AnomalousSound_IND/1201010001_ToyCar_case2_ab12_IND_ch3_0004.wav",
            ("ToyCar", "02", "source", "test", A, 4, {"mic": "3", "how": "IND", "fault": "ab12"}),
        ),
    ],
)
def test_names_say_what_the_official_descriptions_say(name, said):
    clip = parse(Path(name))
    assert clip is not None
    got = (clip.machine, clip.section, clip.domain, clip.split, clip.label, clip.index, dict(clip.attributes))
    assert got == said


@pytest.mark.parametrize(
    "name",
    [
        "fan/train/recording 1.wav",
        "fan/train/section_0_source_train_normal_0000.wav",
        "fan/train/section_00_source_test_normal_0000.wav",  # a test clip in the training folder
        "fan/source_test/section_00_target_test_normal_0000.wav",  # another domain than its folder's
        "fan/section_00_source_train_normal_0000.wav",
        "fan/unit_1/normal/00000000.wav",
        "normal_id_00_00000012.wav",
    ],
)
def test_a_name_that_contradicts_its_folder_or_follows_no_layout_says_nothing(name):
    assert parse(Path(name)) is None


def test_the_machine_is_known_when_paths_begin_below_it(tmp_path, monkeypatch):
    (tmp_path / "fan" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "fan")
    clip = parse(Path("train/section_00_source_train_normal_0000.wav"))
    assert clip is not None
    assert clip.machine == "fan"


def test_words_of_a_name_become_names_and_values():
    assert split_attributes("car_C2_spd_34V_mic_1") == {"car": "C2", "spd": "34V", "mic": "1"}
    assert split_attributes("m-n_X") == {"m-n": "X"}
    assert split_attributes("noAttribute") == split_attributes("") == {}
    assert split_attributes("tool") == {"attribute": "tool"}


def touch(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return [root / name for name in names]


def test_attribute_files_speak_of_their_own_machine_alone(tmp_path):
    for machine, speed in (("fan", "9"), ("pump", "7")):
        (tmp_path / machine).mkdir()
        rows = f"file_name,d1p,d1v,d2p,d2v\n{machine}/test/section_00_0000.wav,spd,{speed},,\n"
        (tmp_path / machine / "attributes_00.csv").write_text(rows, encoding="utf-8-sig")
    files = attribute_files(sorted(tmp_path.rglob("*")))
    assert attributes_of(tmp_path / "fan/test/section_00_0000.wav", files) == {"spd": "9"}
    assert attributes_of(tmp_path / "pump/test/section_00_0000.wav", files) == {"spd": "7"}
    assert attributes_of(tmp_path / "pump/test/section_00_0001.wav", files) == {}


def test_mimii_keeps_each_recording_on_one_side_whatever_its_noise(tmp_path):
    names = [
        f"{snr}_dB_fan/fan/id_00/{kind}/{i:08d}.wav"
        for snr in ("-6", "0", "6")
        for kind, n in (("normal", 5), ("abnormal", 2))
        for i in range(n)
    ]
    clips = [c for p in touch(tmp_path, *names) if (c := parse(p))]
    held = list(hold_out_for_test(clips))
    assert Counter((c.split, c.label) for c in held) == {("train", N): 9, ("test", N): 6, ("test", A): 6}
    assert {c.index for c in held if c.label == N and c.split == "test"} == {0, 1}
    sides = {(c.recording, c.split) for c in held if c.label == N}
    assert len(sides) == 5


def test_toyadmos_keeps_the_four_microphones_of_an_event_together(tmp_path):
    names = [
        f"ToyCar/case1/{folder}/{number}{mic}{i:04d}_ToyCar_case1_{kind}_IND_ch{mic}_{i:04d}.wav"
        for folder, number, kind, n in (
            ("NormalSound_IND", "11000", "normal", 3),
            ("AnomalousSound_IND", "11010", "ab01", 1),
        )
        for mic in (1, 2)
        for i in range(1, n + 1)
    ]
    held = list(hold_out_for_test([c for p in touch(tmp_path, *names) if (c := parse(p))]))
    assert sorted((c.index, c.attributes["mic"]) for c in held if c.label == N and c.split == "test") == [
        (1, "1"),
        (1, "2"),
    ]


def test_splits_that_a_layout_gives_are_kept(tmp_path):
    clips = [
        c
        for p in touch(
            tmp_path,
            "fan/train/section_00_source_train_normal_0000.wav",
            "fan/test/section_00_source_test_anomaly_0000.wav",
        )
        if (c := parse(p))
    ]
    assert list(hold_out_for_test(clips)) == clips


def public(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the public recordings in {DATA / name}")
    return DATA / name


def test_original_clips_of_2023_parse_with_all_their_attributes():
    data = scan(public("dcase2023_clips"))
    assert data.problems == ()
    assert len(data.clips) == 28
    assert data.machines == ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"]
    names = {
        "ToyCar": {"car", "spd", "mic"},
        "ToyTrain": {"car", "spd", "mic"},
        "bearing": {"vel", "loc"},
        "fan": {"m-n"},
        "gearbox": {"volt", "wt"},
        "slider": {"vel", "ac"},
        "valve": {"pat"},
    }
    assert all(set(c.attributes) == names[c.machine] and all(c.attributes.values()) for c in data.clips)
    said = {(c.machine, c.path.parent.name, c.index): dict(c.attributes) for c in data.clips}
    assert said["slider", "source_test", 27] == {"vel": "730", "ac": "0.11"}
    assert said["ToyCar", "train", 362] == {"car": "C2", "spd": "31V", "mic": "1"}
    assert said["gearbox", "target_test", 40] == {"volt": "1.5", "wt": "130"}
    assert said["bearing", "target_test", 21] == {"vel": "8", "loc": "G"}
    assert said["fan", "train", 40] == {"m-n": "X"}
    assert said["valve", "train", 95] == {"pat": "01"}
    assert Counter((c.domain, c.split, c.label) for c in data.select(machine="valve")) == {
        ("source", "train", N): 2,
        ("target", "test", N): 1,
        ("target", "test", A): 1,
    }


def test_recordings_of_real_machines_parse_with_their_counts():
    data = scan(public("real_machines"))
    assert data.problems == ()
    count = Counter((c.machine, c.section, c.domain, c.split, c.label) for c in data.clips)
    assert count["fan", "00", "source", "train", N] == 75
    assert count["fan", "00", "target", "train", N] == 3
    assert (count["fan", "01", "source", "test", N], count["fan", "01", "source", "test", A]) == (9, 18)
    assert (count["lathe", "00", "source", "test", N], count["lathe", "00", "source", "test", A]) == (16, 80)
    assert (count["valve", "00", "target", "test", N], count["valve", "00", "target", "test", A]) == (47, 50)
