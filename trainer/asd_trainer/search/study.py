"""Searching settings of a recipe for one machine, by Optuna: resumable, pruned, and on normal sound alone by default.

The default objective tells how well a bundle's scores set apart normal clips that nothing was trained or fitted on, a
quarter of those of each section, and the same clips altered by a little: no anomaly is looked at. It is a stand-in:
what separates altered sound best need not separate faults best, and published comparisons found such stand-ins wanting.
By labels, the development sections' test clips decide, as in the paper, and the result says so.
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
from asd_trainer.data.clip_windows import load_windows
from asd_trainer.data.dataset import DataSet, scan
from asd_trainer.data.layout import Clip
from asd_trainer.data.split import by_section
from asd_trainer.evaluation.metrics.roc import auc, harmonic_mean
from asd_trainer.evaluation.score import evaluate_run
from asd_trainer.families.classifier.pseudo_anomalies import altered
from asd_trainer.fit.scorers import domain_name
from asd_trainer.fit.selection_by_labels import DEVELOPMENT
from asd_trainer.jobs.runs import Run
from asd_trainer.jobs.train import train_machine
from asd_trainer.recipes.recipe import Recipe
from asd_trainer.search.space import changed, check_space, suggest

Objective = Literal["altered", "labels"]
Sampler = Literal["tpe", "random"]
JOURNAL = "journal.log"
SHARE_ALTERED = 0.35
"""What an altered clip has of its altered version: a fault is heard beside the machine, not instead of it."""
COPIES = 3
"""Altered versions of each clip."""
LEAST_RECORDINGS = 10
"""Of a section and domain, to keep a quarter back; three target clips are needed for its scorer."""
STARTUP = 5
"""Trials at random before the sampler models anything, and before any is pruned."""


@dataclass(frozen=True)
class Tried:
    """One set of values.

    Attributes:
        number: Of the trial.
        values: By place in the recipe.
        objective: Mean over seeds; None where the trial was pruned or failed.
        state: `complete`, `pruned` or `failed`.
    """

    number: int
    values: dict[str, Any]
    objective: float | None
    state: str


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        recipe: The best.
        path: Its file.
        hand_set: The objective of the recipe as it was; None where it could not be trained.
        best: The best's.
        tried: All trials.
    """

    recipe: Recipe
    path: Path
    hand_set: float | None
    best: float
    tried: tuple[Tried, ...]


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
    told: Callable[[Tried], None] = lambda _: None,
) -> Found:
    """Search a recipe's space for one machine; an interrupted search goes on where it was.

    Trials are runs under `out`, whose jobs are shared and resumed. The first trial is the recipe as it is. With several
    seeds, a trial that is behind the median of the others after one of them is pruned.

    Args:
        data: The data set.
        machine: Machine type.
        recipe: With its `search:`.
        out: RUNS of the trials, the journal, and the recipe that is found.
        domain: Whose scores count; both where it is not given.
        trials: In all, those of an interrupted search included.
        seed: Of the sampler and of what is altered, and the first of the runs.
        seeds: Runs of each trial.
        objective: What decides.
        sampler: Tree-structured Parzen estimator, or at random.
        told: Called with each trial that ends.

    Raises:
        ConfigError: The recipe has no space, or an impossible one.
        DataError: The data do not permit it, or no trial succeeded.
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
    _take_up(study)
    judge = _Judge(data, machine, domain, objective, seed, out / "data" / name)
    while len(_ended(study)) < trials:
        number, as_it_is = len(study.get_trials(deepcopy=False)), not any(_values(t) == {} for t in _ended(study))
        # A sampler of its own for each trial: what it draws does not hang on where the search was interrupted.
        study.sampler = _sampler(sampler, seed * 10_000 + number)
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP)
        trial = study.ask()
        values = {} if as_it_is else suggest(trial, recipe)
        told(_try(study, trial, recipe, values, judge, out, range(seed, seed + seeds)))
    tried = tuple(_tried(t) for t in _ended(study))
    best = max((t for t in tried if t.objective is not None), key=lambda t: t.objective or 0.0, default=None)
    if best is None or best.objective is None:
        raise DataError(f"none of {len(tried)} trials succeeded", "See `asd-trainer jobs` for what went wrong.")
    found = changed(recipe, best.values, name)
    path = out / f"{name}.yaml"
    _write(path, found, recipe, best, len(tried), objective)
    hand_set = next((t.objective for t in tried if not t.values), None)
    return Found(found, path, hand_set, best.objective, tried)


def _try(
    study: Any, trial: Any, recipe: Recipe, values: dict[str, Any], judge: _Judge, out: Path, seeds: range
) -> Tried:
    from optuna.trial import TrialState

    trial.set_user_attr("values", values)
    found: list[float] = []
    try:
        candidate = changed(recipe, values, f"{recipe.name}-trial-{trial.number:04d}")
        for step, seed in enumerate(seeds):
            run = train_machine(judge.data, judge.machine, candidate, seed, out / "runs")
            found.append(judge(run))
            trial.report(float(np.mean(found)), step)
            if step + 1 < len(seeds) and trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return Tried(trial.number, values, None, "pruned")
    except DataError as error:
        trial.set_user_attr("error", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return Tried(trial.number, values, None, "failed")
    study.tell(trial, float(np.mean(found)))
    return Tried(trial.number, values, float(np.mean(found)), "complete")


class _Judge:
    """The objective: how well a run's scores separate."""

    def __init__(
        self, data: DataSet, machine: str, domain: DomainName | None, objective: Objective, seed: int, out: Path
    ) -> None:
        self.data, self.machine = data, machine
        self._domains = (domain,) if domain else ("source", "target")
        self._objective, self._seed = objective, seed
        self._kept_back = keep_back(data, machine, self._domains, seed) if objective == "altered" else {}
        if self._kept_back:
            self.data = without(data, [c for own in self._kept_back.values() for c in own], out)

    def __call__(self, run: Run) -> float:
        values = self._by_labels(run) if self._objective == "labels" else self._by_altered(run)
        if not values:
            raise DataError(
                f"{self.machine} has nothing in {' or '.join(self._domains)} to judge a trial by",
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

    def _by_altered(self, run: Run) -> list[float]:
        scorer = BundleScorer(Bundle.open(run.bundle))
        found = []
        for (section, domain), clips in self._kept_back.items():
            if scorer.bundle.manifest.condition(section, domain) is None:
                continue
            x = load_windows(clips).samples
            rng = np.random.default_rng([self._seed, 7])
            mixed = [(1 - SHARE_ALTERED) * one + SHARE_ALTERED * altered(one, rng) for one in x for _ in range(COPIES)]
            normal, other = (
                np.array([s.score for s in scorer.score(np.asarray(w, np.float32) / 32768.0, section, domain)])
                for w in (x, np.stack(mixed))
            )
            found.append(auc(normal, other))
        return found


def keep_back(
    data: DataSet, machine: str, domains: Sequence[str], seed: int
) -> dict[tuple[str, DomainName], list[Clip]]:
    """A quarter of a machine's normal recordings, by section and domain, where there are enough."""
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
    """The data set as links in a folder, less some clips; the folder is made anew where it holds another set."""
    root = data.root.resolve()
    left_out = {c.path.resolve() for c in clips}
    wanted = {p.relative_to(root): p for p in root.rglob("*") if p.is_file() and p.resolve() not in left_out}
    if {p.relative_to(out) for p in out.rglob("*") if p.is_symlink()} != set(wanted):
        shutil.rmtree(out, ignore_errors=True)
        for name, path in wanted.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).symlink_to(path)
    return scan(out)


