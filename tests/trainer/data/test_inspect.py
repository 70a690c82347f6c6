"""Contents of a data set, what it permits, and faults of its files."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.errors import DataError
from asd_trainer.data.dataset import Problem, scan
from asd_trainer.data.file_check import BROKEN
from asd_trainer.data.inspect import grouped, inspect
from asd_trainer.data.layout import Clip, Domain, Label, Split
from asd_trainer.data.permits import permits

DATA = Path(os.environ.get("ASD_TEST_DATA", "../shared/data"))
_seeds = itertools.count()


def clip(
    root: Path, name: str, *, seconds: float = 10, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16"
) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    sound = 0.1 * np.random.default_rng(next(_seeds)).standard_normal(shape)
    soundfile.write(path, sound, rate, subtype=subtype)
    return path


def normal(i: int, *, section: str = "00", domain: str = "source", more: str = "") -> str:
    return f"fan/train/section_{section}_{domain}_train_normal_{i:04d}{more}.wav"


def test_clips_are_counted_by_what_they_are_with_their_seconds_rates_and_attributes(tmp_path: Path):
    for i, speed in enumerate((9, 9, 12)):
        clip(tmp_path, normal(i, more=f"_vel_{speed}_loc_A"), seconds=11, rate=16_000 if i else 32_000)
    clip(tmp_path, "fan/test/section_00_target_test_anomaly_0000.wav")
    report = inspect(tmp_path)
    test, train = report.groups
    assert (test.machine, test.split, test.section, test.domain, test.label) == (
        "fan", "test", "00", "target", "anomaly",
    )  # fmt: skip
    assert (test.clips, test.seconds, test.rates, test.attributes) == (1, 10.0, (16_000,), {})
    assert (train.clips, train.broken, train.recordings, train.seconds) == (3, 0, 3, pytest.approx(33.0))
    assert train.rates == (16_000, 32_000)
    assert train.attributes == {"loc": ("A",), "vel": ("12", "9")}
    assert [(p.kind, p.path.name) for p in report.problems] == [("rate", f"{Path(normal(0)).stem}_vel_9_loc_A.wav")]
    assert report.broken == []


def test_broken_files_are_counted_and_not_relied_on(tmp_path: Path):
    for i in range(4):
        clip(tmp_path, normal(i))
    assert not any("no network" in text for text in inspect(tmp_path).permits)
    (tmp_path / normal(2)).write_bytes(b"")
    report = inspect(tmp_path)
    assert [(g.clips, g.broken, g.seconds) for g in report.groups] == [(4, 1, 30.0)]
    assert "fan section 00: fewer than 4 recordings: no network, detectors without one" in report.permits
    assert [(p.kind, p.text) for p in report.broken] == [("empty", "is empty, 0 bytes")]


@pytest.mark.parametrize(
    ("seconds", "rate", "kinds"),
    [
        (10, 16_000, []),
        (10 - 0.0009, 16_000, []),
        (10 - 0.0011, 16_000, ["too_short"]),
        (10, 44_100, ["rate"]),
        (9.99, 44_100, ["too_short", "rate"]),
        (60, 16_000, []),
    ],
)
def test_a_clip_has_to_hold_one_window_at_its_own_rate_and_may_be_longer(tmp_path: Path, seconds, rate, kinds):
    clip(tmp_path, normal(0), seconds=seconds, rate=rate)
    report = inspect(tmp_path)
    assert [p.kind for p in report.problems] == kinds
    assert any("longer than 12 s: scored in windows" in text for text in report.permits) == (seconds > 12)


@pytest.mark.parametrize(("still", "silent"), [(0.1, False), (0.5, True), (10, True)])
def test_more_than_a_moment_of_digital_silence_is_said(tmp_path: Path, still: float, silent: bool):
    path = clip(tmp_path, normal(0))
    sound, rate = soundfile.read(path)
    sound[: round(still * rate)] = 0
    soundfile.write(path, sound, rate)
    report = inspect(tmp_path)
    assert [p.kind for p in report.problems] == (["silence"] if silent else [])
    assert report.broken == []


def test_a_test_clip_that_is_trained_on_is_named_with_its_twin(tmp_path: Path):
    path = clip(tmp_path, normal(0))
    twin = tmp_path / "fan/test/section_00_source_test_normal_0000.wav"
    twin.parent.mkdir()
    twin.write_bytes(path.read_bytes())
    (problem,) = inspect(tmp_path).problems
    assert problem.kind == "duplicate"
    assert {problem.path, Path(problem.text.removeprefix("has the same content as "))} == {path, twin}
    assert "makes its score meaningless" in problem.remedy


def test_wav_and_flac_are_broken_off_alike(tmp_path: Path):
    for i, suffix in enumerate(("wav", "flac")):
        path = clip(tmp_path, normal(i).replace(".wav", f".{suffix}"), seconds=20)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    kinds = [p.kind for p in inspect(tmp_path).problems]
    assert len(kinds) == 2
    assert set(kinds) <= BROKEN


def test_a_rate_that_many_files_of_a_folder_share_takes_one_line_and_damage_one_line_each():
    rates = [Problem(Path(f"fan/train/{i}.wav"), "rate", "has a rate of 8000 Hz") for i in range(11)]
    torn = [Problem(Path(f"fan/train/{i}.wav"), "truncated", "truncated") for i in range(11)]
    told = grouped([*rates, *torn])
    assert str(told[0]) == "fan/train: each of 11 files has a rate of 8000 Hz"
    assert told[1:] == torn
    assert grouped(rates[:10]) == rates[:10]


def test_many_duplicates_take_one_line_that_counts_them():
    twins = [
        Problem(
            Path(f"fan/train/{i}.wav"), "duplicate", f"has the same content as fan/train/{i + 500}.wav", "Remove one."
        )
        for i in range(142)
    ]
    (line,) = grouped(twins)
    assert str(line) == ("fan/train: 142 files, such as 0.wav: has the same content as fan/train/500.wav. Remove one.")


def test_a_machine_that_nothing_can_be_fitted_to_is_named(tmp_path: Path):
    for i in range(4):
        clip(tmp_path, normal(i))
    clip(tmp_path, normal(0).replace("fan", "pump"))
    report = inspect(tmp_path)
    assert (report.unfit, report.broken, report.ok) == (("pump",), [], False)


def test_no_clip_at_all_is_an_error(tmp_path: Path):
    with pytest.raises(DataError, match="holds no clips in a known layout"):
        inspect(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        inspect(tmp_path / "x")


def clips(
    count: int,
    section: str = "00",
    domain: Domain | None = "source",
    split: Split = "train",
    label: Label | None = "normal",
) -> list[Clip]:
    return [Clip(Path(f"{i}.wav"), "fan", section, domain, split, label, i) for i in range(count)]


WHOLE = [
    *clips(9, "00"), *clips(10, "00", "target"), *clips(9, "01"), *clips(10, "01", "target"),
    *clips(2, "00", split="test"), *clips(2, "00", split="test", label="anomaly"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (WHOLE, {"fan: everything that a recipe may ask for"}),
        ([], {"fan: no normal clips for training: nothing can be trained", "fan: no test clips: no AUC"}),
        (
            [*clips(9), *clips(3, domain="target")],
            {
                "fan: one section: ID regression has nothing to tell apart",
                "fan section 00: 3 target clips: location only, spread and tail from the source",
                "fan: no test clips: no AUC",
            },
        ),
        (
            [*WHOLE, *clips(3, "02"), *clips(10, "02", "target")],
            {"fan section 02: fewer than 4 recordings: no network, detectors without one"},
        ),
        (
            [*WHOLE, *clips(1, "02"), *clips(10, "02", "target")],
            {"fan section 02: fewer than 2 recordings: nothing can be fitted"},
        ),
        ([*WHOLE, *clips(9, "02")], {"fan section 02: no target clips: source domain only"}),
        (
            [*WHOLE, *clips(10, "02", "target")],
            {"fan section 02: target clips alone: cannot be trained, the source comes first"},
        ),
        ([*WHOLE, *clips(2, "01", split="test")], {"fan section 01 source: no anomalies: no AUC"}),
        (
            [*WHOLE, *clips(2, "01", "target", "test", "anomaly")],
            {"fan section 01 target: no normal test clips: no AUC"},
        ),
        (
            [*WHOLE, *clips(7, "01", None, "test", None)],
            {"fan section 01: 7 test clips without labels: AUC only with a truth folder"},
        ),
    ],
)
def test_what_clips_permit_is_said_in_the_fields_words(found: list[Clip], told: set[str]):
    assert set(permits(["fan"], found)) == told


def test_clips_of_one_recording_do_not_count_as_several():
    one = [Clip(Path(f"{i}.wav"), "fan", "00", "source", "train", "normal", i, {"rec": "a"}) for i in range(50)]
    assert "fan section 00: fewer than 2 recordings: nothing can be fitted" in permits(["fan"], one)


def test_attribute_files_reach_the_clips_of_their_own_machine(tmp_path: Path):
    for machine, speed in (("fan", "9"), ("pump", "7")):
        clip(tmp_path, f"{machine}/test/section_00_0000.wav")
        clip(tmp_path, f"{machine}/train/section_00_source_train_normal_0000_vel_3.wav")
        rows = (
            "file_name,d1p,d1v\n"
            f"{machine}/test/section_00_0000.wav,vel,{speed}\n"
            f"{machine}/train/section_00_source_train_normal_0000_vel_3.wav,vel,8\n"
        )
        (tmp_path / machine / "attributes_00.csv").write_text(rows)
    found = {(c.machine, c.split): dict(c.attributes) for c in scan(tmp_path).clips}
    assert found == {
        ("fan", "test"): {"vel": "9"},
        ("pump", "test"): {"vel": "7"},
        ("fan", "train"): {"vel": "3"},  # a clip's own name goes before
        ("pump", "train"): {"vel": "3"},
    }


def test_public_recordings_are_whole(tmp_path: Path):
    if not (DATA / "dcase2023_clips").is_dir():
        pytest.skip(f"needs the public recordings in {DATA / 'dcase2023_clips'}")
    report = inspect(DATA / "dcase2023_clips")
    assert report.problems == ()
    assert sum(g.clips for g in report.groups) == 28
    assert {rate for g in report.groups for rate in g.rates} == {16_000}
    assert all(10 <= g.seconds / g.clips <= 12 for g in report.groups)
