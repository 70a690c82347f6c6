"""Detectors without a network."""

from __future__ import annotations

from typing import Literal

from asd_agent.calibrate import DensitySettings
from asd_trainer.families.settings_parts import Expert


class PlainExpert(Expert):
    """Detectors without a network: quantities of a window and one shrunk Gaussian of what is usual.

    Attributes:
        kind: `level` hears loudness alone, `mel_statistics` mean and spread of each mel band over time, `indicators`
            the classical quantities of condition monitoring.
    """

    kind: Literal["level", "mel_statistics", "indicators"]
    density: DensitySettings = DensitySettings(density="mahalanobis")
