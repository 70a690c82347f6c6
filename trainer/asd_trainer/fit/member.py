"""One member of any expert, trained: which loop belongs to which kind."""

from __future__ import annotations

from pathlib import Path

from asd_trainer.data.split import TrainingSet
from asd_trainer.engine.onnx_export import Exportable
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.autoencoder.training import load_autoencoder, train_autoencoder
from asd_trainer.families.settings import AutoencoderExpert, MachineNetwork
from asd_trainer.recipes.recipe import Recipe


def train_member(
    learnt: TrainingSet,
    recipe: Recipe,
    expert: MachineNetwork,
    out: Path,
    *,
    seed: int,
    progress: StepProgress | None = None,
) -> Exportable:
    """Train one member, going on where an earlier call was interrupted.

    Args:
        learnt: What to learn from.
        recipe: Device and checkpoints.
        expert: The member's settings.
        out: Folder of this training alone.
        seed: Of everything random.
        progress: Called after each step.

    Returns:
        The network, on the CPU, in evaluation mode.

    Raises:
        DataError: The clips do not permit it.
        CheckpointError: `out` holds a training with other inputs.
        DivergedError: The training diverged.
        AsdError: The recipe wants CUDA and there is none.
    """
    arrays = learnt.features, learnt.sections, learnt.names
    if isinstance(expert, AutoencoderExpert):
        return load_autoencoder(train_autoencoder(*arrays, recipe, out, seed=seed, progress=progress, expert=expert))
    from asd_trainer.families.baselines.training import load_baseline, train_baseline

    return load_baseline(train_baseline(*arrays, recipe, expert, out, seed=seed, progress=progress))
