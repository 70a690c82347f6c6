"""What each kind of member observes of a window: rows of numbers whose unlikeliness is the score."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Member
from asd_agent.features import FeatureSpec, log_mel
from asd_agent.quality import level_dbfs
from asd_agent.scoring.indicators import indicators
from asd_agent.scoring.sessions import Sessions

Observation = npt.NDArray[np.float32]
Windows = npt.NDArray[np.float32]


class WindowFeatures:
    """Some windows, shape (windows, samples), and their log-mels, computed once for each front end."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self._log_mels: dict[FeatureSpec, npt.NDArray[np.float32]] = {}

    def log_mel(self, spec: FeatureSpec) -> npt.NDArray[np.float32]:
        """Log-mels in decibels, shape (windows, frames, n_mels)."""
        if spec not in self._log_mels:
            self._log_mels[spec] = np.stack([log_mel(w, spec) for w in self.windows])
        return self._log_mels[spec]


class Observer(Protocol):
    """Makes observations, shape (windows, rows, dimensions)."""

    def __call__(self, features: WindowFeatures, section: str) -> Observation: ...  # noqa: D102


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
    if member.kind == "autoencoder":
        return _Autoencoder(member, folder, digests, arrays, sessions)
    if member.kind == "level":
        return lambda features, _section: _levels(features.windows)
    if member.kind == "indicators":
        return lambda features, _section: indicators(features.windows)[:, None, :]
    spec = member.features or FeatureSpec()
    return lambda features, _section: _mel_statistics(features.log_mel(spec))


def _levels(windows: Windows) -> Observation:
    return np.array([[[level_dbfs(w)]] for w in windows], dtype=np.float32)


def _mel_statistics(log_mels: npt.NDArray[np.float32]) -> Observation:
    statistics = np.concatenate([log_mels.mean(axis=1), log_mels.std(axis=1)], axis=1)
    return np.asarray(statistics[:, None, :], dtype=np.float32)


class _Autoencoder:
    """Reconstruction errors |x̂ - x| of each frame (Eq. 1), pooled over masked replicas from the fixed bank."""

    def __init__(
        self,
        member: Member,
        folder: Path,
        digests: dict[str, str],
        arrays: dict[str, Any],
        sessions: Sessions,
    ) -> None:
        if member.graph is None or member.features is None:
            raise ValueError(f"autoencoder {member.id!r} lacks its graph or features")
        self._member, self._spec = member, member.features
        self._session = sessions.get(folder / member.graph, digests[member.graph])
        bank = member.masks
        self._keep: npt.NDArray[np.float32] | None = None
        if bank is not None:
            self._keep = np.asarray(arrays[bank.array][bank.first : bank.first + bank.count], dtype=np.float32)

    def __call__(self, features: WindowFeatures, section: str) -> Observation:
        x = features.log_mel(self._spec)
        keep = np.ones((1, *x.shape[1:]), np.float32) if self._keep is None else self._keep
        pooling = np.max if self._member.masks is not None and self._member.masks.pooling == "max" else np.mean
        value = np.full(len(keep), self._member.sections.get(section, 0.0), np.float32)
        errors = []
        for window in x:
            feed = {
                "features": np.broadcast_to(window, (len(keep), *window.shape)),
                "keep": keep,
                "section": value,
            }
            (error,) = self._session.run(["error"], {k: np.ascontiguousarray(v) for k, v in feed.items()})
            errors.append(pooling(error, axis=0))
        return np.stack(errors).astype(np.float32)
