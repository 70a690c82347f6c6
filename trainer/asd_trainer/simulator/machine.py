"""Interface of a simulated machine: its faults, and the sound of one run of one unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from asd_trainer.simulator.parts import Wave
from asd_trainer.simulator.seeding import SeedPath

Domain = Literal["source", "target"]


class MachineVoice(Protocol):
    """Sound of one run of one unit, close to the machine and without a room."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Operating point, as names and values of a file name."""

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """Return the next n samples, shape (n,).

        Args:
            n: A multiple of CONTROL.
            amounts: Strength of each fault, 0 to its full strength; a fault that is not named is absent.
        """


@dataclass(frozen=True)
class Machine:
    """A machine type.

    Attributes:
        name: Name in the data set.
        faults: Strength of each fault at severity 1, in the units of its own equation.
        build: Makes the voice from (seeds of the unit, domain, seeds of the run). The unit depends on the first alone.
        snr_db: Level of the machine above the noise of the factory in the source domain, in dB.
    """

    name: str
    faults: Mapping[str, float]
    build: Callable[[SeedPath, Domain, SeedPath], MachineVoice]
    snr_db: float
