"""Golden windows of a bundle that is about to be written: sound with the scores that every box must give it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.bundle import Bundle, write_bundle
from asd_agent.bundle.files import GOLDEN, SCORERS
from asd_agent.bundle.manifest import DomainName, Manifest
from asd_agent.calibrate.settings import Arrays
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer

Samples = npt.NDArray[np.int16]
GoldenWindow = tuple[str, DomainName, Samples]
"""Section, domain and samples at 16 kHz, shape (samples,)."""
_BURST, _PERIOD = 800, 8000
"""Samples of a burst of noise, and from one to the next: 50 ms twice a second."""


def golden_windows(normal: Sequence[GoldenWindow], seed: int) -> list[GoldenWindow]:
    """Return one normal window of each condition, and the first one disturbed, beyond the range of normal scores."""
    section, domain, samples = normal[0]
    return [normal[0], (section, domain, _disturbed(samples, seed)), *normal[1:]]


def write_with_golden(
    path: Path,
    manifest: Manifest,
    arrays: Arrays,
    windows: Sequence[GoldenWindow],
    sessions: Sessions,
    graphs: Mapping[str, Path] | None = None,
) -> Bundle:
    """Score the golden windows by the bundle itself, write it and check it.

    Args:
        path: Folder of the bundle; an older bundle there is replaced.
        manifest: Manifest with the digests of the graphs.
        arrays: Arrays of its scorers and members.
        windows: See `golden_windows`.
        sessions: ONNX Runtime sessions.
        graphs: File of each graph by its name in the bundle.

    Raises:
        BundleError: Something other than a bundle is in its place, or it cannot be written.
    """
    found = dict(graphs or {})
    golden = _scored(manifest, arrays, windows, sessions, found)
    return write_bundle(path, manifest, {SCORERS: arrays, GOLDEN: golden}, found)


def _scored(
    manifest: Manifest, arrays: Arrays, windows: Sequence[GoldenWindow], sessions: Sessions, graphs: dict[str, Path]
) -> dict[str, npt.NDArray[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for name, source in graphs.items():
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, Path(folder) / name)
        scorer = BundleScorer(Bundle(Path(folder), manifest, arrays, ""), sessions)
        got = [
            scorer.score(samples[None].astype(np.float32) / 32768.0, section, domain)[0]
            for section, domain, samples in windows
        ]
    members = {f"member/{m.id}": np.array([g.members.get(m.id, np.nan) for g in got]) for m in manifest.members}
    return {
        "windows": np.stack([samples for _, _, samples in windows]),
        "sections": np.array([section for section, _, _ in windows]),
        "domains": np.array([domain for _, domain, _ in windows]),
        "scores": np.array([g.score for g in got]),
    } | members


def _disturbed(window: Samples, seed: int) -> Samples:
    """Return the window with bursts of noise in it."""
    rng = np.random.default_rng(seed)
    x = window.astype(np.float64)
    noise = rng.normal(size=x.size) * x.std()
    bursts = (np.arange(x.size) % _PERIOD) < _BURST
    return np.asarray(np.clip(np.round(x + noise * bursts), -32768, 32767), dtype=np.int16)
