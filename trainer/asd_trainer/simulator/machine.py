"""What every simulated machine gives: its faults, and a voice for one run of one unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from asd_trainer.simulator.chance import Chance
from asd_trainer.simulator.parts import Wave

Domain = Literal["source", "target"]


class Voice(Protocol):
    """One run of one unit, heard close by in a dead room."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """The operating point, as names and values of a file name."""

    def take(self, n: int, amounts: Mapping[str, float]) -> Wave:
        """The next n samples, shape (n,).

        Args:
            n: A multiple of CONTROL.
            amounts: How strong each fault is now, 0 to its full strength; a fault that is not named is absent.
        """


@dataclass(frozen=True)
class Machine:
    """A machine type.

    Attributes:
        name: As in the data set.
        faults: Each fault's strength at severity 1, in the units of its own equation.
        build: From (unit's chance, domain, run's chance) to a voice. What a unit is comes from the first alone.
        snr_db: Level of the machine above the factory's noise in the source domain.
    """

    name: str
    faults: Mapping[str, float]
    build: Callable[[Chance, Domain, Chance], Voice]
    snr_db: float
