"""Search for settings of a recipe for one machine, by Optuna: resumable, pruned, and by default on normal sound only.

The default objective measures how well the scores of a bundle separate normal clips from slightly altered copies of
them. The clips are a quarter of those of each section and were not used in training or fitting; no anomaly is used. It
is a substitute: settings that separate altered sound best need not separate faults best, and published comparisons
found such substitutes weak. By labels, the test clips of the development sections decide, as in the paper, and the
result states it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import DomainName
from asd_agent.errors import DataError
from asd_agent.inference.scorer import BundleScorer
from asd_agent.whole_files import whole_file
from asd_trainer.data.clips import load_clips
from asd_trainer.data.dataset import DataSet, scan
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section
from asd_trainer.evaluation.metrics.roc import auc, harmonic_mean
from asd_trainer.evaluation.score import evaluate_run
from asd_trainer.families.classifier.pseudo_anomalies import transformed
from asd_trainer.fit.scorers import domain_name
from asd_trainer.jobs.checks import DEVELOPMENT
from asd_trainer.jobs.runs import Run
from asd_trainer.jobs.train import train_machine
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.search.space import check_space, suggest, with_values

Objective = Literal["altered", "labels"]
Sampler = Literal["tpe", "random"]
JOURNAL = "journal.log"
PERTURBED_SHARE = 0.35
"""Share of the altered sound in an altered clip: a fault is audible beside the machine, not instead of it. A choice."""
COPIES = 3
"""Altered copies of each clip; a choice between variance and time."""
LEAST_RECORDINGS = 10
"""Least recordings of a section and domain from which a quarter is held out: with fewer, its scorer lacks clips."""
STARTUP = 5
"""Random trials before the sampler uses a model and before any trial is pruned: default of the pruner, half of the
sampler's, since searches here are short."""


@dataclass(frozen=True)
class TrialResult:
    """Result of one trial.

    Attributes:
        number: Number of the trial.
        values: Values by key of the recipe.
        objective: Mean over seeds; None where the trial was pruned or failed.
        state: `complete`, `pruned` or `failed`.
    """

    number: int
    values: dict[str, Any]
    objective: float | None
    state: str


@dataclass(frozen=True)
class SearchResult:
    """Result of a search.

    Attributes:
        recipe: Best recipe.
        path: File of the best recipe.
        hand_set: Objective of the original recipe; None where it could not be trained.
        best: Objective of the best recipe.
        tried: Results of all trials.
    """

    recipe: Recipe
    path: Path
    hand_set: float | None
    best: float
    tried: tuple[TrialResult, ...]


