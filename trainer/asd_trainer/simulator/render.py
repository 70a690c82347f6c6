"""Sound of one run of one unit: a clip, or a stream of any length with faults that come and go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.errors import UsageError
from asd_trainer.simulator.acoustics import Acoustics
from asd_trainer.simulator.fan import FAN
from asd_trainer.simulator.gearbox import GEARBOX
from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.parts import CONTROL
from asd_trainer.simulator.pump import PUMP
from asd_trainer.simulator.seeding import SeedPath
from asd_trainer.simulator.slider import SLIDER
from asd_trainer.simulator.toy_car import TOY_CAR
from asd_trainer.simulator.toy_train import TOY_TRAIN
from asd_trainer.simulator.valve import VALVE

Sound = npt.NDArray[np.float32]
Episode = tuple[float, float, str, float]
"""Start and end in seconds, fault, severity."""

MACHINES: Mapping[str, Machine] = MappingProxyType(
    {m.name: m for m in (FAN, VALVE, PUMP, SLIDER, GEARBOX, TOY_CAR, TOY_TRAIN)}
)
"""Machine types by their name in the data set."""
BLOCK = 2500 * CONTROL
"""Samples that are rendered at once: 10 s."""


def faults(machine: str) -> tuple[str, ...]:
    """Return the names of the faults of a machine.

    Raises:
        UsageError: There is no such machine.
    """
    return tuple(machine_named(machine).faults)


def machine_named(name: str) -> Machine:
    """Return the machine type of this name.

    Raises:
        UsageError: There is no such machine.
    """
    if name not in MACHINES:
        raise UsageError(f"there is no simulated machine {name!r}", f"Choose from {', '.join(MACHINES)}.")
    return MACHINES[name]


def render(
    machine: str,
    section: int | str,
    domain: Domain,
    *,
    seed: int,
    fault: str | None = None,
    severity: float = 0.0,
    seconds: float = 10.0,
) -> tuple[Sound, dict[str, str]]:
    """Render one clip.

    Args:
        machine: Machine type, a key of MACHINES.
        section: Unit, 0 to 99; each has fixed properties of its own.
        domain: Domain; it decides speeds, loads, room, microphone and noise.
        seed: Seed of the run; the same arguments always give the same samples.
        fault: One of `faults(machine)`.
        severity: 0 (exactly the sound of the healthy machine) to 1.
        seconds: Length.

    Returns:
        Samples at 16 kHz, shape (round(seconds · 16000),), within ±1, and the operating point by name.

    Examples:
        >>> samples, attributes = render("fan", 0, "source", seed=1, seconds=0.1)
        >>> samples.shape, samples.dtype.name
        ((1600,), 'float32')
        >>> sorted(attributes)
        ['load', 'mic', 'speed']

    Raises:
        UsageError: Machine, fault, section, domain, severity or length is not possible.
    """
    schedule = [] if fault is None else [(0.0, seconds, fault, severity)]
    run = MachineRun(machine, section, domain, seed=seed, schedule=schedule)
    count = round(seconds * SAMPLE_RATE)
    if count < 1:
        raise UsageError(f"a clip of {seconds} s is too short", "Give some seconds.")
    blocks, filled = [], 0
    while filled < count:
        blocks.append(run.block(min(BLOCK, -(-(count - filled) // CONTROL) * CONTROL)))
        filled += len(blocks[-1])
    return np.concatenate(blocks)[:count], dict(run.attributes)


def stream(
    machine: str,
    section: int | str,
    domain: Domain,
    *,
    seed: int,
    seconds: float,
    schedule: Sequence[Episode] = (),
    chunk_seconds: float = 1.0,
) -> Iterator[Sound]:
    """Render one continuous run in consecutive chunks; its samples do not depend on the length of the chunks.

    Args:
        machine: Machine type.
        section: Unit, 0 to 99.
        domain: Domain; it decides speeds, loads, room, microphone and noise.
        seed: Seed of the run.
        seconds: Length of the run.
        schedule: Faults as (start in s, end in s, fault, severity); several may overlap.
        chunk_seconds: Length of a chunk; the last one may be shorter.

    Yields:
        Samples at 16 kHz, shape (round(chunk_seconds · 16000),).

    Raises:
        UsageError: As `render`; raised with the first chunk.
    """
    run = MachineRun(machine, section, domain, seed=seed, schedule=schedule)
    chunk, left = round(chunk_seconds * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
    if chunk < 1:
        raise UsageError(f"chunks of {chunk_seconds} s are too short", "Give 1 s, for instance.")
    waiting = np.zeros(0, dtype=np.float32)
    while left > 0:
        wanted = min(chunk, left)
        parts, have = [waiting], len(waiting)
        while have < wanted:
            parts.append(run.block(BLOCK))
            have += BLOCK
        waiting = np.concatenate(parts)
        yield waiting[:wanted]
        waiting = waiting[wanted:]
        left -= wanted


class MachineRun:
    """One continuous run of one unit.

    Args:
        machine: Machine type.
        section: Unit, 0 to 99.
        domain: Domain; it decides speeds, loads, room, microphone and noise.
        seed: Seed of the run.
        schedule: Faults as (start in s, end in s, fault, severity).

    Raises:
        UsageError: As `render`.
    """

    def __init__(
        self, machine: str, section: int | str, domain: Domain, *, seed: int, schedule: Sequence[Episode] = ()
    ) -> None:
        self._kind = machine_named(machine)
        unit, run = _seeds(machine, section, domain, str(seed))
        _check(self._kind, schedule)
        self._episodes = [
            (_control(start), _control(end), fault, severity) for start, end, fault, severity in schedule if severity
        ]
        self._voice = self._kind.build(unit, domain, run)
        gain = _normal_gain(machine, str(section), domain)
        self._acoustics = Acoustics(unit, domain, run, gain, self._kind.snr_db)
        self._at = 0
        self.attributes = {**self._voice.attributes, "mic": self._acoustics.mic}

    def block(self, n: int) -> Sound:
        """Return the next n samples (a multiple of CONTROL), shape (n,), within ±1."""
        end = self._at + n
        edges = {e for start, stop, _, _ in self._episodes for e in (start, stop) if self._at < e < end}
        times = [self._at, *sorted(edges), end]
        dry = np.concatenate([self._voice.take(b - a, self._amounts(a)) for a, b in pairwise(times)])
        self._at = end
        return np.clip(self._acoustics.take(dry), -1.0, 1.0).astype(np.float32)

    def _amounts(self, at: int) -> dict[str, float]:
        amounts: dict[str, float] = {}
        for start, end, fault, severity in self._episodes:
            if start <= at < end:
                amounts[fault] = max(amounts.get(fault, 0.0), severity * self._kind.faults[fault])
        return amounts


def _control(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / CONTROL) * CONTROL


def _seeds(machine: str, section: int | str, domain: str, seed: str) -> tuple[SeedPath, SeedPath]:
    number = int(section) if str(section).isdecimal() else -1
    if not 0 <= number <= 99:
        raise UsageError(f"section {section!r} is not possible", "Sections are numbers from 0 to 99.")
    if domain not in ("source", "target"):
        raise UsageError(f"domain {domain!r} is not possible", "Choose source or target.")
    unit = SeedPath((machine, f"{number:02d}"))
    return unit.child("unit"), unit.child("run", domain, seed)


def _check(kind: Machine, schedule: Sequence[Episode]) -> None:
    for start, end, fault, severity in schedule:
        if fault not in kind.faults:
            raise UsageError(f"a {kind.name} has no fault {fault!r}", f"Choose from {', '.join(kind.faults)}.")
        if not 0.0 <= severity <= 1.0:
            raise UsageError(f"severity {severity} of {fault} is not possible", "Give a number from 0 to 1.")
        if not 0.0 <= start < end:
            raise UsageError(f"{fault} from {start} s to {end} s is not possible", "Give an end after the start.")


@lru_cache(maxsize=256)
def _normal_gain(machine: str, section: str, domain: Domain) -> float:
    """Return the gain that brings the dry sound of a unit to root mean square 1 in a normal run of the domain."""
    unit, run = _seeds(machine, section, domain, "gain")
    dry = machine_named(machine).build(unit, domain, run).take(BLOCK // 2, {})
    return float(1.0 / np.sqrt(np.mean(dry**2)))
