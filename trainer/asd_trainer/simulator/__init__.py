"""Simulator of seven machine types, healthy and faulty, with a simple physical model of each.

It serves development, tests and the demo. Its results are no evidence about a real machine.
"""

from asd_trainer.simulator.machine import Domain, Machine
from asd_trainer.simulator.render import MACHINES, Episode, Sound, faults, render, stream
from asd_trainer.simulator.write import SIMULATOR_VERSION, SimulationPlan, Summary, simulate

__all__ = [
    "MACHINES",
    "SIMULATOR_VERSION",
    "Domain",
    "Episode",
    "Machine",
    "SimulationPlan",
    "Sound",
    "Summary",
    "faults",
    "render",
    "simulate",
    "stream",
]
