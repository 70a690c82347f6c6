"""Table 1 of the paper: harmonic means of AUC and pAUC in per cent on the DCASE 2021 Task 2 data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asd_trainer.evaluation.metrics.roc import harmonic_mean

MACHINES = ("ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve")
DOMAINS = ("source", "target")
PARTS: Mapping[str, tuple[str, ...]] = {"dev": ("00", "01", "02"), "eval": ("03", "04", "05")}
"""Sections of the development and of the evaluation data."""
SOURCE_CLIPS = (950, 1050)
"""Normal source clips of a section for training: 1,000 in the paper; a few may be damaged or lacking."""
TARGET_CLIPS = (1, 3)
"""Normal target clips of a section for training: 3 in the paper; some may be lacking."""


@dataclass(frozen=True)
class PaperRow:
    """Values of one method in the paper.

    Attributes:
        part: `dev` or `eval`.
        values: Values in per cent by machine and domain.
        printed: Last column. Where it differs from the harmonic mean of the others, compare with the others.
    """

    part: str
    method: str
    values: Mapping[tuple[str, str], float]
    printed: float

    def overall(self, columns: Sequence[tuple[str, str]]) -> float:
        """Return the harmonic mean over some machines and domains, which all have equally many sections."""
        return harmonic_mean([self.values[c] for c in columns])


_TABLE = """
dev  | Baseline (AE)     | 59.44 54.74 64.31 51.99 59.14 56.72 56.42 61.04 63.85 53.01 67.09 55.71 52.43 51.45 | 57.28
dev  | Baseline (MNV2)   | 57.19 55.89 58.81 50.77 63.31 61.58 65.54 60.72 62.20 57.36 65.43 52.17 53.99 55.17 | 58.22
dev  | Our baseline (AE) | 80.41 63.05 80.50 61.46 71.82 66.35 62.69 70.01 72.61 62.41 86.04 62.01 80.60 64.30 | 69.05
dev  | Our baseline (BC) | 57.91 58.68 76.23 49.04 67.36 59.36 74.85 74.59 72.12 59.86 80.64 57.24 86.18 70.10 | 69.08
dev  | AE ens            | 83.29 68.70 81.06 62.83 74.37 69.75 64.14 72.32 74.60 65.68 86.12 65.41 82.94 67.81 | 71.67
dev  | BC ens            | 60.93 64.55 76.16 55.40 82.29 66.62 74.49 70.58 75.20 60.70 89.28 57.69 92.70 79.35 | 73.29
dev  | AE+BC ens (mix)   | 79.90 70.08 80.23 59.85 82.25 71.58 72.95 76.25 77.29 64.03 89.06 68.49 93.03 80.15 | 76.59
dev  | AE+BC ens (max)   | 83.29 68.70 81.16 62.83 82.29 69.75 74.49 72.32 75.20 65.68 89.28 65.41 92.70 79.35 | 75.68
eval | Baseline (AE)     | 61.33 55.63 61.86 63.26 57.99 52.54 61.17 60.58 56.38 52.55 56.76 51.78 51.22 50.69 | 56.38
eval | Baseline (MNV2)   | 41.81 57.59 49.76 43.50 63.65 59.24 53.31 49.55 63.79 64.00 66.17 66.34 53.86 50.86 | 54.77
eval | AE ens            | 54.94 54.95 65.84 54.82 62.84 59.00 66.18 60.31 58.13 62.14 71.45 62.49 63.30 49.52 | 59.92
eval | BC ens            | 64.39 55.07 54.86 52.90 65.97 63.70 55.91 50.44 81.40 79.86 84.22 75.69 66.23 58.49 | 63.21
eval | AE+BC ens (mix)   | 60.83 56.30 64.64 54.84 70.01 63.12 60.93 56.21 70.46 64.84 82.26 77.36 68.78 55.10 | 63.75
eval | AE+BC ens (max)   | 54.94 54.95 65.84 54.82 65.97 59.00 55.91 60.31 81.40 62.14 84.22 62.49 66.23 58.49 | 62.26
"""


def _row(line: str) -> PaperRow:
    part, method, values, printed = (text.strip() for text in line.split("|"))
    columns = [(m, d) for m in MACHINES for d in DOMAINS]
    return PaperRow(part, method, dict(zip(columns, map(float, values.split()), strict=True)), float(printed))


TABLE_1 = tuple(_row(line) for line in _TABLE.strip().splitlines())


def part_of(columns: Mapping[tuple[str, str], Mapping[str, int]]) -> str | None:
    """Return the part of the paper's data that a data set is, judged by its scored sections.

    Args:
        columns: Number of normal training clips of each scored section, by machine and domain.

    Returns:
        `dev` or `eval`; None where machines, sections or numbers of clips differ from the paper.
    """
    for part, sections in PARTS.items():
        if columns and all(
            machine in MACHINES and tuple(sorted(clips)) == sections and _as_many(domain, clips)
            for (machine, domain), clips in columns.items()
        ):
            return part
    return None


def _as_many(domain: str, clips: Mapping[str, int]) -> bool:
    least, most = SOURCE_CLIPS if domain == "source" else TARGET_CLIPS
    return all(least <= n <= most for n in clips.values())
