"""Members and experts chosen by labelled anomalies, the paper's way; never unless a recipe asks for it.

The paper takes, for each machine and domain, the N best models on the labelled development sections 00 to 02 for all
sections. What is chosen so and measured on the same sections looks better than it is; bundles and tables
that hold such a choice say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asd_agent.errors import DataError
from asd_trainer.data.layout import Clip
from asd_trainer.evaluation.metrics.roc import harmonic_mean
from asd_trainer.families.settings import ClassifierExpert, NetworkExpert
from asd_trainer.fit.expert_plans import Numbered, numbered
from asd_trainer.jobs import Task
from asd_trainer.recipes.recipe import Recipe

DEVELOPMENT = ("00", "01", "02")
"""Sections whose labels may be looked at."""
DOMAINS = ("source", "target")
Measures = Mapping[str, Mapping[str, Sequence[float]]]
"""By cell, `<section>/<domain>`, and member: AUC and pAUC."""


@dataclass(frozen=True)
class Choice:
    """What labels chose.

    Attributes:
        members: Ids by the name of their expert and by domain, the best first; a domain without labels is not in it.
        configurations: Numbers of a classifier expert's members, likewise.
        experts: Name of the only expert that is used, by domain.
        sections: Whose labels were looked at.
    """

    members: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    configurations: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    experts: Mapping[str, str] = field(default_factory=dict)
    sections: list[str] = field(default_factory=list)


def check_labels(machine: str, clips: Sequence[Clip]) -> None:
    """See that there are labels to choose by.

    Raises:
        DataError: No development section has normal and anomalous test clips in one domain.
    """
    for section in DEVELOPMENT:
        for domain in DOMAINS:
            labels = {c.label for c in clips if (c.section, c.domain or "source") == (section, domain)}
            if {"normal", "anomaly"} <= labels:
                return
    raise DataError(
        f"machine {machine} has no labelled anomalies in sections {', '.join(DEVELOPMENT)} to choose members by",
        "Train without --members-by-labels; a recipe's `members` says how many are used.",
    )


def best_members(measures: Measures, members: Sequence[str], domain: str, best: int) -> list[str]:
    """The members with the largest harmonic mean of AUC and pAUC over the development sections of a domain.

    Args:
        measures: By cell and member.
        members: To choose from; of equals, the first.
        domain: Whose cells count.
        best: How many; none are chosen where no cell counts.
    """
    cells = [m for cell, m in measures.items() if cell.split("/") in [[s, domain] for s in DEVELOPMENT]]
    if not cells:
        return []
    means = {m: harmonic_mean([value for cell in cells for value in cell[m]]) for m in members}
    return sorted(members, key=lambda m: -means[m])[:best]


def best_configurations(measures: Measures, one: Numbered, members: int, domain: str, best: int) -> list[int]:
    """The configurations of a classifier expert that are among the best in any development section of a domain.

    Args:
        measures: By cell and member.
        one: The expert.
        members: Configurations to choose from.
        domain: Whose cells count.
        best: How many of each section.
    """
    chosen: list[int] = []
    for section in DEVELOPMENT:
        cell = measures.get(f"{section}/{domain}", {})
        means = {}
        for number in range(members):
            ids = (one.place_id(number, section, d) for d in (domain, "source"))
            means[number] = next((harmonic_mean(cell[i]) for i in ids if i in cell), None)
        known = sorted((n for n, m in means.items() if m is not None), key=lambda n: -(means[n] or 0.0))
        chosen += [n for n in known[:best] if n not in chosen]
    return chosen


def choice_of(task: Task, recipe: Recipe) -> Choice:
    """What the labels choose, from the evaluation of all members, which is the last job that `task` depends on."""
    if not recipe.by_labels:
        return Choice()
    evaluated: dict[str, Any] = list(task.dependencies.values())[-1].value
    measures: Measures = evaluated["members"]
    chosen: dict[str, dict[str, Sequence[str]]] = {}
    configurations: dict[str, dict[str, Sequence[int]]] = {}
    for one in numbered(recipe):
        if not isinstance(one.expert, NetworkExpert) or one.expert.members_by_labels is None:
            continue
        best, members = one.expert.members_by_labels, one.expert.members
        if isinstance(one.expert, ClassifierExpert):
            numbers = {d: best_configurations(measures, one, members, d, best) for d in DOMAINS}
            configurations[one.name] = {domain: found for domain, found in numbers.items() if found}
            continue
        ids = [one.member_id(n) for n in range(members)]
        found = {d: best_members(measures, ids, d, best) for d in DOMAINS}
        chosen[one.name] = {domain: kept for domain, kept in found.items() if kept}
    experts = {}
    if recipe.experts_by_labels:
        names = [one.name for one in numbered(recipe)]
        ranked = {d: best_members(evaluated["experts"], names, d, 1) for d in DOMAINS}
        experts = {domain: names[0] for domain, names in ranked.items() if names}
    looked_at = sorted({cell.split("/")[0] for cell in measures} & set(DEVELOPMENT))
    return Choice(chosen, configurations, experts, looked_at)
