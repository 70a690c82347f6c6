"""Finished runs on disk, RUNS/<recipe>/seed-<n>/<machine>/: a bundle, how it scored, and where it came from.

Jobs leave their files under RUNS/jobs; what people and the next command look for is set out here, without copying.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.errors import DataError
from asd_agent.whole_files import write_json
from asd_trainer.jobs import Job
from asd_trainer.jobs.store import JobFolder, folder_of

RUN = "run.json"
EVALUATION = "evaluation.json"
SCORES = "scores"
BUNDLE = "bundle"
JOBS = "jobs"
_TRAIN = "Train first: asd-trainer train DATA --recipe quick --out RUNS."


@dataclass(frozen=True)
class Run:
    """One machine trained by one recipe from one seed.

    Attributes:
        folder: Its folder, RUNS/<recipe>/seed-<n>/<machine>.
        data: Root of the data set.
        data_digest: Of the training clips' names and contents.
        job: Digest of the job that made its bundle.
    """

    folder: Path
    recipe: str
    seed: int
    machine: str
    data: Path
    data_digest: str
    job: str

    @property
    def bundle(self) -> Path:
        """Folder of its bundle."""
        return self.folder / BUNDLE

    @property
    def name(self) -> str:
        """Name shown to people: recipe, seed and machine."""
        return f"{self.recipe}/seed-{self.seed}/{self.machine}"

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Return the run in a folder.

        Raises:
            DataError: There is none.
        """
        try:
            stored = json.loads((folder / RUN).read_text(encoding="utf-8"))
            return cls(
                folder,
                stored["recipe"],
                stored["seed"],
                stored["machine"],
                Path(stored["data"]),
                stored["data_digest"],
                stored["job"],
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: holds no finished run", _TRAIN) from error

    def content(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Content of run.json."""
        return {
            "recipe": self.recipe,
            "seed": self.seed,
            "machine": self.machine,
            "data": str(self.data),
            "data_digest": self.data_digest,
            "job": self.job,
            "recipe_settings": settings,
        }


def find_runs(root: Path) -> list[Run]:
    """Every finished run below a folder, by recipe, machine and seed.

    Raises:
        DataError: There is none.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder", _TRAIN)
    found = [Run.read(p.parent) for p in root.rglob(RUN) if JOBS not in p.relative_to(root).parts[:1]]
    if not found:
        raise DataError(f"{root}: holds no finished run", _TRAIN)
    return sorted(found, key=lambda r: (r.recipe, r.machine, r.seed, str(r.data)))


def publish_bundle(run: Run, settings: dict[str, Any], out: Path) -> None:
    """Set out the bundle of a run whose job is done, unless it is there; an evaluation of another bundle goes.

    Args:
        run: The run to write.
        settings: Of its recipe.
        out: RUNS, where the jobs are.
    """
    content = run.content(settings)
    if run.bundle.is_dir() and _read(run.folder / RUN) == content:
        return
    if not run.bundle.is_dir() or (_read(run.folder / RUN) or {}).get("job") != run.job:
        for name in (RUN, EVALUATION):
            (run.folder / name).unlink(missing_ok=True)
        _set_out(folder_of(out, run.job).files / BUNDLE, run.bundle)
        shutil.rmtree(run.folder / SCORES, ignore_errors=True)
    write_json(run.folder / RUN, content)


def publish_evaluation(run: Run, done: JobFolder) -> None:
    """Set out scores and measures of a run from the job that scored it, unless they are there."""
    result = done.result()
    if result is None:
        return
    content = {
        "schema": 1,
        "recipe": run.recipe,
        "seed": run.seed,
        "machine": run.machine,
        "data": str(run.data),
        "job": done.digest,
        **result.value,
    }
    if (run.folder / SCORES).is_dir() and _read(run.folder / EVALUATION) == content:
        return
    (run.folder / EVALUATION).unlink(missing_ok=True)
    _set_out(done.files / SCORES, run.folder / SCORES)
    write_json(run.folder / EVALUATION, content)


def jobs_of(run: Run) -> tuple[Path, list[Job]]:
    """The jobs that made a run's bundle, as they were.

    Returns:
        RUNS, and the jobs; the bundle's is the last.

    Raises:
        DataError: They are gone.
    """
    gone = DataError(f"{run.folder}: the jobs that made it are gone", "Train it again.")
    out = next((p for p in run.folder.resolve().parents if (p / JOBS / run.job).is_dir()), None)
    if out is None:
        raise gone
    jobs: dict[str, Job] = {}

    def add(digest: str) -> None:
        stored = folder_of(out, digest).read("job")
        if stored is None:
            raise gone
        for other in stored["depends_on"].values():
            add(other)
        jobs[digest] = Job(
            name=digest,
            kind=stored["kind"],
            run=stored["run"],
            arguments=stored["arguments"],
            inputs=stored["inputs"],
            paths=stored["paths"],
            depends_on=tuple(stored["depends_on"].values()),
        )

    add(run.job)
    return out, list(jobs.values())


def read_summary(run: Run) -> dict[str, Any] | None:
    """Return the measures of a run; None before its evaluation."""
    return _read(run.folder / EVALUATION)


def read_settings(run: Run) -> dict[str, Any]:
    """The settings of a run's recipe, as it was trained."""
    stored = _read(run.folder / RUN) or {}
    return dict(stored["recipe_settings"])


def data_names(roots: Sequence[Path]) -> dict[Path, str]:
    """A short name for each data set: its folder's, with the one above it where two are called the same."""
    unique = list(dict.fromkeys(r.resolve() for r in roots))
    names = [r.name for r in unique]
    return {r: r.name if names.count(r.name) == 1 else f"{r.parent.name}-{r.name}" for r in unique}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _set_out(source: Path, place: Path) -> None:
    """The same files at another place, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, copy_function=_link)
    if place.is_dir():
        shutil.rmtree(place)
    partial.rename(place)


def _link(source: str, place: str) -> None:
    try:
        os.link(source, place)
    except OSError:  # file systems without hard links
        shutil.copy2(source, place)
