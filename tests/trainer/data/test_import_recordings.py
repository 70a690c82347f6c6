"""Long recordings become clips: what is kept, what is left out and reported, what a second call does."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.audio.files import read_clip
from asd_agent.errors import AudioError, DataError, UsageError
from asd_trainer.data.clip_destination import ClipDestination
from asd_trainer.data.dataset import scan
from asd_trainer.data.import_recordings import ImportedRecording, import_recordings, recording_names

RATE = 16_000


def noise(seconds: float, rate: int = RATE, channels: int = 1, seed: int = 0) -> np.ndarray:
    shape = (round(seconds * rate), channels) if channels > 1 else round(seconds * rate)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def only(found: list[ImportedRecording]) -> ImportedRecording:
    (one,) = found
    return one


def ints(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    assert samples.ndim == 1
    return samples


def test_clips_of_a_16_khz_recording_are_its_samples_bit_for_bit_under_official_names(tmp_path: Path):
    recording = write(tmp_path / "shift 1_monday.wav", noise(25))
    one = only(
        import_recordings([recording], ClipDestination(tmp_path / "data", "press", "03", "target", "test", "anomaly"))
    )
    assert (one.written, one.kept) == (2, 0)
    assert one.notes == ("the last 5.0 s are not a whole clip and were left out",)
    data = scan(tmp_path / "data")
    assert data.problems == ()
    assert [c.path.relative_to(tmp_path / "data").as_posix() for c in data.clips] == [
        f"press/target_test/section_03_target_test_anomaly_{i:04d}_rec_shift-1-monday.wav" for i in (0, 1)
    ]
    assert all((c.section, c.domain, c.split, c.label) == ("03", "target", "test", "anomaly") for c in data.clips)
    assert {c.recording for c in data.clips} == {"shift-1-monday"}
    whole = np.concatenate([ints(c.path) for c in data.clips])
    np.testing.assert_array_equal(whole, ints(recording)[: 20 * RATE])


def test_a_stream_of_another_rate_gives_what_resampling_the_whole_gives(tmp_path: Path):
    recording = write(tmp_path / "a.flac", noise(30, 44_100, channels=2), 44_100)
    one = only(import_recordings([recording], ClipDestination(tmp_path / "data", "press")))
    assert one.written == 3
    assert "2 channels were averaged to one" in one.notes
    got = np.concatenate([ints(c.path) for c in scan(tmp_path / "data").clips])
    wanted = np.round(read_clip(recording).samples * 32768)
    assert np.max(np.abs(got - wanted)) <= 1


def test_the_asked_channel_is_taken(tmp_path: Path):
    sound = noise(10, channels=2)
    recording = write(tmp_path / "a.wav", sound)
    one = only(import_recordings([recording], ClipDestination(tmp_path / "data", "press"), channel=1))
    assert one.notes == ()
    (clip,) = scan(tmp_path / "data").clips
    np.testing.assert_array_equal(ints(clip.path), soundfile.read(recording, dtype="int16")[0][:, 1])
    with pytest.raises(AudioError, match="has no channel 2, only 2 channels"):
        import_recordings([recording], ClipDestination(tmp_path / "other", "press"), channel=2)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_silent_clips_and_clips_with_nan_are_left_out_alone_and_said_with_their_place(tmp_path: Path, rate: int):
    sound = noise(50, rate)
    sound[10 * rate : 20 * rate] = 0
    sound[35 * rate] = np.nan
    one = only(
        import_recordings(
            [write(tmp_path / "a.wav", sound, rate, "FLOAT")], ClipDestination(tmp_path / "data", "press")
        )
    )
    assert one.written == 3
    left_out = [t for t in one.notes if "left out" in t]
    assert left_out == [
        "10 s to 20 s was left out: digital silence",
        "30 s to 40 s was left out: NaN or infinite samples",
    ]
    clips = sorted(scan(tmp_path / "data").clips, key=lambda c: c.index)
    assert [c.index for c in clips] == [0, 2, 4]
    assert not any(c.continues(before) for before, c in pairwise(clips))
    assert all(np.abs(ints(c.path)).max() > 1000 for c in scan(tmp_path / "data").clips)


def test_clipping_is_said_also_where_resampling_or_averaging_would_hide_it(tmp_path: Path):
    sound = noise(20, 48_000, channels=2)
    sound[12 * 48_000 : 13 * 48_000, 0] = 1.0
    one = only(
        import_recordings([write(tmp_path / "a.wav", sound, 48_000)], ClipDestination(tmp_path / "data", "press"))
    )
    assert one.written == 2
    assert [t for t in one.notes if "full scale" in t] == [
        "10 s to 20 s clips: 10.0 % of its samples are at full scale"
    ]


def test_an_interrupted_call_goes_on_and_gives_the_same_as_one_call(tmp_path: Path):
    recordings = [write(tmp_path / f"{n}.wav", noise(30, seed=i)) for i, n in enumerate("ab")]
    import_recordings(recordings, ClipDestination(tmp_path / "whole", "press"))
    place = ClipDestination(tmp_path / "data", "press")
    import_recordings(recordings[:1], place)
    (place.folder / "section_00_source_train_normal_0002_rec_a.wav").unlink()  # where it was interrupted
    (place.folder / ".unfinished-section_00_source_train_normal_0002_rec_a.wav").write_bytes(b"RIFF")
    found = import_recordings(recordings, place)
    assert [(one.written, one.kept) for one in found] == [(1, 2), (3, 0)]
    want = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "press" / "train").iterdir()}
    assert {p.name: p.read_bytes() for p in place.folder.iterdir()} == want
    assert len(want) == 6


def test_later_recordings_get_the_next_numbers(tmp_path: Path):
    place = ClipDestination(tmp_path / "data", "press")
    for i, name in enumerate("ab"):
        import_recordings([write(tmp_path / f"{name}.wav", noise(20, seed=i))], place)
    clips = scan(tmp_path / "data").clips
    assert [(c.index, c.recording) for c in clips] == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]


def test_a_clip_that_is_there_with_other_content_is_not_overwritten(tmp_path: Path):
    place = ClipDestination(tmp_path / "data", "press")
    recording = write(tmp_path / "a.wav", noise(20, seed=1))
    import_recordings([recording], place)
    before = {p: p.read_bytes() for p in place.folder.iterdir()}
    write(recording, noise(20, seed=2))
    with pytest.raises(DataError, match=r"normal_0000_rec_a.wav: exists with other content"):
        import_recordings([recording], place)
    assert {p: p.read_bytes() for p in place.folder.iterdir()} == before


def test_a_recording_that_breaks_off_gives_the_clips_before_its_damage(tmp_path: Path):
    recording = write(tmp_path / "a.flac", noise(40))
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) * 3 // 5])
    one = only(import_recordings([recording], ClipDestination(tmp_path / "data", "press")))
    assert one.written == 2
    (problem,) = one.problems
    assert problem.startswith(("damaged from 2", "truncated: it ends"))


@pytest.mark.parametrize("tail", [0.55, 0.9999])
def test_a_truncated_wav_is_reported_also_where_its_reader_does_not_complain(tmp_path: Path, tail):
    recording = write(tmp_path / "a.wav", noise(40))
    whole = recording.read_bytes()
    recording.write_bytes(whole[: int(len(whole) * tail)])
    one = only(import_recordings([recording], ClipDestination(tmp_path / "data", "press")))
    assert one.written == int(4 * tail)
    (problem,) = one.problems
    assert problem.startswith("truncated: it ends")


def test_what_cannot_be_read_is_reported_and_the_others_are_imported(tmp_path: Path):
    good = write(tmp_path / "good.wav", noise(10))
    text, empty = tmp_path / "text.wav", tmp_path / "empty.wav"
    text.write_text("no sound")
    empty.write_bytes(b"")
    found = import_recordings([text, good, empty, tmp_path / "gone.wav"], ClipDestination(tmp_path / "data", "press"))
    assert [(one.written, len(one.problems)) for one in found] == [(0, 1), (1, 0), (0, 1), (0, 1)]
    assert "is text, not audio" in found[0].problems[0]
    assert found[3].problems == ("no such file",)


def test_a_long_recording_becomes_recordings_of_five_minutes(tmp_path: Path):
    recording = write(tmp_path / "monday.wav", noise(12 * 60))
    destination = ClipDestination(tmp_path / "data", "press")
    one = only(import_recordings([recording], destination))
    assert (one.written, one.parts) == (72, 2)
    clips = scan(tmp_path / "data").clips
    assert [c.recording for c in clips] == ["monday-b0"] * 30 + ["monday-b1"] * 42  # no short rest as a recording
    again = only(import_recordings([recording], destination))
    assert (again.written, again.kept) == (0, 72)


def test_the_length_of_recordings_can_be_chosen_and_silence_does_not_shift_them(tmp_path: Path):
    sound = noise(120)
    sound[20 * RATE : 50 * RATE] = 0
    recording = write(tmp_path / "a.wav", sound)
    destination = ClipDestination(tmp_path / "data", "press")
    one = only(import_recordings([recording], destination, recording_minutes=0.5))
    assert (one.written, one.parts) == (9, 4)
    assert [c.recording for c in scan(tmp_path / "data").clips] == ["a-b0"] * 2 + ["a-b1"] + ["a-b2"] * 3 + ["a-b3"] * 3
    with pytest.raises(DataError, match="another name"):
        import_recordings([recording], destination, recording_minutes=1)
    with pytest.raises(UsageError, match="shorter than a clip"):
        import_recordings([recording], destination, recording_minutes=0.1)


def test_a_recording_that_was_imported_whole_before_stays_whole_and_a_note_tells_how_to_divide_it(tmp_path: Path):
    recording = write(tmp_path / "a.wav", noise(120))
    destination = ClipDestination(tmp_path / "data", "press")
    import_recordings([recording], destination, recording_minutes=60)
    one = only(import_recordings([recording], destination, recording_minutes=0.5))
    assert (one.written, one.kept, one.parts) == (0, 12, 1)
    assert "exists as one recording" in one.notes[-1]


def test_names_of_recordings_fit_into_names_of_clips_and_stay_apart():
    assert recording_names([Path("x/Halle 3_(links).wav")]) == {Path("x/Halle 3_(links).wav"): "Halle-3-links"}
    with pytest.raises(UsageError, match="would both be called 'a-b'"):
        recording_names([Path("a b.wav"), Path("a_b.wav")])
    with pytest.raises(UsageError, match="would both be called 'a'"):
        recording_names([Path("a.wav"), Path("a-b1.wav")])
    with pytest.raises(UsageError, match="no letter or digit"):
        recording_names([Path("___.wav")])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"machine": "my fan"}, "machine 'my fan'"),
        ({"section": "1"}, "section '1'"),
        ({"domain": "site"}, "domain 'site'"),
        ({"split": "val"}, "split 'val'"),
        ({"label": "odd"}, "label 'odd'"),
        ({"label": "anomaly"}, "training takes only normal clips"),
    ],
)
def test_a_place_that_no_layout_knows_is_refused(tmp_path: Path, changes, words):
    with pytest.raises(UsageError, match=words):
        ClipDestination(**{"out": tmp_path, "machine": "fan", **changes})


def test_progress_ends_at_the_length_of_all_recordings(tmp_path: Path):
    recordings = [write(tmp_path / f"{n}.wav", noise(12, seed=i)) for i, n in enumerate("ab")]
    told: list[tuple[int, int]] = []
    import_recordings(
        recordings,
        ClipDestination(tmp_path / "data", "press"),
        progress=lambda _, done, total: told.append((done, total)),
    )
    assert told == sorted(told)
    assert told[-1] == (24, 24)
