"""Training of the recipe `quick` against a plain loop, in one run, on clips of noise on disk.

    python benchmarks/training.py --steps 60 --rounds 3

The plain loop reads each clip and computes its log-mel with librosa whenever a batch asks for it, in a DataLoader, and
trains the same network in float32 with Adam, without checkpoints, metrics or checks of finiteness. Ours computes every
clip's log-mel once. Both take turns; ratios are plain over ours, round by round, in wall time.

    python benchmarks/training.py --recipe paper-mix --device cuda --peak-tflops 989 --profile

With a recipe named, every different autoencoder and classifier of it is compared in the same way, in steps a second
after the first five; with the share of the device's peak that products and convolutions used, and the hours that all
networks of so many machines and sections would take.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import librosa
import librosa.feature  # loaded when first used; here, so that no process pays for it while it is timed
import numpy as np
import soundfile
import torch
from torch.utils.data import DataLoader, Dataset

from asd_agent.features.log_mel import log_mel
from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.training import train_autoencoder
from asd_trainer.features.spec_augment import keep_mask
from asd_trainer.recipes.load import load_recipe

RECIPE = load_recipe("quick")
SPEC = RECIPE.features
FRAMES = SPEC.frames(WINDOW_SAMPLES)


class Clips(Dataset):
    """Clips on disk, each as the log-mel that the plain loop computes."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        x, rate = soundfile.read(self.paths[index], dtype="float32")
        mel = librosa.feature.melspectrogram(
            y=x, sr=rate, n_fft=SPEC.n_fft, hop_length=SPEC.hop_length, n_mels=SPEC.n_mels
        )
        return torch.from_numpy(np.log(mel.T[:FRAMES] + 1e-10).astype(np.float32))


def plain(paths: list[Path], steps: int, workers: int) -> float:
    expert = RECIPE.experts[0]
    began = time.perf_counter()
    torch.manual_seed(0)
    loader = DataLoader(
        Clips(paths),
        expert.training.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    model = Autoencoder(AutoencoderShape(n_mels=SPEC.n_mels, frames=FRAMES, network=expert.network)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=expert.training.learning_rate)
    masks = torch.Generator().manual_seed(0)
    done = 0
    while done < steps:
        for x in loader:
            keep = keep_mask(len(x), x.shape[1], x.shape[2], expert.masks, masks).float()
            loss = model(x, keep, torch.zeros(len(x))).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done == steps:
                break
    return time.perf_counter() - began


def ours(paths: list[Path], steps: int) -> tuple[float, float]:
    expert = RECIPE.experts[0]
    expert = expert.model_copy(update={"training": expert.training.model_copy(update={"steps": steps})})
    execution = RECIPE.execution.model_copy(update={"device": "cpu"})
    began = time.perf_counter()
    features = np.stack([log_mel(soundfile.read(p, dtype="float32")[0], SPEC) for p in paths])
    ready = time.perf_counter()
    names = tuple(p.name for p in paths)
    learnt = ClipSet(names, features=features, sections=np.zeros(len(paths), np.float32))
    with tempfile.TemporaryDirectory() as folder:
        train_autoencoder(learnt, expert, execution, Path(folder), seed=0)
    return ready - began, time.perf_counter() - ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="processes of the plain loop's DataLoader")
    parser.add_argument("--recipe", help="compare the networks of this recipe instead of `quick` from clips to weights")
    parser.add_argument("--network", default="", help="only networks with this in their names, such as resnet34 or ae")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="with --recipe")
    parser.add_argument("--peak-tflops", type=float, help="of the device in the recipe's precision")
    parser.add_argument("--profile", action="store_true", help="also show where our loop's time goes")
    parser.add_argument("--machines", type=int, default=7, help="of the data set that hours are shown for")
    parser.add_argument("--sections", type=int, default=6, help="of each of them")
    given = parser.parse_args()
    if given.recipe:
        from training_networks import compare

        compare(given)
        return
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{n}.wav") for n in range(given.clips)]
        for path in paths:
            soundfile.write(path, rng.normal(0, 0.05, WINDOW_SAMPLES).astype(np.float32), 16_000)
        ours(paths, 1), plain(paths, 1, 0)  # imports and first calls
        ratios = []
        for number in range(given.rounds):
            features, training = ours(paths, given.steps)
            other = plain(paths, given.steps, given.workers)
            ratios.append(other / (features + training))
            print(
                f"round {number + 1}: ours {features + training:.2f} s (log-mels {features:.2f}, training "
                f"{training:.2f}), plain {other:.2f} s, ratio {ratios[-1]:.2f}",
                flush=True,
            )
    print(f"ratio: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
