"""Simulated data sets on disk, in the layout and with the names of DCASE 2021 Task 2."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.errors import DataError, UsageError
from asd_agent.whole_files import STAGE, whole_file, write_json
from asd_trainer.engine.progress import StageProgress
from asd_trainer.simulator.machine import Domain
from asd_trainer.simulator.render import MACHINES, faults, render

SIMULATOR_VERSION = 1
"""Raised whenever the same plan would give other samples."""
PLAN = "simulation.json"
_KEPT = "clips that were written are kept."


@dataclass(frozen=True)
class SimulationPlan:
    """Everything that decides the samples of a data set.

    Attributes:
        machines: Machine types.
        sections: Units, 0 to 99.
        train_source: Normal training clips of the source domain, per section.
        train_target: Normal training clips of the target domain, per section.
        test_normal: Normal test clips per section and domain.
        test_anomaly: Anomalous test clips per section and domain; faults and severities rotate.
        severities: Severities of the anomalous clips, 0 to 1.
        seconds: Length of a clip.
        seed: Seed of the data set.
        version: SIMULATOR_VERSION of the plan.
    """

    machines: tuple[str, ...]
    sections: tuple[int, ...]
    train_source: int
    train_target: int
    test_normal: int
    test_anomaly: int
    severities: tuple[float, ...]
    seconds: float
    seed: int
    version: int = SIMULATOR_VERSION


@dataclass(frozen=True)
class SimulatedClip:
    """One clip of a plan.

    Attributes:
        machine: Machine type.
        folder: `train`, `source_test` or `target_test`.
        section: Unit.
        domain: Domain.
        stem: Name up to its number: `section_00_source_test_anomaly_0003`.
        seed: Seed of its run.
        fault: Name of the fault, None for a normal clip.
        severity: 0 to 1.
    """

    machine: str
    folder: str
    section: int
    domain: Domain
    stem: str
    seed: int
    fault: str | None = None
    severity: float = 0.0


@dataclass(frozen=True)
class Summary:
    """Result of writing a data set.

    Attributes:
        out: Folder of the data set.
        written: Clips written by this call.
        kept: Clips that existed before.
        seconds: Length of all clips of the data set.
    """

    out: Path
    written: int
    kept: int
    seconds: float


def simulate(
    out: Path,
    *,
    machines: Sequence[str] = tuple(MACHINES),
    sections: Sequence[int] = (0, 1),
    train_source: int = 100,
    train_target: int = 3,
    test_normal: int = 50,
    test_anomaly: int = 50,
    severities: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    seconds: float = 10.0,
    seed: int = 0,
    workers: int = 1,
    progress: StageProgress | None = None,
) -> Summary:
    """Write a data set, or finish one that was started with the same plan.

    Args:
        out: Folder; new, empty, or with a part of this data set.
        machines: Machine types.
        sections: Units, 0 to 99.
        train_source: Normal training clips of the source domain, per section.
        train_target: Normal training clips of the target domain, per section.
        test_normal: Normal test clips per section and domain.
        test_anomaly: Anomalous test clips per section and domain.
        severities: Severities of the anomalous clips, 0 to 1, in rotation.
        seconds: Length of a clip.
        seed: Seed of the data set.
        workers: Processes.
        progress: Called with the number of clips that exist and of all clips.

    Raises:
        UsageError: The plan is not possible.
        DataError: The folder holds something else.
    """
    plan = SimulationPlan(
        tuple(machines), tuple(sections), train_source, train_target, test_normal, test_anomaly,
        tuple(float(s) for s in severities), float(seconds), seed,
    )  # fmt: skip
    clips = list(planned(plan))
    _check(plan, clips, workers)
    _claim(out, plan)
    present = _present(out)
    missing = [c for c in clips if (c.machine, c.folder, c.stem) not in present]
    kept = done = len(clips) - len(missing)
    if progress:
        progress("clips written", done, len(clips))
    for _ in _written(out, missing, plan.seconds, workers):
        done += 1
        if progress:
            progress("clips written", done, len(clips))
    return Summary(out, len(missing), kept, len(clips) * plan.seconds)


def planned(plan: SimulationPlan) -> Iterator[SimulatedClip]:
    """Yield every clip of a plan, in the order of writing."""
    domains: tuple[Domain, ...] = ("source", "target")
    for machine, section in product(plan.machines, plan.sections):
        for domain, count in zip(domains, (plan.train_source, plan.train_target), strict=True):
            for index in range(count):
                yield _clip(plan, machine, "train", section, domain, "train_normal", index)
        for domain in domains:
            folder = f"{domain}_test"
            for index in range(plan.test_normal):
                yield _clip(plan, machine, folder, section, domain, "test_normal", index)
            pairs = list(product(plan.severities, faults(machine)))
            for index in range(plan.test_anomaly):
                severity, fault = pairs[index % len(pairs)]
                yield _clip(plan, machine, folder, section, domain, "test_anomaly", index, fault, severity)


def file_name(clip: SimulatedClip, attributes: dict[str, str]) -> str:
    """Return the name of a clip: `section_00_source_test_anomaly_0003_speed_1480_mic_a_fault_bearing_sev_050.wav`."""
    named = dict(attributes)
    if clip.fault is not None:
        named |= {"fault": clip.fault, "sev": f"{round(clip.severity * 100):03d}"}
    return "_".join((clip.stem, *(word for pair in named.items() for word in pair))) + ".wav"


def _clip(
    plan: SimulationPlan,
    machine: str,
    folder: str,
    section: int,
    domain: Domain,
    kind: str,
    index: int,
    fault: str | None = None,
    severity: float = 0.0,
) -> SimulatedClip:
    stem = f"section_{section:02d}_{domain}_{kind}_{index:04d}"
    digest = hashlib.sha256(f"{plan.seed}/{machine}/{stem}".encode()).digest()
    return SimulatedClip(machine, folder, section, domain, stem, int.from_bytes(digest[:8], "big"), fault, severity)


def _check(plan: SimulationPlan, clips: Sequence[SimulatedClip], workers: int) -> None:
    counts = (plan.train_source, plan.train_target, plan.test_normal, plan.test_anomaly)
    if min(counts) < 0 or max(counts) > 9999:
        raise UsageError("numbers of clips must be between 0 and 9999", "The names have four digits.")
    if not clips or not all(0 <= s <= 99 for s in plan.sections) or plan.seconds <= 0:
        raise UsageError("the plan has no clips", "Give machines, sections 0 to 99, numbers and a length above 0.")
    if len(set(plan.machines)) < len(plan.machines) or len(set(plan.sections)) < len(plan.sections):
        raise UsageError("a machine or section is named twice", "Name each once.")
    if plan.test_anomaly and (not plan.severities or not all(0.0 <= s <= 1.0 for s in plan.severities)):
        raise UsageError("severities must be between 0 and 1", "Give 0.25 0.5 0.75 1, for instance.")
    if workers < 1:
        raise UsageError(f"{workers} workers are too few", "Give 1 or more.")


def _claim(out: Path, plan: SimulationPlan) -> None:
    """Write the plan into a new folder, or check that the folder holds the same plan.

    Raises:
        DataError: The folder holds another plan or other files.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file", "Give a folder.")
    wanted = {"what": "simulated machine sounds; no evidence about a real machine", **_plain(plan)}
    path = out / PLAN
    if not path.is_file():
        if out.is_dir() and any(p.name != STAGE + PLAN for p in out.iterdir()):
            raise DataError(f"{out}: holds files, but no {PLAN}", "Give a new or empty folder.")
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, wanted)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is not JSON ({error})", "Give a new folder.") from error
    if not isinstance(found, dict) or found != wanted:
        stored = found if isinstance(found, dict) else {}
        other = [f"{k} is {stored.get(k)!r}, not {wanted[k]!r}" for k in wanted if stored.get(k) != wanted[k]]
        raise DataError(
            f"{out}: holds a data set of another plan ({'; '.join(other) or 'it has more fields'})",
            "Give a new folder, or the settings of the first call.",
        )


