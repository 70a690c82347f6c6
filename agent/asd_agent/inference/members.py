"""Members: what each kind infers from a window. A density turns these rows of numbers into a score.

One registry, `MEMBER_KINDS`, holds the kinds that are networks and the computation of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asd_agent.audio.quality import level_dbfs
from asd_agent.bundle.manifest import MaskBank, Member
from asd_agent.errors import BundleError
from asd_agent.features.indicators import indicators
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.features.stft import SpectrumSpec, StftSpec, front_end
from asd_agent.inference.densities import registered
from asd_agent.inference.providers import Sessions, windows_at_once

_AGAIN = "Export the bundle again."
ModelOutput = npt.NDArray[np.float32]
"""Output of one member, shape (windows, rows, dimensions); rows are frames, excerpts, or one for the whole window."""
Windows = npt.NDArray[np.float32]
"""Windows of 16 kHz sound, shape (windows, samples), full scale ±1."""


class WindowFeatures:
    """Some windows, shape (windows, samples), and their spectra, computed once for each front end."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self._computed: dict[FeatureSpec | StftSpec | SpectrumSpec, npt.NDArray[np.float32]] = {}

    def of(self, spec: FeatureSpec | StftSpec | SpectrumSpec) -> npt.NDArray[np.float32]:
        """Return the output of a front end, the windows on the first axis."""
        if spec not in self._computed:
            self._computed[spec] = np.stack([front_end(w, spec) for w in self.windows])
        return self._computed[spec]

    def log_mel(self, spec: FeatureSpec) -> npt.NDArray[np.float32]:
        """Return log-mels in decibels, shape (windows, frames, n_mels)."""
        return self.of(spec)


class Inference(Protocol):
    """A member ready to run: output for windows whose sections are given one by one."""

    def __call__(self, features: WindowFeatures, sections: Sequence[str]) -> ModelOutput: ...  # noqa: D102


@dataclass(frozen=True)
class MemberKind:
    """One kind of member.

    Attributes:
        compute: Output of a kind without a network; None for a kind that runs a graph.
    """

    compute: Callable[[Member, WindowFeatures], ModelOutput] | None = None


def level(_member: Member, features: WindowFeatures) -> ModelOutput:
    """Level of each window in dB relative to full scale, shape (windows, 1, 1)."""
    return np.array([[[level_dbfs(w)]] for w in features.windows], dtype=np.float32)


def mel_statistics(member: Member, features: WindowFeatures) -> ModelOutput:
    """Mean and spread over time of each mel band, shape (windows, 1, 2 · n_mels)."""
    log_mels = features.log_mel(member.features or FeatureSpec())
    statistics = np.concatenate([log_mels.mean(axis=1), log_mels.std(axis=1)], axis=1)
    return np.asarray(statistics[:, None, :], dtype=np.float32)


def mel_spectrum(member: Member, features: WindowFeatures) -> ModelOutput:
    """Mean over time of each mel band, shape (windows, 1, n_mels)."""
    log_mels = features.log_mel(member.features or FeatureSpec())
    return np.asarray(log_mels.mean(axis=1)[:, None, :], dtype=np.float32)


def condition_indicators(_member: Member, features: WindowFeatures) -> ModelOutput:
    """Condition indicators of each window, shape (windows, 1, indicators)."""
    return indicators(features.windows)[:, None, :]


NETWORK = MemberKind()
MEMBER_KINDS: Mapping[str, MemberKind] = MappingProxyType(
    {
        "autoencoder": NETWORK,
        "dense_autoencoder": NETWORK,
        "section_classifier": NETWORK,
        "classifier": NETWORK,
        "embedding": NETWORK,
        "network": NETWORK,
        "level": MemberKind(level),
        "mel_statistics": MemberKind(mel_statistics),
        "mel_spectrum": MemberKind(mel_spectrum),
        "indicators": MemberKind(condition_indicators),
    }
)
"""Every kind of member by its name in the manifest; `network` is the graph of a family that the agent does not know."""


