"""One machine's clips of a data set, and the digests of the clips that decide a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from asd_trainer.data.dataset import DataSet, labelled_clips
from asd_trainer.data.digests import Digests
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section
from asd_trainer.engine.progress import StageProgress
from asd_trainer.families.base import Clips


@dataclass(frozen=True)
class MachineClips:
    """One machine's clips and their digests, which are computed when they are first asked for.

    Attributes:
        data: Data set.
        machine: Machine type.
        digests: Remembered digests of files.
        progress: Called after each clip whose digest is computed.
    """

    data: DataSet
    machine: str
    digests: Digests
    progress: StageProgress | None = None
    _found: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def root(self) -> Path:
        """Root of the data set, as an absolute path."""
        return self.data.root.resolve()

    @cached_property
    def training(self) -> list[Clip]:
        """Normal training clips of the machine."""
        return self.data.select(machine=self.machine, split="train", label="normal")

    @cached_property
    def testing(self) -> list[Clip]:
        """Labelled test clips of the machine."""
        return labelled_clips(self.data, self.machine)

    def digest(self, clips: Clips) -> str:
        """Return the digest of normal training clips: the source's, the machine's, or those of the whole data set."""
        if clips == "source":
            return self._digest(clips, (c for own in by_section(self.training, "source").values() for c in own))
        if clips == "machine":
            return self._digest(clips, self.training)
        return self._digest(clips, self.data.select(split="train", label="normal"))

    def testing_digest(self) -> str:
        """Return the digest of the labelled test clips."""
        return self._digest("testing", self.testing)

    def _digest(self, name: str, clips: Iterable[Clip]) -> str:
        if name not in self._found:
            self._found[name] = self.digests.of(clips, self.root, self.progress)
        return self._found[name]
