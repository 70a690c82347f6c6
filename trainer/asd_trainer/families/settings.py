"""Settings of the experts: what a recipe says of networks, their training, and how their observations become scores.

Defaults are the numbers of the paper (section 4.1) where it gives them, and those of the official baselines in theirs.
"""

from typing import Annotated

from pydantic import Field

from asd_trainer.families.autoencoder.settings import (
    AutoencoderExpert,
    ConformerSettings,
    Replicas,
    TrainingSettings,
    Variant,
)
from asd_trainer.families.baselines.settings import BaselineExpert, DenseExpert, EpochSettings, SectionExpert
from asd_trainer.families.classifier.settings import (
    ClassifierExpert,
    ClassifierSettings,
    LossSettings,
    OneCycleSettings,
    PseudoAnomalies,
    TuningSettings,
)
from asd_trainer.families.embedding.settings import AdamWSettings, EmbeddingExpert, EmbeddingSettings
from asd_trainer.families.settings_parts import Expert, NetworkExpert
from asd_trainer.families.statistics.settings import PlainExpert

MachineNetwork = AutoencoderExpert | DenseExpert | SectionExpert
"""Experts with one network a machine."""
AnyNetwork = MachineNetwork | ClassifierExpert | EmbeddingExpert
AnyExpert = Annotated[AnyNetwork | PlainExpert, Field(discriminator="kind")]

__all__ = [
    "AdamWSettings",
    "AnyExpert",
    "AnyNetwork",
    "AutoencoderExpert",
    "BaselineExpert",
    "ClassifierExpert",
    "ClassifierSettings",
    "ConformerSettings",
    "DenseExpert",
    "EmbeddingExpert",
    "EmbeddingSettings",
    "EpochSettings",
    "Expert",
    "LossSettings",
    "MachineNetwork",
    "NetworkExpert",
    "OneCycleSettings",
    "PlainExpert",
    "PseudoAnomalies",
    "Replicas",
    "SectionExpert",
    "TrainingSettings",
    "TuningSettings",
    "Variant",
]