def search_machine(
    data: DataSet,
    machine: str,
    recipe: Recipe,
    out: Path,
    *,
    domain: DomainName | None = None,
    trials: int = 20,
    seed: int = 0,
    seeds: int = 1,
    objective: Objective = "altered",
    sampler: Sampler = "tpe",
    on_trial: Callable[[TrialResult], None] = lambda _: None,
) -> SearchResult:
    """Search the space of a recipe for one machine; an interrupted search is resumed.

    Trials are runs under `out`, whose jobs are shared and resumed. The first trial is the original recipe. With several
    seeds, a trial that is below the median of the others after one seed is pruned.

    Args:
        data: Data set.
        machine: Machine type.
        recipe: Recipe with `search:`.
        out: Folder of the runs of the trials, the journal and the best recipe.
        domain: Domain whose scores count; both where it is not given.
        trials: Number of trials, including those of an interrupted search.
        seed: Seed of the sampler and of the altered sound, and first seed of the runs.
        seeds: Runs of each trial.
        objective: Objective that decides.
        sampler: Tree-structured Parzen estimator, or random sampling.
        on_trial: Called with each trial that ends.

    Raises:
        ConfigError: The recipe has no search space, or an invalid one.
        DataError: The data do not suffice, or no trial succeeded.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    check_space(recipe)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    out.mkdir(parents=True, exist_ok=True)
    name = "-".join(p for p in (recipe.name, machine, domain, objective, sampler, f"seed-{seed}x{seeds}") if p)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / JOURNAL))),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    _resume(study)
    measure = _Objective(data, machine, domain, objective, seed, out / "data" / name)
    while len(_ended(study)) < trials:
        number, as_it_is = len(study.get_trials(deepcopy=False)), not any(_values(t) == {} for t in _ended(study))
        # Each trial has its own sampler, so that its values do not depend on where the search was interrupted.
        study.sampler = _sampler(sampler, seed * 10_000 + number)
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        trial = study.ask()
        values = {} if as_it_is else suggest(trial, recipe)
        on_trial(_try(study, trial, recipe, values, measure, out, range(seed, seed + seeds)))
    tried = tuple(_result(t) for t in _ended(study))
    best = max((t for t in tried if t.objective is not None), key=lambda t: t.objective or 0.0, default=None)
    if best is None or best.objective is None:
        raise DataError(f"none of {len(tried)} trials succeeded", "See `asd-trainer jobs` for the errors.")
    found = with_values(recipe, best.values, name)
    path = out / f"{name}.yaml"
    _write(path, found, recipe, best, len(tried), objective)
    hand_set = next((t.objective for t in tried if not t.values), None)
    return SearchResult(found, path, hand_set, best.objective, tried)


def _try(
    study: Any, trial: Any, recipe: Recipe, values: dict[str, Any], measure: _Objective, out: Path, seeds: range
) -> TrialResult:
    from optuna.trial import TrialState

    trial.set_user_attr("values", values)
    found: list[float] = []
    try:
        candidate = with_values(recipe, values, f"{recipe.name}-trial-{trial.number:04d}")
        for step, seed in enumerate(seeds):
            run = train_machine(measure.data, measure.machine, candidate, seed, out / "runs")
            found.append(measure(run))
            trial.report(float(np.mean(found)), step)
            if step + 1 < len(seeds) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return TrialResult(trial.number, values, None, "pruned")
    except DataError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return TrialResult(trial.number, values, None, "failed")
    study.tell(trial, float(np.mean(found)))
    return TrialResult(trial.number, values, float(np.mean(found)), "complete")


class _Objective:
    """Objective of a trial: how well the scores of its run separate."""

    def __init__(
        self, data: DataSet, machine: str, domain: DomainName | None, objective: Objective, seed: int, out: Path
    ) -> None:
        self.data, self.machine = data, machine
        self._domains = (domain,) if domain else ("source", "target")
        self._objective, self._seed = objective, seed
        self._held_out = held_out_recordings(data, machine, self._domains, seed) if objective == "altered" else {}
        if self._held_out:
            self.data = without(data, [c for own in self._held_out.values() for c in own], out)

    def __call__(self, run: Run) -> float:
        values = self._by_labels(run) if self._objective == "labels" else self._by_perturbed(run)
        if not values:
            raise DataError(
                f"{self.machine} has no clips in {' or '.join(self._domains)} that a trial can be measured by",
                "Choose another domain or objective.",
            )
        return harmonic_mean(values)

    def _by_labels(self, run: Run) -> list[float]:
        cells = evaluate_run(run).document["cells"]
        return [
            value
            for cell in cells
            if cell["section"] in DEVELOPMENT and cell["domain"] in self._domains
            for value in (cell["auc"][0], cell["pauc"][0])
        ]

    def _by_perturbed(self, run: Run) -> list[float]:
        scorer = BundleScorer(Bundle.open(run.bundle))
        found = []
        for (section, domain), clips in self._held_out.items():
            if scorer.bundle.manifest.condition(section, domain) is None:
                continue
            x = load_clips(clips).samples
            rng = np.random.default_rng([self._seed, 7])
            mixed = [
                (1 - PERTURBED_SHARE) * one + PERTURBED_SHARE * transformed(one, rng)
                for one in x
                for _ in range(COPIES)
            ]
            normal, other = (
                np.array([s.score for s in scorer.score(np.asarray(w, np.float32) / 32768.0, section, domain)])
                for w in (x, np.stack(mixed))
            )
            found.append(auc(normal, other))
        return found


def held_out_recordings(
    data: DataSet, machine: str, domains: Sequence[str], seed: int
) -> dict[tuple[str, DomainName], list[Clip]]:
    """Draw a quarter of the normal recordings of a machine, by section and domain, where there are enough."""
    clips = data.select(machine=machine, split="train", label="normal")
    found: dict[tuple[str, DomainName], list[Clip]] = {}
    for domain in domains:
        for section, own in by_section(clips, domain).items():
            recordings = sorted({c.recording for c in own})
            if len(recordings) >= LEAST_RECORDINGS:
                order = np.random.default_rng([seed, len(recordings)]).permutation(len(recordings))
                kept = {recordings[i] for i in order[: len(recordings) // 4]}
                found[section, domain_name(domain)] = [c for c in own if c.recording in kept]
    return found


def without(data: DataSet, clips: Sequence[Clip], out: Path) -> DataSet:
    """Return the data set without some clips, as links in a folder; a folder with another set is replaced."""
    root = data.root.resolve()
    left_out = {c.path.resolve() for c in clips}
    wanted = {p.relative_to(root): p for p in root.rglob("*") if p.is_file() and p.resolve() not in left_out}
    if {p.relative_to(out) for p in out.rglob("*") if p.is_symlink()} != set(wanted):
        shutil.rmtree(out, ignore_errors=True)
        for name, path in wanted.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).symlink_to(path)
    return scan(out)


def _resume(study: Any) -> None:
    """Queue the trials that ran when an earlier search was killed; their jobs resume from their checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with suppress(Exception):  # another search may have ended it
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _ended(study: Any) -> list[Any]:
    """Return the trials that count: complete, pruned, or failed because of the data; not interrupted ones."""
    from optuna.trial import TrialState

    return [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (t.state == TrialState.FAIL and "error" in t.user_attrs)
    ]


def _values(trial: Any) -> dict[str, Any] | None:
    """Return the values of a trial by key; None where it was interrupted before they were set."""
    found: dict[str, Any] | None = trial.user_attrs.get("values")
    return found


def _result(trial: Any) -> TrialResult:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    value = float(trial.value) if state == "complete" else None
    return TrialResult(trial.number, _values(trial) or {}, value, state)


def _sampler(kind: Sampler, seed: int) -> Any:
    import optuna

    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)


def _write(path: Path, found: Recipe, recipe: Recipe, best: TrialResult, trials: int, objective: Objective) -> None:
    by = "labelled anomalies of the development sections" if objective == "labels" else "altered normal sound alone"
    head = f"# {recipe.name} after a search: the best of {trials} trials by {by}, objective {best.objective:.4f}.\n"
    content = found.model_dump(mode="json", exclude_defaults=True)
    for expert, whole in zip(content["experts"], found.experts, strict=True):
        expert["kind"] = whole.kind
    with whole_file(path) as partial:
        partial.write_text(head + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