def load_member(
    member: Member, folder: Path, digests: Mapping[str, str], arrays: Mapping[str, Any], sessions: Sessions
) -> Inference:
    """Load a member.

    Args:
        member: Its entry in the manifest.
        folder: The bundle's folder, which holds its graph.
        digests: SHA-256 of each graph.
        arrays: Arrays of scorers.npz, which hold the mask bank.
        sessions: Where ONNX Runtime sessions are shared.

    Raises:
        AsdError: The kind is not registered, lacks its graph or front ends, or has a graph and needs none; or ONNX
            Runtime cannot load it.
    """
    kind: MemberKind = registered(MEMBER_KINDS, member.kind, "kind of member")
    if kind.compute is None:
        return _Network(member, folder, digests, arrays, sessions)
    if member.graph is not None:
        what = f"member {member.id!r} has a graph, which its kind {member.kind} does not run"
        raise BundleError(f"{folder}: {what}", _AGAIN)
    compute = kind.compute
    return lambda features, _sections: compute(member, features)


class _Network:
    """Output of a graph: errors of each frame (Eq. 1), posteriors and distances of a classifier, or an embedding.

    A graph has its front ends as inputs, and `section` and `keep` where it needs the section's value or masks. Several
    outputs are concatenated along the last axis, in the graph's order. The errors of masked replicas from the fixed
    bank are pooled.
    """

    def __init__(
        self,
        member: Member,
        folder: Path,
        digests: Mapping[str, str],
        arrays: Mapping[str, Any],
        sessions: Sessions,
    ) -> None:
        if member.graph is None or not member.front_ends:
            what = f"member {member.id!r} of kind {member.kind} lacks its graph or its features"
            raise BundleError(f"{folder}: {what}", _AGAIN)
        self._member, self._specs = member, member.front_ends
        self._session = sessions.get(folder / member.graph, digests[member.graph])
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._at_once = windows_at_once(self._session)
        bank = member.masks
        self._keep: npt.NDArray[np.float32] | None = None
        if bank is not None:
            self._keep = np.asarray(arrays[bank.array][bank.first : bank.first + bank.count], dtype=np.float32)

    def __call__(self, features: WindowFeatures, sections: Sequence[str]) -> ModelOutput:
        inputs = {name: features.of(spec) for name, spec in self._specs.items()}
        keep = self._keep
        if keep is None:
            first_input = next(iter(inputs.values()))
            keep = np.ones((1, *first_input.shape[1:]), np.float32)
        values = np.array([self._member.sections.get(s, 0.0) for s in sections], np.float32)
        outputs: list[npt.NDArray[np.floating]] = []
        for first in range(0, len(values), self._at_once):
            batch = slice(first, first + self._at_once)
            for rows in self._run({k: x[batch] for k, x in inputs.items()}, keep, values[batch]):
                pooled = rows[0] if self._member.masks is None else pool_replicas(rows, keep, self._member.masks)
                outputs.append(pooled)
        return np.stack(outputs).astype(np.float32)

    def _run(
        self, inputs: dict[str, npt.NDArray[np.float32]], keep: npt.NDArray[np.float32], values: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Run all replicas of some windows in one call: shape (windows, replicas, rows, dimensions)."""
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
    """Pool the errors of masked replicas.

    With `masked` cells, a cell that no replica hides has its mean error over all of them; so has the section's column,
    which is never hidden.

    Args:
        errors: Shape (replicas, frames, dimensions), the cells first; the dimensions after them are never hidden.
        keep: 0 hides a cell, shape (replicas, frames, cells).
        bank: Settings of the pooling.

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
    over_hidden = of_hidden.max(axis=0) if bank.pooling == "max" else of_hidden.sum(axis=0) / np.maximum(times, 1)
    pooled[:, :cells] = np.where(times > 0, over_hidden, pooled[:, :cells])
    return pooled
