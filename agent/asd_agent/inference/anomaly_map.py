"""Where in time and frequency windows lay above what was normal in calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Member
from asd_agent.features.log_mel import FeatureSpec
from asd_agent.inference.members import Observation, WindowFeatures

ANOMALY_MAP_KINDS = ("autoencoder", "mel_statistics")
"""Kinds of members that can tell, the one that judges every frame first."""


@dataclass(frozen=True)
class AnomalyMap:
    """A map over time and frequency.

    Attributes:
        cells: Shape (windows, frames, n_mels); zero is usual.
        spec: Whose frames and bands they are.
        unit: Of the cells: `spreads` of normal errors, or `dB` above the normal level.
    """

    cells: npt.NDArray[np.float64]
    spec: FeatureSpec
    unit: str


def anomaly_map_of(
    member: Member, observation: Observation, features: WindowFeatures, scorer: dict[str, Any]
) -> AnomalyMap:
    """The map of a member of `ANOMALY_MAP_KINDS`.

    Args:
        member: Whose it is.
        observation: Of the windows, shape (windows, rows, dimensions).
        features: Of the same windows.
        scorer: The member's arrays.
    """
    spec = member.features or FeatureSpec()
    if member.kind == "autoencoder":
        windows, rows, dimensions = observation.shape
        excess = deviation_from_normal(observation.reshape(-1, dimensions), scorer).reshape(windows, rows, dimensions)
        return AnomalyMap(excess[:, :, : spec.n_mels], spec, "spreads")
    usual = np.asarray(scorer["usual_mean"][: spec.n_mels], dtype=np.float64)
    return AnomalyMap(features.log_mel(spec) - usual, spec, "dB")


def deviation_from_normal(observation: npt.NDArray[np.floating], scorer: dict[str, Any]) -> npt.NDArray[np.float64]:
    """How far an observation, shape (rows, dimensions), lies above what was normal in calibration, in spreads."""
    return np.asarray((np.asarray(observation, dtype=np.float64) - scorer["usual_mean"]) / scorer["usual_std"])
