"""A small data set in the layout of DCASE 2021: tones in noise, and knocks where something is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
SECTIONS = ("00", "01")
DOMAINS = ("source", "target")


def write_data_set(
    root: Path, machine: str = "fan", *, train_source: int = 8, train_target: int = 3, test: int = 3
) -> Path:
    """Write 16-bit clips of 10 s; with `test` normal and as many anomalous test clips a section and domain."""
    for section in SECTIONS:
        for domain in DOMAINS:
            for index in range(train_source if domain == "source" else train_target):
                _write(root / machine / "train" / f"section_{section}_{domain}_train_normal_{index:04d}.wav")
            for label in ("normal", "anomaly"):
                for index in range(test):
                    _write(
                        root / machine / f"{domain}_test" / f"section_{section}_{domain}_test_{label}_{index:04d}.wav"
                    )
    return root


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    rng = np.random.default_rng(list(name.encode()))
    pitch = (300.0 if "section_00" in name else 700.0) * (1.5 if "target" in name else 1.0)
    t = np.arange(10 * RATE) / RATE
    x = 0.1 * np.sin(2 * np.pi * pitch * t * rng.uniform(0.99, 1.01)) + 0.02 * rng.normal(size=t.size)
    if "anomaly" in name:
        x += 0.3 * rng.normal(size=t.size) * (np.sin(2 * np.pi * 3 * t) > 0.97)
    soundfile.write(path, np.clip(x, -1, 1), RATE, subtype="PCM_16")