def _take_up(study: Any) -> None:
    """Try again what was being tried when an earlier search was killed; its jobs go on from their checkpoints."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        with suppress(Exception):  # another search has ended it meanwhile
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _ended(study: Any) -> list[Any]:
    """Trials that count: complete, pruned, or failed by the data; not those that were cut short."""
    from optuna.trial import TrialState

    return [
        t
        for t in study.get_trials(deepcopy=False)
        if t.state in (TrialState.COMPLETE, TrialState.PRUNED)
        or (t.state == TrialState.FAIL and "error" in t.user_attrs)
    ]


def _values(trial: Any) -> dict[str, Any] | None:
    """What a trial set, by place; None where it never came so far."""
    found: dict[str, Any] | None = trial.user_attrs.get("values")
    return found


def _tried(trial: Any) -> Tried:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    value = float(trial.value) if state == "complete" else None
    return Tried(trial.number, _values(trial) or {}, value, state)


def _sampler(kind: Sampler, seed: int) -> Any:
    import optuna

    if kind == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)


def _write(path: Path, found: Recipe, recipe: Recipe, best: Tried, trials: int, objective: Objective) -> None:
    by = "labelled anomalies of the development sections" if objective == "labels" else "altered normal sound alone"
    head = f"# {recipe.name}, searched: the best of {trials} trials by {by}, objective {best.objective:.4f}.\n"
    content = found.model_dump(mode="json", exclude_defaults=True)
    for expert, whole in zip(content["experts"], found.experts, strict=True):
        expert["kind"] = whole.kind
    with whole_file(path) as partial:
        partial.write_text(head + yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
