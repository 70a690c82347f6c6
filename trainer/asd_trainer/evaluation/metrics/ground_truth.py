"""Ground truth of test clips: label and domain from the official evaluators' files, from clips or from clip names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.errors import DataError
from asd_trainer.evaluation.metrics.rows import read_rows

_FILE = re.compile(
    r"ground_truth_(?P<machine>.+)_(?:section|id)_(?P<section>\d{2})(?:_(?P<domain>source|target))?(?:_test)?\.csv\Z"
)
_DOMAINS, _ATTRIBUTES = "ground_truth_domain", "ground_truth_attributes"
Key = tuple[str, str]
"""Machine and name of a clip."""


@dataclass(frozen=True)
class GroundTruth:
    """Labels and domains of clips beyond their names.

    Attributes:
        labels: True for an anomalous clip; None where the names inside the score files have the labels.
        domains: Domain of a clip whose name has none.
        cells: Machine, section and domain (None: both) of each file of the ground truth; each needs scores.
    """

    labels: Mapping[Key, bool] | None = None
    domains: Mapping[Key, str] = field(default_factory=dict)
    cells: tuple[tuple[str, str, str | None], ...] = ()

    def is_anomalous(self, path: Path, machine: str, name: str) -> bool:
        """Return the label of a clip of a score file.

        Raises:
            DataError: The label is unknown.
        """
        if self.labels is not None:
            found = self.labels.get((machine, name))
            if found is None:
                raise DataError(f"{path}: {name} is not in the ground truth", "Give the ground truth of this data set.")
            return found
        if "_anomaly_" in name or name.startswith("anomaly_"):
            return True
        if "_normal_" in name or name.startswith("normal_"):
            return False
        raise DataError(f"{path}: {name} has no label", "Give the ground truth: --truth FOLDER.")

    def domain(self, path: Path, machine: str, name: str) -> str:
        """Return the domain of a clip of a score file whose own name has none.

        Raises:
            DataError: The domain is unknown.
        """
        if found := self.domains.get((machine, name)):
            return found
        for domain in ("source", "target"):
            if f"_{domain}_" in name:
                return domain
        if re.search(r"(\A|_)id_\d{2}_", name):  # 2020 had one domain
            return "source"
        raise DataError(
            f"{path}: neither its name nor {name} contains the domain",
            "Give a ground-truth folder that has ground_truth_domain beside ground_truth_data.",
        )


def read_truth(folder: Path) -> GroundTruth:
    """Read the labels and domains of a data set.

    Args:
        folder: Folder of an official evaluator or its ground_truth_data (ground_truth_domain beside it is read as
            well), or a data set whose clips have labels in their names or folders.

    Raises:
        DataError: The folder does not exist or has no labels.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "Give the folder of the ground_truth_….csv files, or clips.")
    labels: dict[Key, bool] = {}
    domains: dict[Key, str] = {}
    cells: list[tuple[str, str, str | None]] = []
    for path, match in _files(folder):
        if path.parent.name == _DOMAINS:
            domains.update({(match["machine"], n): ("source", "target")[_bit(path, n, t)] for n, t in read_rows(path)})
        else:
            labels.update({(match["machine"], n): _bit(path, n, t) == 1 for n, t in read_rows(path)})
            cells.append((match["machine"], match["section"], match["domain"]))
    return GroundTruth(labels, domains, tuple(cells)) if labels else _of_clips(folder)


def _files(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    beside = folder.parent / _DOMAINS
    paths = set(folder.rglob("ground_truth_*.csv"))
    if folder.name == "ground_truth_data" and beside.is_dir():
        paths |= set(beside.glob("ground_truth_*.csv"))
    return [(p, m) for p in sorted(paths) if p.parent.name != _ATTRIBUTES and (m := _FILE.match(p.name))]


def _of_clips(folder: Path) -> GroundTruth:
    from asd_trainer.data.dataset import scan

    labels: dict[Key, bool] = {}
    domains: dict[Key, str] = {}
    cells: set[tuple[str, str, str | None]] = set()
    for clip in scan(folder).clips:
        if clip.split == "test" and clip.label is not None:
            labels[clip.machine, clip.path.name] = clip.label == "anomaly"
            if clip.domain:
                domains[clip.machine, clip.path.name] = clip.domain
            cells.add((clip.machine, clip.section, clip.domain))
    if not labels:
        raise DataError(f"{folder}: has no labelled test clips", "Give ground_truth_….csv files, or labelled clips.")
    return GroundTruth(labels, domains, tuple(sorted(cells, key=str)))


def _bit(path: Path, name: str, text: str) -> int:
    if text.strip() not in ("0", "1"):
        raise DataError(f"{path}: {name} has the value {text.strip()!r}", "Write 0 or 1.")
    return int(text)
