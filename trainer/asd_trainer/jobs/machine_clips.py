"""One machine's clips of a data set, and the digests of what different jobs hear of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asd_trainer.data.dataset import DataSet, labelled_clips
from asd_trainer.data.digests import Digests
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.settings import EmbeddingExpert
from asd_trainer.recipes.recipe import Recipe


@dataclass(frozen=True)
class MachineClips:
    """One machine's clips and their digests; those of the source alone decide an autoencoder.

    Attributes:
        root: The data set's.
        machine: Machine type.
        training: Its normal training clips.
        testing: Its labelled test clips, where anybody wants them.
        everything: The normal training clips of all machines of the data set.
        digests: Where digests of files are remembered.
        source_digest: Of the training clips of the source domain.
        training_digest: Of all of them.
        testing_digest: Of the test clips.
        everything_digest: Of the whole data set's; empty where no network learns from it.
    """

    root: Path
    machine: str
    training: list[Clip]
    testing: list[Clip]
    everything: list[Clip]
    digests: Digests
    source_digest: str
    training_digest: str
    testing_digest: str
    everything_digest: str

    @classmethod
    def of(
        cls, data: DataSet, machine: str, digests: Digests, testing: bool, whole: bool, progress: StageProgress | None
    ) -> MachineClips:
        """Gather a machine's clips; `testing` and `whole` say whether anybody wants the test clips and the others'."""
        root = data.root.resolve()
        training = data.select(machine=machine, split="train", label="normal")
        tested = labelled_clips(data, machine) if testing else []
        source = [c for section in by_section(training, "source").values() for c in section]
        everything = data.select(split="train", label="normal")
        return cls(
            root,
            machine,
            training,
            tested,
            everything,
            digests,
            digests.of(source, root, progress),
            digests.of(training, root, progress),
            digests.of(tested, root, progress),
            digests.of(everything, root, progress) if whole else "",
        )

    def digest(self, recipe: Recipe) -> str:
        """Of all clips that a bundle comes from: the machine's, or those of the whole data set."""
        shared = any(isinstance(e, EmbeddingExpert) for e in recipe.experts)
        return self.everything_digest if shared else self.training_digest
