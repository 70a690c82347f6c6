"""The family of the official autoencoder of DCASE 2021 Task 2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asd_trainer.data.clips import ClipSet
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.dense_autoencoder.settings import DenseExpert
from asd_trainer.families.excerpt_family import ExcerptFamily
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Execution

if TYPE_CHECKING:
    from asd_trainer.families.dense_autoencoder.network import DenseAutoencoder


class DenseFamily(ExcerptFamily[DenseExpert]):
    """Dense autoencoders: the squared error of neighbouring frames is the score."""

    settings = DenseExpert
    prefix = "dense"
    member_kind = "dense_autoencoder"

    def learn(
        self,
        clips: ClipSet,
        expert: DenseExpert,
        execution: Execution,
        folder: Path,
        *,
        seed: int,
        progress: StepProgress | None,
    ) -> DenseAutoencoder:
        """Train a network and return it, on the CPU, in evaluation mode."""
        from asd_trainer.families.dense_autoencoder.training import load_dense, train_dense

        return load_dense(train_dense(clips, expert, execution, folder, seed=seed, progress=progress))


register(DenseFamily())
