"""The hours of a plan on this machine: a few steps of every different member are measured, on noise, and multiplied."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asd_trainer.families.registry import family_of, validate_expert
from asd_trainer.families.settings import Execution
from asd_trainer.jobs import Job
from asd_trainer.jobs.descriptions import MEMBER
from asd_trainer.jobs.plan import Plan


@dataclass(frozen=True)
class Estimate:
    """Estimated time of a plan.

    Attributes:
        seconds: Seconds of each training that is not done, by the name of its job. Bundles and evaluations are not
            counted, nor members of families without steps.
        step_seconds: Seconds of a step of each different member, by what it is.
        device: Device on which the steps were measured.
    """

    seconds: Mapping[str, float]
    step_seconds: Mapping[str, float]
    device: str

    @property
    def hours(self) -> float:
        """Hours of all jobs, one after another."""
        return sum(self.seconds.values()) / 3600


def estimate(plan: Plan, pending: Callable[[Job], bool], announce: Callable[[str], None] = lambda _: None) -> Estimate:
    """Measure a few steps of each different member of a plan, on noise, and multiply.

    Args:
        plan: Plan.
        pending: Returns whether a job is still to be done.
        announce: Called before each measurement with what is measured.

    Raises:
        AsdError: A recipe wants CUDA and there is none.
    """
    import torch

    measured: dict[str, float | None] = {}
    names: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for job in plan.jobs:
        if job.kind != MEMBER or not pending(job):
            continue
        decisive = {name: job.arguments[name] for name in ("expert", "execution")}
        expert = validate_expert(decisive["expert"])
        family = family_of(expert.kind)
        key = json.dumps(decisive, sort_keys=True)
        if key not in measured:
            names[key] = f"{family.describe(expert)} ({job.name})"
            announce(names[key])
            measured[key] = step_seconds(decisive)
        each = measured[key]
        if each is not None:
            seconds[job.name] = each * family.steps(expert, plan.sizes[job.name])
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Estimate(seconds, {names[key]: value for key, value in measured.items() if value is not None}, device)


def step_seconds(decisive: Mapping[str, Any]) -> float | None:
    """Return the seconds of one step of a member; None where its family has no steps.

    Args:
        decisive: `expert` and `execution`, as a training's job has them in its arguments.
    """
    expert = validate_expert(decisive["expert"])
    return family_of(expert.kind).seconds_per_step(expert, Execution.model_validate(decisive["execution"]))
