"""Sounds of seven machine types, healthy and faulty, from a simple physical model of each.

A simulation, for development, tests and the demo. It is no evidence about any real machine.
"""

from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.render import MACHINES, Episode, Sound, faults, render, stream
from asd_trainer.simulator.write import SIMULATOR_VERSION, Plan, Summary, simulate

__all__ = [
    "MACHINES",
    "SIMULATOR_VERSION",
    "Domain",
    "Episode",
    "Machine",
    "Plan",
    "Sound",
    "Summary",
    "faults",
    "render",
    "simulate",
    "stream",
]
