"""Recordings that the tests of capture share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def noise() -> np.ndarray:
    """Three seconds of 16-bit noise, shape (samples,), int16."""
    return (3000 * np.random.default_rng(0).standard_normal(3 * 16_000)).astype(np.int16)


@pytest.fixture
def recording(tmp_path: Path, noise: np.ndarray) -> Path:
    """The same noise as a wav file."""
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise, 16_000)
    return path
