"""Seconds of a training step on this machine, measured on noise."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.engine.progress import StepProgress

STEPS = 3
"""Steps that are measured; the first, which prepares memory, does not count."""


def measure_steps(train: Callable[[Path, StepProgress], object]) -> float:
    """Return the mean seconds of the steps after the first.

    Args:
        train: Trains a few steps into a folder and calls its second argument after each.
    """
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), lambda *_: times.append(time.perf_counter()))
    return float(np.mean(np.diff(times)))


def noise_clips(count: int) -> ClipSet:
    """Return clips of noise with two section values and two classes in turn."""
    rng = np.random.default_rng(0)
    places = np.arange(count) % 2
    samples = np.asarray(rng.normal(0, 3000, (count, WINDOW_SAMPLES)), dtype=np.int16)
    return ClipSet(
        tuple(f"clip {i}" for i in range(count)),
        samples=samples,
        sections=(places / 2).astype(np.float32),
        classes=places.astype(np.int64),
        class_names=("one", "other"),
    )


def noise_log_mels(count: int, spec: FeatureSpec) -> ClipSet:
    """Return log-mels of noise with two section values in turn."""
    shape = count, spec.frames(WINDOW_SAMPLES), spec.n_mels
    features: npt.NDArray[np.float32] = np.random.default_rng(0).normal(-40, 10, shape).astype(np.float32)
    places = np.arange(count) % 2
    return ClipSet(
        tuple(f"clip {i}" for i in range(count)), features=features, sections=(places / 2).astype(np.float32)
    )
