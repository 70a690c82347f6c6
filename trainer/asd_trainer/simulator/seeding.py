"""Random generators seeded by names, so that every part of a machine has a stream of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SeedPath:
    """A path of names that seeds generators; the same names always give the same numbers.

    Attributes:
        names: Names from the root down, such as ("fan", "00", "unit").

    Examples:
        >>> unit = SeedPath(("fan", "00"))
        >>> bool(unit.rng("flow").random() == unit.rng("flow").random())
        True
    """

    names: tuple[str, ...]

    def child(self, *names: str | int) -> SeedPath:
        """Return a longer path."""
        return SeedPath((*self.names, *map(str, names)))

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return a new generator for a longer path."""
        text = "/".join((*self.names, *map(str, names)))
        entropy = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