def _plain(plan: SimulationPlan) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return plain


def _present(out: Path) -> set[tuple[str, str, str]]:
    """Return machine, folder and stem of the clips that exist; a file has its name only when it is whole."""
    found = set()
    for machine in MACHINES:
        for path in (out / machine).glob("*/section_*.wav"):
            found.add((machine, path.parent.name, "_".join(path.stem.split("_")[:6])))
    return found


def _written(out: Path, clips: Sequence[SimulatedClip], seconds: float, workers: int) -> Iterator[Path]:
    if workers == 1:
        for clip in clips:
            yield write_clip(out, clip, seconds)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: list[Future[Path]] = [pool.submit(write_clip, out, clip, seconds) for clip in clips]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError("a worker process was killed", f"Repeat with fewer workers; {_KEPT}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def write_clip(out: Path, clip: SimulatedClip, seconds: float) -> Path:
    """Render one clip and write it whole or not at all, in 16 bit at 16 kHz.

    Raises:
        DataError: The file cannot be written.
    """
    import soundfile

    sound, attributes = render(
        clip.machine, clip.section, clip.domain,
        seed=clip.seed, fault=clip.fault, severity=clip.severity, seconds=seconds,
    )  # fmt: skip
    path = out / clip.machine / clip.folder / file_name(clip, attributes)
    try:
        with whole_file(path) as partial:
            soundfile.write(partial, sound, SAMPLE_RATE, subtype="PCM_16", format="WAV")
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{path}: cannot be written ({error})", f"Make room and repeat; {_KEPT}") from error
    return path
