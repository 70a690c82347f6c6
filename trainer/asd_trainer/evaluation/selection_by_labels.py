"""Selection of members and experts by labelled anomalies, as in the paper; only where a recipe asks for it.

The paper takes, for each machine and domain, the N best models on the labelled development sections 00 to 02 for all
sections. Measured on the same sections, such a choice looks better than it is. Bundles and tables that hold such a
choice name the sections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from asd_trainer.evaluation.metrics.roc import harmonic_mean
from asd_trainer.evaluation.score import evaluate_bundle
from asd_trainer.families.base import NamedExpert
from asd_trainer.families.registry import family_of
from asd_trainer.jobs import Task
from asd_trainer.jobs.bodies import Choice
from asd_trainer.jobs.checks import DEVELOPMENT, DOMAINS
from asd_trainer.recipes.recipe import Recipe

Measures = Mapping[str, Mapping[str, Sequence[float]]]
"""By cell, `<section>/<domain>`, and member: AUC and pAUC."""


def choose_members(task: Task, machine: str, recipe: dict[str, Any], data: str, split: str) -> dict[str, Any]:
    """Score a bundle of all members as a job, and choose among them by what was measured.

    Returns:
        What `evaluate_bundle` returns, and the `choice`.
    """
    evaluated = evaluate_bundle(task, machine, data, split)
    chosen = choice_of(evaluated["members"], evaluated["experts"], Recipe.model_validate(recipe))
    return {**evaluated, "choice": asdict(chosen)}


def choice_of(members: Measures, experts: Measures, recipe: Recipe) -> Choice:
    """Return what labels choose for a recipe.

    Args:
        members: Measures of each member.
        experts: Measures of each expert.
        recipe: Recipe with the wanted numbers.
    """
    if not recipe.by_labels:
        return Choice()
    named_experts = recipe.named_experts()
    chosen: dict[str, dict[str, list[int]]] = {}
    for named in named_experts:
        best = named.expert.best_by_labels
        if best is not None:
            found = {domain: _best_numbers(members, named, domain, best) for domain in DOMAINS}
            chosen[named.name] = {domain: numbers for domain, numbers in found.items() if numbers}
    only: dict[str, str] = {}
    if recipe.experts_by_labels:
        names = [named.name for named in named_experts]
        ranked = {domain: best_members(experts, names, domain, 1) for domain in DOMAINS}
        only = {domain: first[0] for domain, first in ranked.items() if first}
    sections = sorted({cell.split("/")[0] for cell in members} & set(DEVELOPMENT))
    return Choice(chosen, only, sections)


def best_members(measures: Measures, members: Sequence[str], domain: str, best: int) -> list[str]:
    """Return the members with the largest harmonic mean of AUC and pAUC over the development sections of a domain.

    Args:
        measures: By cell and member.
        members: Members to choose from; the first of equal ones is taken.
        domain: Domain whose cells count.
        best: Number of members to choose; none are chosen where no cell counts.
    """
    cells = [m for cell, m in measures.items() if cell.split("/") in [[s, domain] for s in DEVELOPMENT]]
    if not cells:
        return []
    means = {m: harmonic_mean([value for cell in cells for value in cell[m]]) for m in members}
    return sorted(members, key=lambda m: -means[m])[:best]


def best_by_section(measures: Measures, named: NamedExpert[Any], domain: str, best: int) -> list[int]:
    """Return the numbers of the members that are among the best in any development section of a domain.

    For families with networks of each section's own.

    Args:
        measures: By cell and member.
        named: The expert.
        domain: Domain whose cells count.
        best: Number of members to choose in each section.
    """
    family = family_of(named.expert.kind)
    chosen: list[int] = []
    for section in DEVELOPMENT:
        cell = measures.get(f"{section}/{domain}", {})
        means: dict[int, float] = {}
        for number in range(named.expert.member_count):
            ids = family.candidates(named, number, section, domain)
            member = next((name for name in ids if name in cell), None)
            if member is not None:
                means[number] = harmonic_mean(cell[member])
        ranked = sorted(means, key=lambda number: -means[number])
        chosen += [number for number in ranked[:best] if number not in chosen]
    return chosen


def _best_numbers(measures: Measures, named: NamedExpert[Any], domain: str, best: int) -> list[int]:
    if family_of(named.expert.kind).chosen_by == "section":
        return best_by_section(measures, named, domain, best)
    ids = [named.member_id(number) for number in range(named.expert.member_count)]
    return [ids.index(name) for name in best_members(measures, ids, domain, best)]
