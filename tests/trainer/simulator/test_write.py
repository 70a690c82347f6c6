"""Simulated data sets on disk: official names, whole files, resumed and never mixed."""

import json

import numpy as np
import pytest
import soundfile

from asd_agent.errors import DataError, UsageError
from asd_trainer.data.dataset import scan
from asd_trainer.simulator import SIMULATOR_VERSION, render, simulate

SMALL = {
    "machines": ("fan", "valve"),
    "sections": (0, 1),
    "train_source": 2,
    "train_target": 1,
    "test_normal": 1,
    "test_anomaly": 6,
    "severities": (0.5, 1.0),
    "seconds": 0.5,
}
PER_SECTION = 2 + 1 + 2 * (1 + 6)


def files(out):
    return {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*.wav"))}


def test_every_clip_is_named_as_the_official_data_are(tmp_path):
    summary = simulate(tmp_path / "data", **SMALL)
    data = scan(tmp_path / "data")
    assert data.problems == ()
    assert len(data.clips) == summary.written == 4 * PER_SECTION
    assert data.machines == ["fan", "valve"]
    assert len(data.select(machine="fan", section="01", split="train", domain="source", label="normal")) == 2
    assert len(data.select(machine="fan", section="01", split="train", domain="target", label="normal")) == 1
    anomalies = data.select(machine="valve", section="00", split="test", domain="target", label="anomaly")
    assert [c.index for c in anomalies] == list(range(6))
    assert [c.attributes["fault"] for c in anomalies][:5] == ["sluggish", "missing", "chatter", "leak", "wear"]
    assert [c.attributes["sev"] for c in anomalies] == ["050"] * 5 + ["100"]
    assert all(c.attributes["mic"] == "c" for c in anomalies)
    assert all("fault" not in c.attributes for c in data.select(label="normal"))
    assert len({c.recording for c in data.select(machine="fan", section="00", split="train")}) == 3


def test_files_are_mono_16_bit_at_16_khz_and_hold_what_render_gives(tmp_path):
    from asd_trainer.simulator.write import SimulationPlan, planned

    simulate(tmp_path / "data", **SMALL)
    plan = SimulationPlan(**SMALL, seed=0)
    clip = next(c for c in planned(plan) if c.fault)
    path = next((tmp_path / "data" / "fan" / clip.folder).glob(f"{clip.stem}_*.wav"))
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (16_000, 1, "PCM_16", 8_000)
    samples, _ = soundfile.read(path, dtype="float32")
    sound, _ = render(
        "fan", clip.section, clip.domain, seed=clip.seed, fault=clip.fault, severity=clip.severity, seconds=0.5
    )
    assert np.allclose(samples, sound, atol=1 / 32768)


def test_an_interrupted_run_is_finished_and_what_was_there_is_kept(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    simulate(whole, **SMALL)

    class InterruptedAtFiveError(Exception):
        pass

    def stop_after_five(_stage, done, _total):
        if done == 5:
            raise InterruptedAtFiveError

    with pytest.raises(InterruptedAtFiveError):
        simulate(broken, **SMALL, progress=stop_after_five)
    early = files(broken)
    assert len(early) == 5
    stamps = {name: (broken / name).stat().st_mtime_ns for name in early}
    reported = []
    summary = simulate(broken, **SMALL, progress=lambda _, done, total: reported.append((done, total)))
    assert (summary.kept, summary.written) == (5, 4 * PER_SECTION - 5)
    assert reported[0] == (5, 4 * PER_SECTION)
    assert reported[-1] == (4 * PER_SECTION, 4 * PER_SECTION)
    assert {name: (broken / name).stat().st_mtime_ns for name in early} == stamps
    assert files(broken) == files(whole)
    assert not list(broken.rglob(".*"))


def test_two_workers_write_the_same_data_set(tmp_path):
    small = {**SMALL, "machines": ("fan",), "sections": (0,)}
    simulate(tmp_path / "one", **small)
    simulate(tmp_path / "two", **small, workers=2)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_plan_is_written_and_another_one_is_refused(tmp_path):
    out = tmp_path / "data"
    simulate(out, **SMALL)
    plan = json.loads((out / "simulation.json").read_text())
    assert plan["version"] == SIMULATOR_VERSION
    assert plan["seed"] == 0
    assert plan["train_source"] == 2
    before = files(out)
    with pytest.raises(DataError, match="seed is 0, not 1"):
        simulate(out, **SMALL, seed=1)
    assert files(out) == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match=r"holds files, but no simulation\.json"):
        simulate(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"machines": ("toaster",)}, "toaster"),
        ({"machines": ()}, "no clips"),
        ({"machines": ("fan", "fan")}, "twice"),
        ({"sections": (100,)}, "no clips"),
        ({"severities": (2.0,)}, "severities"),
        ({"train_source": -1}, "between 0 and 9999"),
        ({"workers": 0}, "workers"),
    ],
)
def test_an_impossible_plan_leaves_nothing_behind(tmp_path, change, said):
    with pytest.raises(UsageError, match=said):
        simulate(tmp_path / "data", **{**SMALL, **change})
    assert not (tmp_path / "data").exists()


def test_other_seeds_give_other_clips(tmp_path):
    small = {**SMALL, "machines": ("fan",), "sections": (0,), "test_anomaly": 0}
    simulate(tmp_path / "one", **small)
    simulate(tmp_path / "two", **small, seed=1)
    assert not set(files(tmp_path / "one").values()) & set(files(tmp_path / "two").values())


def test_a_place_that_takes_no_files_is_named_and_what_was_written_is_kept(tmp_path):
    out = tmp_path / "data"
    small = {**SMALL, "machines": ("fan",), "sections": (0,)}

    def put_a_file_in_the_way(_stage, done, _total):
        if done == 3:
            (out / "fan" / "source_test").write_text("in the way")

    with pytest.raises(DataError, match=r"source_test.* cannot be written"):
        simulate(out, **small, progress=put_a_file_in_the_way)
    assert len(files(out)) == 3
    (out / "fan" / "source_test").unlink()
    assert simulate(out, **small).kept == 3
