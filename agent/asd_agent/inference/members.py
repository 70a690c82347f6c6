"""What each kind of member observes of a window: rows of numbers whose anomaly_scores is the score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asd_agent.audio.quality import level_dbfs
from asd_agent.bundle.manifest import MaskBank, Member
from asd_agent.features.indicators import indicators
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import SpectrumSpec, StftSpec, front_end
from asd_agent.inference.providers import Sessions, windows_at_once

Observation = npt.NDArray[np.float32]
Windows = npt.NDArray[np.float32]


class WindowFeatures:
    """Some windows, shape (windows, samples), and their spectra, computed once for each front end."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self._known: dict[FeatureSpec | StftSpec | SpectrumSpec, npt.NDArray[np.float32]] = {}

    def of(self, spec: FeatureSpec | StftSpec | SpectrumSpec) -> npt.NDArray[np.float32]:
        """What a front end makes of them, the windows first."""
        if spec not in self._known:
            self._known[spec] = np.stack([front_end(w, spec) for w in self.windows])
        return self._known[spec]

    def log_mel(self, spec: FeatureSpec) -> npt.NDArray[np.float32]:
        """Log-mels in decibels, shape (windows, frames, n_mels)."""
        return self.of(spec)


class Observer(Protocol):
    """Makes observations, shape (windows, rows, dimensions), of windows whose sections are given one by one."""

    def __call__(self, features: WindowFeatures, sections: Sequence[str]) -> Observation: ...  # noqa: D102


def observer(
    member: Member, folder: Path, digests: dict[str, str], arrays: dict[str, Any], sessions: Sessions
) -> Observer:
    """The observer of a member.

    Args:
        member: Its entry in the manifest.
        folder: Where its graph lies.
        digests: SHA-256 of each graph.
        arrays: The mask bank.
        sessions: Where ONNX Runtime sessions are shared.
    """
    if member.graph is not None:
        return _Network(member, folder, digests, arrays, sessions)
    if member.kind == "level":
        return lambda features, _sections: _levels(features.windows)
    if member.kind == "indicators":
        return lambda features, _sections: indicators(features.windows)[:, None, :]
    spec = member.features or FeatureSpec()
    return lambda features, _sections: _mel_statistics(features.log_mel(spec))


def _levels(windows: Windows) -> Observation:
    return np.array([[[level_dbfs(w)]] for w in windows], dtype=np.float32)


def _mel_statistics(log_mels: npt.NDArray[np.float32]) -> Observation:
    statistics = np.concatenate([log_mels.mean(axis=1), log_mels.std(axis=1)], axis=1)
    return np.asarray(statistics[:, None, :], dtype=np.float32)


class _Network:
    """What a graph makes of log-mels: errors of each frame (Eq. 1), doubts about the section, or an embedding.

    A graph has the input `features`, and `section` and `keep` where it needs the section's value or masks. Several
    outputs stand side by side in one observation, in the graph's order. The errors of masked replicas from the fixed
    bank are pooled.
    """

    def __init__(
        self,
        member: Member,
        folder: Path,
        digests: dict[str, str],
        arrays: dict[str, Any],
        sessions: Sessions,
    ) -> None:
        if member.graph is None or not member.front_ends:
            raise ValueError(f"member {member.id!r} lacks its graph or features")
        self._member, self._specs = member, member.front_ends
        self._session = sessions.get(folder / member.graph, digests[member.graph])
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._at_once = windows_at_once(self._session)
        bank = member.masks
        self._keep: npt.NDArray[np.float32] | None = None
        if bank is not None:
            self._keep = np.asarray(arrays[bank.array][bank.first : bank.first + bank.count], dtype=np.float32)

    def __call__(self, features: WindowFeatures, sections: Sequence[str]) -> Observation:
        inputs = {name: features.of(spec) for name, spec in self._specs.items()}
        keep = self._keep
        if keep is None:
            first_input = next(iter(inputs.values()))
            keep = np.ones((1, *first_input.shape[1:]), np.float32)
        values = np.array([self._member.sections.get(s, 0.0) for s in sections], np.float32)
        observed: list[npt.NDArray[np.floating]] = []
        for first in range(0, len(values), self._at_once):
            part = slice(first, first + self._at_once)
            for rows in self._run({k: x[part] for k, x in inputs.items()}, keep, values[part]):
                pooled = rows[0] if self._member.masks is None else pool_replicas(rows, keep, self._member.masks)
                observed.append(pooled)
        return np.stack(observed).astype(np.float32)

    def _run(
        self, inputs: dict[str, npt.NDArray[np.float32]], keep: npt.NDArray[np.float32], values: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """One call for all replicas of some windows: shape (windows, replicas, rows, dimensions)."""
        replicas, windows = len(keep), len(values)
        feed = {name: np.repeat(x, replicas, axis=0) for name, x in inputs.items()} | {
            "keep": np.tile(keep, (windows, *[1] * (keep.ndim - 1))),
            "section": np.repeat(values, replicas),
        }
        outputs = self._session.run(None, {k: v for k, v in feed.items() if k in self._inputs})
        rows = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
        return np.asarray(rows, dtype=np.float32).reshape(windows, replicas, *rows.shape[1:])


def pool_replicas(
    errors: npt.NDArray[np.floating], keep: npt.NDArray[np.floating], bank: MaskBank
) -> npt.NDArray[np.float64]:
    """The replicas' errors as one.

    With `masked` cells, a cell that no replica hides has its mean error over all of them; so has the section's column,
    which is never hidden.

    Args:
        errors: Shape (replicas, frames, dimensions), the cells first; what comes after them is never hidden.
        keep: 0 hides a cell, shape (replicas, frames, cells).
        bank: How to pool.

    Returns:
        Shape (frames, dimensions).
    """
    if bank.cells == "all":
        return np.asarray((np.max if bank.pooling == "max" else np.mean)(errors, axis=0))
    pooled = np.asarray(np.mean(errors, axis=0), dtype=np.float64)
    cells = keep.shape[2]
    hidden = keep == 0
    times = hidden.sum(axis=0)
    of_hidden = np.where(hidden, errors[:, :, :cells], 0.0)
    found = of_hidden.max(axis=0) if bank.pooling == "max" else of_hidden.sum(axis=0) / np.maximum(times, 1)
    pooled[:, :cells] = np.where(times > 0, found, pooled[:, :cells])
    return pooled
