"""Build what the demo plays and listens with: a bundle trained on simulated fans, and a recording it never saw.

    .venv/bin/python scripts/build_demo.py WORK

WORK keeps the data set and the training, so that an interrupted call goes on. Seeds of training and recording differ.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.audio.files import SAMPLE_RATE
from asd_agent.demo.verdict import Fault, Truth
from asd_agent.whole_files import whole_file
from asd_trainer.data.dataset import scan
from asd_trainer.engine.progress import progress_bars
from asd_trainer.evaluation.score import evaluate_run, summary
from asd_trainer.jobs.train import export_run, train_machine
from asd_trainer.recipes.load import load_recipe
from asd_trainer.simulator import SIMULATOR_VERSION, simulate, stream

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "agent" / "asd_agent" / "demo" / "samples"
BUNDLE = ROOT / "exported_models" / "demo-fan"
MACHINE, SECTION = "fan", "00"
TRAINING_SEED, RECORDING_SEED = 11, 2025
SECONDS = 330.0
FAULTS = (
    Fault(start=125, end=170, fault="bearing", severity=1.0),
    Fault(start=240, end=285, fault="rub", severity=1.0),
)
BITS = 12
"""The recording is rounded to so many bits, which halves its FLAC and is far below its noise."""


def main(work: Path) -> None:
    with progress_bars("demo") as progress:
        simulate(
            work / "data",
            machines=(MACHINE,),
            train_source=300,
            test_normal=20,
            test_anomaly=20,
            seed=TRAINING_SEED,
            progress=lambda done, total: progress("clips", done, total),
        )
        run = train_machine(scan(work / "data"), MACHINE, load_recipe("quick"), 0, work / "runs", progress)
        measured = summary(evaluate_run(run, progress))
        measured.pop("data")
        if BUNDLE.exists():
            shutil.rmtree(BUNDLE)
        export_run(run, BUNDLE, measured)
    schedule = [(f.start, f.end, f.fault, f.severity) for f in FAULTS]
    sound = np.concatenate(
        list(stream(MACHINE, int(SECTION), "source", seed=RECORDING_SEED, seconds=SECONDS, schedule=schedule))
    )
    step = 2 ** (16 - BITS)
    pcm = np.clip(np.round(sound * 32768 / step) * step, -32768, 32767 - step).astype(np.int16)
    with whole_file(SAMPLES / "fan.flac") as partial:
        soundfile.write(partial, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    truth = Truth(
        machine=MACHINE,
        section=SECTION,
        seconds=SECONDS,
        made_by=f"asd-trainer simulator {SIMULATOR_VERSION}, seed {RECORDING_SEED}",
        faults=FAULTS,
    )
    with whole_file(SAMPLES / "fan.json") as partial:
        partial.write_text(truth.model_dump_json(indent=1) + "\n", encoding="utf-8")
    size = sum(p.stat().st_size for folder in (SAMPLES, BUNDLE) for p in folder.rglob("*") if p.is_file())
    sys.stdout.write(f"{BUNDLE} and {SAMPLES}: {size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
