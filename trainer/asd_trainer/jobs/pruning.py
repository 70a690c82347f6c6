"""Runs with fewer members: fitted anew from the networks that are there, by number, by agreement or by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asd_agent.bench import Effort, window_stages
from asd_agent.bundle import Bundle
from asd_agent.errors import DataError
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.dataset import scan
from asd_trainer.fit.pruning_order import Order
from asd_trainer.jobs import digests
from asd_trainer.jobs.descriptions import BUNDLE
from asd_trainer.jobs.executor import OnStatus
from asd_trainer.jobs.plan import make_plan
from asd_trainer.jobs.runs import Run, jobs_of
from asd_trainer.jobs.store import folder_of
from asd_trainer.jobs.train import carry_out
from asd_trainer.recipes.recipe import Prune, Recipe


@dataclass(frozen=True)
class Costs:
    """Return the cost of a window on this machine as the agent runs it, in processor time of one thread, in ms.

    Attributes:
        members: By member: its network and its scorer.
        rest: Everything else, front ends counted as if all were needed, so that fewer members cost rather less.
    """

    members: Mapping[str, float]
    rest: float

    def of(self, members: Sequence[str]) -> float:
        """A window with some of the members."""
        return self.rest + sum(self.members[m] for m in members)


@dataclass(frozen=True)
class Pruned:
    """A run with fewer members.

    Attributes:
        run: The trained run.
        order: In which members are kept.
        kept: How many are.
        costs: Of its members, where a budget of time decided.
    """

    run: Run
    order: Order
    kept: int
    costs: Costs | None = None

    def document(self) -> dict[str, Any]:
        """As JSON, for a bundle's metrics."""
        return {
            "kept": list(self.order.members[: self.kept]),
            "left_out": list(self.order.members[self.kept :]),
            "agreement": self.order.agreement[self.kept - 1],
            "agreements": list(self.order.agreement),
            "clips": self.order.clips,
        }


def prune_run(run: Run, settings: Mapping[str, Any], prune: Prune, on_status: OnStatus | None = None) -> Pruned:
    """Fit a run's machine again with some of its members; nothing is trained.

    The result is a run of its own, of the recipe with `-pruned-…` behind its name, and is found again.

    Args:
        run: The whole ensemble.
        settings: Of its recipe, from run.json.
        prune: How far.
        on_status: Receives the states of the jobs.

    Raises:
        ConfigError: Labels have chosen the members already.
        DataError: The training clips have changed, the networks are gone, or no clip shows which members agree.
        JobsFailedError: The fit failed.
    """
    recipe = Recipe.model_validate(settings).pruned(prune)
    out, _ = jobs_of(run)
    plan = make_plan([scan(run.data)], [recipe], [run.seed], out, machines=[run.machine])
    (planned,) = plan.runs
    if planned.run.data_digest != run.data_digest:
        raise DataError(
            f"{run.data}: the training clips of {run.machine} are no longer those of {run.name}", "Train it again."
        )
    names = digests(plan.jobs)
    gone = [j.name for j in plan.jobs if j.kind != BUNDLE and folder_of(out, names[j.name]).result() is None]
    if gone:
        raise DataError(f"{run.name}: networks are gone, or another version of asd has trained them", "Train it again.")
    (made,) = carry_out(plan, on_status=on_status)
    result = folder_of(out, made.job).result()
    ordered = result.value["order"] if result else {}
    order = Order(tuple(ordered["members"]), tuple(ordered["agreement"]), ordered["clips"])
    return Pruned(made, order, len(order.kept(prune)))


def member_costs(run: Run, order: Order, effort: Effort | None = None) -> Costs:
    """Measure what each member of a run's bundle costs, on its first golden window.

    Args:
        run: The whole ensemble.
        order: Of its members.
        effort: For each stage.
    """
    scorer = BundleScorer(Bundle.open(run.bundle))
    condition = scorer.bundle.manifest.conditions[0]
    window = scorer.bundle.golden()["windows"][0].astype(np.float32) / 32768.0
    costs = dict.fromkeys(order.members, 0.0)
    whole = 0.0
    for stage in window_stages(scorer, condition, window, effort):
        unit = _unit(stage.part, order.members)
        if stage.name == "whole window":
            whole = stage.times.cpu
        elif unit is not None and stage.name != "explanation":
            costs[unit] += stage.times.cpu
    return Costs(costs, max(0.0, whole - sum(costs.values())))


def within_budget(order: Order, costs: Costs, milliseconds: float) -> int:
    """Return the number of members, in the order of keeping, whose window costs no more than a budget.

    Raises:
        DataError: The first member alone costs more.
    """
    fits = sum(costs.of(order.members[:n]) <= milliseconds for n in range(1, len(order.members) + 1))
    if not fits:
        first, cheapest = order.members[0], min(costs.members, key=lambda m: costs.members[m])
        raise DataError(
            f"a window costs {costs.of([first]):.1f} ms here with member {first} alone, which is kept first, and "
            f"{costs.of([cheapest]):.1f} ms with the cheapest, {cheapest}",
            f"Give at least --budget-ms {np.ceil(costs.of([first])):.0f}, or train a recipe of smaller networks.",
        )
    return fits


def _unit(part: str, members: Sequence[str]) -> str | None:
    """Return the member that a stage belongs to: `bc-0` for `bc-0-00-source`, the network of one section."""
    return next((m for m in members if part == m or part.startswith(f"{m}-")), None)
