"""The family of conformer autoencoders: one network a machine (sections 2.1 and 3.1 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asd_agent.bundle.manifest import MaskBank
from asd_agent.features.log_mel import FeatureSpec
from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.engine.progress import StepProgress
from asd_trainer.families.autoencoder.settings import AutoencoderExpert
from asd_trainer.families.base import GRAPH, TrainedExpert
from asd_trainer.families.machine_family import Arrays, MachineFamily
from asd_trainer.families.registry import register
from asd_trainer.families.settings import Execution
from asd_trainer.families.timing import STEPS, measure_steps, noise_log_mels
from asd_trainer.features.settings import MaskSettings

if TYPE_CHECKING:
    from asd_trainer.engine.onnx_export import Exportable


class AutoencoderFamily(MachineFamily[AutoencoderExpert]):
    """Conformer autoencoders with test-time replicas from a fixed bank of masks."""

    settings = AutoencoderExpert
    prefix = "ae"
    member_kind = "autoencoder"

    def fit(
        self,
        clips: ClipSet,
        expert: AutoencoderExpert,
        execution: Execution,
        folder: Path,
        *,
        seed: int,
        progress: StepProgress,
    ) -> float:
        """Train a network and export it."""
        from asd_trainer.engine.onnx_export import export_network
        from asd_trainer.families.autoencoder.training import load_autoencoder, train_autoencoder

        final = train_autoencoder(clips, expert, execution, folder, seed=seed, progress=progress)
        return export_network(load_autoencoder(final), folder / GRAPH)

    def size(self, expert: AutoencoderExpert) -> Mapping[str, int]:
        """Return the steps of a training."""
        return {"steps": expert.training.steps}

    def masks(self, trained: TrainedExpert[AutoencoderExpert]) -> tuple[list[MaskBank | None], Arrays]:
        """Return each member's slice of a mask bank; there is a bank for each shape of log-mels and form of masks.

        The masks of a member do not depend on the number of members.
        """
        named = trained.named
        found: list[MaskBank | None] = []
        banks: dict[tuple[int, int, MaskSettings], list[int]] = {}
        for number in range(len(trained.folders)):
            settings = named.expert.member(number, trained.features)
            replicas, spec = settings.replicas, settings.features or FeatureSpec()
            if not replicas.masked:
                found.append(None)
                continue
            bank = spec.frames(WINDOW_SAMPLES), spec.n_mels, settings.masks
            numbers = banks.setdefault(bank, [])
            found.append(
                MaskBank(
                    array=_bank_key(named.nth, list(banks).index(bank)),
                    first=len(numbers) * replicas.count,
                    count=replicas.count,
                    pooling=replicas.pooling,
                    cells=replicas.cells,
                )
            )
            numbers.append(number)
        if not banks:
            return found, {}
        from asd_trainer.features.spec_augment import mask_bank

        count = named.expert.replicas.count
        return found, {
            _bank_key(named.nth, place): np.concatenate(
                [mask_bank(count, *bank, named.member_seed(trained.seed, number)) for number in numbers]
            )
            for place, (bank, numbers) in enumerate(banks.items())
        }

    def seconds_per_step(self, expert: AutoencoderExpert, execution: Execution) -> float:
        """Measure a few steps on noise."""
        from asd_trainer.families.autoencoder.training import train_autoencoder

        brief = expert.model_copy(update={"training": expert.training.model_copy(update={"steps": STEPS})})
        clips = noise_log_mels(expert.training.batch, expert.features or FeatureSpec())
        return measure_steps(
            lambda folder, progress: train_autoencoder(clips, brief, execution, folder, seed=0, progress=progress)
        )

    def untrained_network(self, expert: AutoencoderExpert, samples: int) -> Exportable:
        """Return an autoencoder of a member's size."""
        from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape

        spec = expert.features or FeatureSpec()
        shape = AutoencoderShape(
            n_mels=spec.n_mels,
            frames=spec.frames(samples),
            id_regression=expert.id_regression,
            network=expert.network,
        )
        return Autoencoder(shape).eval()


def _bank_key(nth: int, place: int) -> str:
    return f"masks-{nth}-{place}"


register(AutoencoderFamily())
