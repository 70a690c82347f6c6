"""Training of the official MobileNetV2: the cross-entropy of the sections of excerpts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.errors import DataError
from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.device_dataset import DeviceDataset
from asd_trainer.engine.loop import ClipLosses
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.excerpt_training import Excerpts, train_on_excerpts, trained_state
from asd_trainer.families.section_classifier.family import LEAST_SECTIONS
from asd_trainer.families.section_classifier.network import SectionClassifier, SectionShape
from asd_trainer.families.section_classifier.settings import SectionExpert
from asd_trainer.families.settings import Execution

KIND = "section_classifier"


def train_sections(
    clips: ClipSet,
    expert: SectionExpert,
    execution: Execution,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Path:
    """Train one member; arguments, result and errors are those of `train_on_excerpts`.

    Raises:
        DataError: There is one section alone, besides what `train_on_excerpts` raises.
    """

    def begin(excerpts: Excerpts, device: torch.device) -> tuple[nn.Module, SectionShape, ClipLosses]:
        values, places = np.unique(clips.sections, return_inverse=True)
        if len(values) < LEAST_SECTIONS:
            raise DataError("a network that tells sections apart needs two", "Use another recipe for this machine.")
        shape = SectionShape(
            n_mels=clips.features.shape[2],
            total_frames=clips.features.shape[1],
            sections=len(values),
            frames=expert.frames,
            hop=expert.hop,
            backbone=expert.backbone,
        )
        network = SectionClassifier(shape)
        nn.Module.to(network, device)
        right = DeviceDataset(places.astype(np.int64), device)

        def losses(items: npt.NDArray[np.int64]) -> Tensor:
            targets = right.take(excerpts.clips(items))
            return functional.cross_entropy(network.logits(excerpts(items)), targets, reduction="none")

        return network, shape, losses

    return train_on_excerpts(clips, expert, execution, out, begin, seed=seed, progress=progress)


def load_sections(checkpoint: Path) -> SectionClassifier:
    """Return the trained network, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged or not a section classifier's.
    """
    shape, weights = trained_state(checkpoint, KIND)
    model = SectionClassifier(SectionShape.model_validate(shape))
    model.load_state_dict(weights)
    return model.eval()
