"""Cells of stored outputs, scored in many ways by the product's own code; `score_choices.py` compares the ways."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asd_agent.bundle.manifest import Combination, FramePooling, Standardisation
from asd_agent.calibrate import DensitySettings, DomainData, calibrate_bank, calibrate_source, calibrate_target
from asd_agent.calibrate.condition import PROVISIONAL_BELOW, Calibrated, judge_of, standardisation
from asd_agent.calibrate.density import fit_density
from asd_agent.errors import DataError
from asd_agent.inference.ensemble import ensemble_score
from asd_trainer.evaluation.metrics.bootstrap import Cell
from asd_trainer.evaluation.metrics.roc import auc, pauc

Float = npt.NDArray[np.float64]
Key = tuple[str, str, str, str]
"""Data set, machine, section, domain."""


def _density(density: Any, **more: Any) -> DensitySettings:
    return DensitySettings(density=density, **more)


@dataclass(frozen=True)
class Choice:
    """One way to score one member's output.

    Attributes:
        member: Recipe and member in the store, such as `ae` and `ae-0`.
        density: Density and what it judges.
        pooling: From rows to a score.
        own_domain: Of a bank: whether a domain is compared with its own clips alone.
        fitted_to_all: Whether a density is fitted to the clips that the member has learnt as well.
    """

    member: tuple[str, str]
    density: DensitySettings
    pooling: FramePooling = field(default_factory=FramePooling)
    own_domain: bool = False
    fitted_to_all: bool = False


TRIMMED = {"trim_low": 0.05, "trim_high": 0.05}
AE, PLAIN, DENSE = ("ae", "ae-0"), ("ae-no-masks", "ae-0"), ("baseline-ae-short", "dense-0")
EMBEDDING, BC = ("embedding", "embedding-0"), ("bc", "bc-0")
GMM = _density("gmm", components=2)
MEAN, STATISTICS = _density("mahalanobis", summary="mean"), _density("mahalanobis", summary="statistics")
CHOICES: Mapping[str, Choice] = {
    "mahalanobis": Choice(("mel", "mel"), _density("mahalanobis")),
    "spectrum": Choice(("spectrum", "spectrum"), _density("mahalanobis")),
    "indicators": Choice(("indicators", "indicators"), _density("mahalanobis")),
    "short frames": Choice(("mel-short", "mel-short"), _density("mahalanobis")),
    "ae: gmm, mean": Choice(AE, GMM, FramePooling(**TRIMMED)),
    "ae: gmm, alpha on raw scores": Choice(AE, GMM, FramePooling(**TRIMMED, alpha=0.1, unit="scores")),
    "ae: gmm, alpha 1": Choice(AE, GMM, FramePooling(**TRIMMED, alpha=1.0)),
    "ae: gmm, maximum": Choice(AE, GMM, FramePooling(**TRIMMED, alpha=None)),
    "ae: gmm diagonal, mean": Choice(AE, _density("gmm", components=2, covariance="diag"), FramePooling(**TRIMMED)),
    "ae: clip mean": Choice(AE, MEAN),
    "ae: clip mean, all clips": Choice(AE, MEAN, fitted_to_all=True),
    "ae: clip mean and spread": Choice(AE, STATISTICS),
    "ae: mean error": Choice(AE, _density("mean")),
    "ae no masks: gmm, mean": Choice(PLAIN, GMM, FramePooling(**TRIMMED)),
    "ae no masks: clip mean": Choice(PLAIN, MEAN),
    "ae no masks: clip mean, all clips": Choice(PLAIN, MEAN, fitted_to_all=True),
    "ae no masks: clip mean and spread": Choice(PLAIN, STATISTICS),
    "dense: mean error": Choice(DENSE, _density("mean")),
    "dense: clip mean": Choice(DENSE, MEAN),
    "dense: clip mean, all clips": Choice(DENSE, MEAN, fitted_to_all=True),
    "dense: clip mean and spread": Choice(DENSE, STATISTICS),
    "embedding: bank, normalised": Choice(EMBEDDING, _density("bank")),
    "embedding: bank": Choice(EMBEDDING, _density("bank", normalise=False)),
    "embedding: own bank, normalised": Choice(EMBEDDING, _density("bank"), own_domain=True),
    "embedding: own bank": Choice(EMBEDDING, _density("bank", normalise=False), own_domain=True),
    "embedding: Gaussian": Choice(EMBEDDING, _density("mahalanobis")),
    "bc: Eq. 7": Choice(BC, _density("logit_distance")),
    "bc: Eq. 7 as printed": Choice(BC, _density("posterior_distance")),
}
"""Names as the tables show them; those whose output is not in the store are left out."""


@dataclass(frozen=True)
class Clips:
    """Clips of one machine in the store, row by row."""

    folder: Path
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Clips:
        """Read what is known of the clips."""
        return cls(folder, json.loads((folder / "clips.json").read_text(encoding="utf-8")))

    def cells(self) -> list[tuple[str, str]]:
        """Return sections and domains with normal and anomalous test clips."""
        found: dict[tuple[str, str], set[str]] = {}
        for row in self.rows:
            if row["split"] == "test":
                found.setdefault((row["section"], row["domain"] or "source"), set()).add(row["label"])
        return sorted(place for place, labels in found.items() if len(labels) > 1)

    def where(self, section: str, domain: str, split: str, label: str = "normal") -> list[int]:
        """Return the rows of some clips."""
        wanted = (section, domain, split, label)
        return [
            i
            for i, r in enumerate(self.rows)
            if (r["section"], r["domain"] or "source", r["split"], r["label"]) == wanted
        ]

    def recordings(self, rows: Sequence[int]) -> list[str]:
        """Return the recordings of some clips."""
        return [self.rows[i]["recording"] for i in rows]


@dataclass(frozen=True)
class CellScores:
    """Scores of one choice in one cell, one array a seed.

    Attributes:
        by: Standardisation of each seed's scores.
        reference: Sorted scores of held-out normals.
        scores: Scores of the test clips, normal ones first.
    """

    by: list[Standardisation] = field(default_factory=list)
    reference: list[Float] = field(default_factory=list)
    scores: list[Float] = field(default_factory=list)


def fitted(
    choice: Choice, clips: Clips, output: npt.NDArray[np.float32], unseen: set[str] | None, place: tuple[str, str]
) -> Calibrated:
    """Fit a scorer to the normal clips of a section and domain.

    Args:
        choice: The way to score.
        clips: Clips of the machine.
        output: What the member infers from them.
        unseen: Names of the training clips that the member has not learnt; None where nothing is trained.
        place: Section and domain.
    """
    section, domain = place

    def data(rows: Sequence[int]) -> DomainData:
        return DomainData(output[rows], clips.recordings(rows))

    def unlearnt(rows: Sequence[int]) -> list[int]:
        return [i for i in rows if unseen is None or clips.rows[i]["name"] in unseen]

    source, target = clips.where(section, "source", "train"), clips.where(section, "target", "train")
    kept = unlearnt(source)
    learnt = [i for i in source if i not in kept]
    if choice.density.density == "bank" or (choice.member == EMBEDDING):
        own = [i for i in unlearnt(target) if len(target) >= PROVISIONAL_BELOW]
        known = [i for i in target if i not in own]
        if choice.density.density == "bank":
            of_source, of_target = calibrate_bank(
                output[learnt],
                data(kept),
                data(own) if own else None,
                choice.density,
                choice.pooling,
                learnt_target=output[known] if known else None,
                own_domain=choice.own_domain,
            )
            return of_source if domain == "source" or of_target is None else of_target
        judge, base = judge_of(choice.density, choice.pooling), output[learnt]
        if domain == "target" and len(known) >= PROVISIONAL_BELOW // 2:
            base = output[known]
        scorer = fit_density(base, choice.density)
        scores = judge(output[kept], scorer)
        if domain == "target" and known:
            return calibrate_target(
                data(known), Calibrated(scorer, scores, standardisation(scores)), choice.density, choice.pooling
            )
        return Calibrated(scorer, scores, standardisation(scores))
    more = output[learnt] if choice.fitted_to_all and learnt else None
    of_source = calibrate_source(data(kept), choice.density, choice.pooling, learnt=more)
    if domain == "source" or not target:
        return of_source
    if len(target) < PROVISIONAL_BELOW:
        return calibrate_target(data(target), of_source, choice.density, choice.pooling)
    return calibrate_source(data(target), choice.density, choice.pooling)


def scored(choices: Mapping[str, Choice], store: Path) -> tuple[dict[str, dict[Key, CellScores]], dict[Key, Cell]]:
    """Score all test clips of a store.

    Returns:
        Scores by choice and cell, and each cell with the recordings of its clips.
    """
    found: dict[str, dict[Key, CellScores]] = {name: {} for name in choices}
    cells: dict[Key, Cell] = {}
    for folder in sorted(p.parent for p in store.glob("*/*/clips.json")):
        clips = Clips.read(folder)
        for section, domain in clips.cells():
            key = (folder.parent.name, folder.name, section, domain)
            normal, anomalous = (clips.where(section, domain, "test", label) for label in ("normal", "anomaly"))
            cells[key] = Cell(
                np.zeros(len(normal)),
                np.zeros(len(anomalous)),
                _numbers(clips.recordings(normal)),
                _numbers(clips.recordings(anomalous)),
            )
            for name, choice in choices.items():
                for output, unseen in outputs(folder, choice.member):
                    own = output if output.ndim == 3 else output[:, None]
                    if not np.isfinite(own[normal]).all():
                        continue
                    try:
                        with np.errstate(all="ignore"):
                            scorer = fitted(choice, clips, own, unseen, (section, domain))
                    except DataError:
                        continue
                    scores = judge_of(choice.density, choice.pooling)(own[normal + anomalous], scorer.scorer)
                    cell = found[name].setdefault(key, CellScores())
                    cell.by.append(scorer.standardisation)
                    cell.reference.append(np.sort(scorer.reference[np.isfinite(scorer.reference)]))
                    cell.scores.append(scores)
    return {name: of for name, of in found.items() if of}, cells


def outputs(folder: Path, member: tuple[str, str]) -> Iterator[tuple[npt.NDArray[np.float32], set[str] | None]]:
    recipe, name = member
    for path in sorted(folder.glob(f"{recipe}.*.{name}.npy")):
        unseen = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["unlearnt"]
        yield np.load(path, mmap_mode="r"), None if unseen is None else set(unseen)


def _numbers(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)


def mixed(parts: Sequence[CellScores], combination: Combination) -> list[Float]:
    """Return the mixture's scores of a cell's test clips, one array a seed of the part with the most seeds."""
    seeds = max(len(p.scores) for p in parts)
    return [
        ensemble_score(
            np.stack([p.scores[s % len(p.scores)] for p in parts]),
            [p.by[s % len(p.by)] for p in parts],
            [p.reference[s % len(p.reference)] for p in parts],
            combination,
        )
        for s in range(seeds)
    ]


def value(scores: Sequence[Float], normals: int) -> tuple[float, float]:
    """Return AUC and pAUC of a cell, means over seeds."""
    pairs = [(auc(s[:normals], s[normals:]), pauc(s[:normals], s[normals:])) for s in scores]
    return float(np.mean([a for a, _ in pairs])), float(np.mean([p for _, p in pairs]))
