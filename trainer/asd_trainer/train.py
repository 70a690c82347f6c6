"""From a data set and a recipe to one bundle a machine, each kept where the next command finds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asd_agent.bundle import Bundle
from asd_agent.bundle.manifest import Provenance
from asd_agent.bundle.store import file_digest
from asd_agent.errors import DataError
from asd_trainer.data.dataset import DataSet
from asd_trainer.data.layout import Clip
from asd_trainer.experts import MachineData, autoencoder_plan, plain_plan
from asd_trainer.fitting import Fitter, ThresholdSettings
from asd_trainer.recipe import AutoencoderExpert, Recipe
from asd_trainer.whole_files import whole_file
from asd_trainer.windows import ClipWindows, Progress, load_windows

RUN = "run.json"
_TOLD = ("asd", "numpy", "scipy", "scikit-learn", "onnxruntime")
_TOLD_OF_NETWORKS = ("torch", "onnx", "onnxscript")


@dataclass(frozen=True)
class Run:
    """One machine trained by one recipe from one seed.

    Attributes:
        folder: Where it lies: RUNS/<recipe>/seed-<n>/<machine>.
        data: Root of the data set.
        data_digest: Of the training clips' names and contents.
    """

    folder: Path
    recipe: str
    seed: int
    machine: str
    data: Path
    data_digest: str

    @property
    def bundle(self) -> Path:
        """Folder of its bundle."""
        return self.folder / "bundle"

    @classmethod
    def read(cls, folder: Path) -> Run:
        """The run that lies in a folder.

        Raises:
            DataError: There is none.
        """
        try:
            said = json.loads((folder / RUN).read_text(encoding="utf-8"))
            return cls(folder, said["recipe"], said["seed"], said["machine"], Path(said["data"]), said["data_digest"])
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: holds no finished run", "Train first.") from error


def find_runs(root: Path) -> list[Run]:
    """Every finished run below a folder, by recipe, machine and seed.

    Raises:
        DataError: There is none.
    """
    runs = [Run.read(p.parent) for p in root.rglob(RUN)] if root.is_dir() else []
    if not runs:
        raise DataError(
            f"{root}: holds no finished run", "Train first: asd-trainer train DATA --recipe quick --out RUNS."
        )
    return sorted(runs, key=lambda r: (r.recipe, r.machine, r.seed))


def train_machine(
    data: DataSet, machine: str, recipe: Recipe, seed: int, out: Path, progress: Progress | None = None
) -> Run:
    """Train one machine: networks, scorers, thresholds, bundle. An interrupted call goes on, a finished one returns.

    Raises:
        DataError: The data set does not permit it.
    """
    folder = out / recipe.name / f"seed-{seed}" / machine
    clips = data.select(machine=machine, split="train", label="normal")
    root = data.root.resolve()
    digest = data_digest(clips, root, progress)
    settings = recipe.model_dump(mode="json")
    wanted = {
        "recipe": recipe.name,
        "seed": seed,
        "machine": machine,
        "data": str(root),
        "data_digest": digest,
        "recipe_settings": settings,
    }
    if (folder / RUN).is_file() and json.loads((folder / RUN).read_text(encoding="utf-8")) == wanted:
        return Run.read(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RUN).unlink(missing_ok=True)
    machine_data = _load(clips, machine, progress)
    plans, arrays = [], {}
    for expert in recipe.experts:
        if isinstance(expert, AutoencoderExpert):
            plan, masks = autoencoder_plan(expert, recipe, machine_data, folder, seed, progress)
            arrays.update(masks)
        else:
            plan = plain_plan(expert, recipe)
        plans.append(plan)
    asked = ThresholdSettings(recipe.thresholds.method, recipe.thresholds.false_alarms_per_day)
    fitter = Fitter(machine, plans, arrays, asked, recipe.combination, seed, progress)
    for section in machine_data.sections:
        fitter.add_section(section, machine_data.source[section], machine_data.target.get(section))
    fitter.write(folder / "bundle", machine, _provenance(recipe, settings, digest, seed))
    with whole_file(folder / RUN) as partial:
        partial.write_text(json.dumps(wanted, indent=1) + "\n", encoding="utf-8")
    return Run.read(folder)


def data_digest(clips: Sequence[Clip], root: Path, progress: Progress | None = None) -> str:
    """SHA-256 over the names and contents of clips, in the order of their names."""
    digest = hashlib.sha256()
    for index, clip in enumerate(sorted(clips, key=lambda c: c.path)):
        name = clip.path.resolve().relative_to(root).as_posix()
        digest.update(f"{name}\0{file_digest(clip.path)}\n".encode())
        if progress:
            progress("digests of clips", index + 1, len(clips))
    return digest.hexdigest()


def _load(clips: Sequence[Clip], machine: str, progress: Progress | None) -> MachineData:
    source: dict[str, ClipWindows] = {}
    target: dict[str, ClipWindows] = {}
    for section in sorted({c.section for c in clips}):
        for domain, into in (("source", source), ("target", target)):
            chosen = [c for c in clips if (c.section, c.domain) == (section, domain)]
            if chosen:
                into[section] = load_windows(chosen, progress)
    for section in sorted(set(target) - set(source)):
        raise DataError(
            f"section {section} of {machine} has target clips but no source clips for training",
            "Name the clips that there are most of 'source'.",
        )
    if not source:
        raise DataError(f"machine {machine} has no normal clips for training", "See `asd-trainer inspect`.")
    return MachineData(machine, source, target)


def _provenance(recipe: Recipe, settings: dict[str, Any], digest: str, seed: int) -> Provenance:
    networks = any(isinstance(e, AutoencoderExpert) for e in recipe.experts)
    return Provenance(
        created=datetime.now(tz=timezone.utc).replace(microsecond=0),
        recipe=recipe.name,
        recipe_settings=settings,
        data_digest=digest,
        seed=seed,
        versions={name: version(name) for name in _TOLD + (_TOLD_OF_NETWORKS if networks else ())},
    )


def export_run(run: Run, out: Path, metrics: dict[str, Any] | None = None) -> Bundle:
    """Copy a run's bundle to where the agent takes it from, with its metrics, once its golden windows pass.

    Raises:
        BundleError: The run's bundle is damaged or does not give its own golden scores.
    """
    from asd_agent.bundle.store import GOLDEN, SCORERS, load_arrays, write_bundle
    from asd_agent.scoring.scorer import BundleScorer, check_golden

    bundle = Bundle.open(run.bundle)
    check_golden(BundleScorer(bundle))
    manifest = bundle.manifest.model_copy(update={"metrics": metrics or {}, "name": out.name})
    arrays = {name: load_arrays(bundle.path / name) for name in (SCORERS, GOLDEN)}
    graphs = {name: bundle.path / name for name in bundle.manifest.files if name not in arrays}
    return write_bundle(out, manifest, arrays, graphs)
