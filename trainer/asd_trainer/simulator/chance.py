"""Random numbers that depend on stable names alone, so that every part of a machine has a stream of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chance:
    """A place in a tree of names; the same names always give the same numbers.

    Attributes:
        names: From the root down, such as ("fan", "00", "unit").
    """

    names: tuple[str, ...]

    def below(self, *names: str | int) -> Chance:
        """A place further down."""
        return Chance((*self.names, *map(str, names)))

    def rng(self, *names: str | int) -> np.random.Generator:
        """A fresh generator for a place further down."""
        text = "/".join((*self.names, *map(str, names)))
        entropy = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
