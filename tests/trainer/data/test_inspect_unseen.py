"""Findings of inspect about sound that no recipe notices: links, formats, overload, faults among training clips."""

from pathlib import Path

import numpy as np
import soundfile

from asd_trainer.data.inspect import inspect

RATE = 16_000


def write(root: Path, name: str, gain: float = 0.1, seed: int = 0) -> Path:
    path = root / "fan/train" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = gain * np.random.default_rng(seed).standard_normal(10 * RATE)
    soundfile.write(path, np.clip(sound, -1, 1), RATE)
    return path


def test_each_is_told_once_and_a_link_to_nowhere_is_broken(tmp_path):
    write(tmp_path, "section_00_source_train_normal_0000.wav")
    loud = write(tmp_path, "section_00_source_train_normal_0001.wav", gain=2.0, seed=1)
    fault = write(tmp_path, "section_00_source_train_anomaly_0000.wav", seed=2)
    link = loud.with_name("section_00_source_train_normal_0002.wav")
    link.symlink_to(tmp_path / "gone.wav")
    phone = loud.with_name("phone.MP3")
    phone.write_bytes(b"ID3")
    report = inspect(tmp_path)
    assert {(p.path, p.kind) for p in report.problems} == {
        (link, "unreadable"),
        (loud, "clipping"),
        (fault, "mislabelled"),
        (phone, "format"),
    }
    assert [p.path for p in report.broken] == [link]
    assert all(p.remedy for p in report.problems)


def test_a_rare_peak_at_full_scale_is_no_overload(tmp_path):
    path = write(tmp_path, "section_00_source_train_normal_0000.wav")
    sound, _ = soundfile.read(path)
    sound[:100] = 1.0
    soundfile.write(path, sound, RATE)
    assert inspect(tmp_path).problems == ()
