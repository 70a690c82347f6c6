"""Every different autoencoder and classifier of a recipe, trained by our loop and by a plain one: see training.py."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import librosa.feature
import numpy as np
import soundfile
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from asd_agent.features.log_mel import FeatureSpec, log_mel
from asd_trainer.data.clips import WINDOW_SAMPLES, ClipSet
from asd_trainer.engine.precision import choose_device
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.families.autoencoder.settings import AutoencoderExpert
from asd_trainer.families.autoencoder.training import train_autoencoder
from asd_trainer.families.classifier.losses import arcface, binary_cross_entropy, ddcsad
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.classifier.settings import ClassifierExpert
from asd_trainer.families.classifier.training import train_classifier
from asd_trainer.families.settings import Execution
from asd_trainer.features.spec_augment import keep_mask
from asd_trainer.recipes.load import load_recipe
from asd_trainer.recipes.recipe import Recipe

WARM = 5
"""Steps that are not timed; ours are read one by one so far."""
Network = AutoencoderExpert | ClassifierExpert
Loss = Callable[[list[torch.Tensor]], torch.Tensor]


@dataclass
class Measured:
    """One network: steps of it in the whole recipe, FLOPs of a step, steps a second of either loop, round by round."""

    name: str
    expert: Network
    spec: FeatureSpec
    steps: int
    flops: float = 0.0
    ours: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)


class Sounds(Dataset):
    """Clips on disk as the log-mels that a plain loop computes when asked, some with noise and at another level."""

    def __init__(self, paths: list[Path], one: Measured) -> None:
        self.paths, self.spec = paths, one.spec
        self.augments = isinstance(one.expert, ClassifierExpert)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        x, rate = soundfile.read(self.paths[index], dtype="float32")
        if self.augments:
            rng = np.random.default_rng()
            noise = rng.normal(0, 0.1 * x.std(), x.size) * (rng.random() < 0.5)
            x = ((x + noise) * rng.uniform(0.5, 2)).astype(np.float32)
        s = self.spec
        mel = librosa.feature.melspectrogram(
            y=x, sr=rate, n_fft=s.n_fft, hop_length=s.hop_length, n_mels=s.n_mels, fmin=s.f_min, fmax=s.f_max
        )
        rows = 10 * np.log10(mel.T[: s.frames(WINDOW_SAMPLES)] + 1e-10)
        return torch.from_numpy(rows.astype(np.float32)), float(index % 2)


def networks(recipe: Recipe, machines: int, sections: int) -> list[Measured]:
    """The different networks, each with its steps over all machines, sections, members and tunings."""
    found: dict[str, Measured] = {}
    for expert in recipe.experts:
        if not isinstance(expert, Network):
            continue
        for number in range(expert.members):
            member = expert.member(number, recipe.features)
            key = json.dumps(member.for_training().model_dump(mode="json"), sort_keys=True)
            if isinstance(member, ClassifierExpert):
                name, count, steps = member.network.backbone, machines * sections, member.training.steps
                if member.tuning is not None:  # to three target clips, and again without each of them
                    steps += (1 + min(member.tuning.folds, 3)) * member.tuning.steps
            else:
                shape, front_end = member.network, member.features
                name = f"ae {shape.blocks}x{shape.units} k{shape.kernel}, {front_end.n_mels} mels of {front_end.n_fft}"
                count, steps = machines, member.training.steps
            found.setdefault(key, Measured(name, member, member.features, 0)).steps += count * steps
    return list(found.values())


def build(one: Measured) -> tuple[nn.Module, Loss]:
    """A fresh network and the loss of a batch from a plain loader."""
    spec, expert = one.spec, one.expert
    frames = spec.frames(WINDOW_SAMPLES)
    if isinstance(expert, AutoencoderExpert):
        ae = Autoencoder(
            AutoencoderShape(
                n_mels=spec.n_mels, frames=frames, id_regression=expert.id_regression, network=expert.network
            )
        )
        masks = torch.Generator().manual_seed(0)

        def reconstruction(batch: list[torch.Tensor]) -> torch.Tensor:
            x = batch[0]
            keep = keep_mask(len(x), x.shape[1], x.shape[2], expert.masks, masks).to(x.device).float()
            return ae(x, keep, torch.zeros(len(x), device=x.device)).square().mean()

        return ae, reconstruction
    net = expert.network
    shape = ClassifierShape(
        n_mels=spec.n_mels,
        total_frames=frames,
        frames=net.frames,
        backbone=net.backbone,
        embedding=net.embedding,
        dropout=net.dropout,
    )
    classifier, losses = Classifier(shape), expert.losses

    def timed_(batch: list[torch.Tensor]) -> torch.Tensor:
        x, normal = batch[0], batch[1].to(batch[0])
        logits, z = classifier.embed(x[:, : net.frames])
        loss = binary_cross_entropy(logits, normal)
        if losses.ddcsad:
            centres = classifier.normal_centroid, classifier.anomaly_centroid
            loss = loss + losses.ddcsad * ddcsad(z, *centres, normal)
        if losses.arcface:
            loss = loss + losses.arcface * arcface(z, classifier.directions, normal, losses.margin, losses.scale)
        return loss.mean()

    return classifier, timed_


def flops(one: Measured) -> float:
    """Operations of a step, of products and convolutions alone, counted without computing anything.

    The backward pass is taken as twice the forward one: torch counts that of grouped convolutions without their groups.
    """
    with torch.device("meta"), torch.no_grad():
        network, loss = build(one)
        x = torch.zeros(2, one.spec.frames(WINDOW_SAMPLES), one.spec.n_mels)
        with FlopCounterMode(display=False) as counter:
            if isinstance(network, Autoencoder):
                network(x, torch.ones_like(x), torch.zeros(2))
            else:
                loss([x, torch.zeros(2)])
    return 3 * counter.get_total_flops() / 2 * one.expert.training.batch


def plain(one: Measured, paths: list[Path], steps: int, workers: int, device: torch.device) -> float:
    """Steps a second of the plain loop: float32, eager, each log-mel computed on the CPU when a batch asks for it.

    Without metrics, checkpoints, mixed sounds and new centroids, which ours has.
    """
    torch.manual_seed(0)
    training = one.expert.training
    loader = DataLoader(
        Sounds(paths, one),
        min(training.batch, len(paths)),
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    network, loss_of = build(one)
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate)

    def batches() -> Iterator[list[torch.Tensor]]:
        while True:
            yield from loader

    began = time.perf_counter()
    for number, batch in enumerate(batches()):
        if number == WARM:
            _wait(device)
            began = time.perf_counter()
        if number == WARM + steps:
            break
        loss = loss_of([part.to(device) for part in batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    _wait(device)
    return steps / (time.perf_counter() - began)


def ours(one: Measured, samples: np.ndarray, steps: int, device: str, *, shown: bool = False) -> float:
    """Steps a second of `asd-trainer train`, with metrics, centroids and everything but checkpoints."""
    expert = one.expert
    changed = {"training": expert.training.model_copy(update={"steps": WARM + steps}), "tuning": None}
    if isinstance(expert, AutoencoderExpert):
        del changed["tuning"]
    expert = expert.model_copy(update=changed)
    execution = Execution(device=device, deterministic=False, checkpoint_every=WARM + steps)
    names = tuple(str(i) for i in range(len(samples)))
    times: dict[int, float] = {}

    def at_step(step: int, *_: float) -> None:  # called when the device has done all steps so far
        times[step] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder, _profiled(shown, device):
        if isinstance(expert, AutoencoderExpert):
            features = np.stack([log_mel(x.astype(np.float32) / 32768.0, one.spec) for x in samples])
            values = np.zeros(len(samples), np.float32)
            clips = ClipSet(names, features=features, sections=values)
            train_autoencoder(clips, expert, execution, Path(folder), seed=0, progress=at_step)
        else:
            normal, other = (ClipSet(names[i::2], samples=samples[i::2]).with_log_mels(one.spec) for i in range(2))
            train_classifier(normal, other, expert, execution, Path(folder), seed=0, progress=at_step)
    return steps / (times[WARM + steps] - times[WARM])


class _profiled:  # noqa: N801 - used as a function
    """Prints where the time goes, where it is wanted."""

    def __init__(self, shown: bool, device: str) -> None:
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
        self.profiler = profile(activities=kinds) if shown else None
        self.key = f"self_{device}_time_total"

    def __enter__(self) -> None:
        if self.profiler:
            self.profiler.__enter__()

    def __exit__(self, *raised: object) -> None:
        if self.profiler:
            self.profiler.__exit__(*raised)
            print(self.profiler.key_averages().table(sort_by=self.key, row_limit=12, max_name_column_width=60))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(given: argparse.Namespace) -> None:
    """Measure, and print a line for each network, the ratio of the whole mix and its hours."""
    device = choose_device(given.device)
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    every = [n for n in networks(load_recipe(given.recipe), given.machines, given.sections) if given.network in n.name]
    if not every:
        raise SystemExit(f"{given.recipe} has no autoencoder or classifier called {given.network!r}")
    clips = max(given.clips, *(one.expert.training.batch for one in every))  # a plain loader repeats none in a batch
    print(
        f"{given.recipe}: {len(every)} different networks on {kind}, {given.steps} steps of {clips} clips, "
        f"{given.rounds} rounds, {given.workers} processes of the plain loader"
    )
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 1600, (clips, WINDOW_SAMPLES)).astype(np.int16)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{n}.wav") for n in range(clips)]
        for path, x in zip(paths, samples, strict=True):
            soundfile.write(path, x, 16_000)
        for one in every:
            one.flops = flops(one)
            for _ in range(given.rounds):
                one.ours.append(ours(one, samples, given.steps, device.type))
                one.plain.append(plain(one, paths, given.steps, given.workers, device))
            _print(one, given.peak_tflops)
            if given.profile:
                ours(one, samples, given.steps, device.type, shown=True)
    hours = {way: sum(one.steps / np.median(getattr(one, way)) for one in every) / 3600 for way in ("ours", "plain")}
    for one in every:
        rate = np.median(one.ours)
        print(f"{one.name}: {one.steps} steps / {rate:.3g} a second = {one.steps / rate / 3600:.3g} h")
    print(
        f"{given.machines} machines of {given.sections} sections: {hours['ours']:.3g} h, plain {hours['plain']:.3g} h, "
        f"ratio over the mix {hours['plain'] / hours['ours']:.2f}; one job at a time, without log-mels, bundles, scores"
    )


def _print(one: Measured, peak: float | None) -> None:
    ratios = [a / b for a, b in zip(one.ours, one.plain, strict=True)]
    rate = float(np.median(one.ours))
    used = f", {one.flops * rate / peak / 1e12:.1%} of the peak" if peak else ""
    print(
        f"{one.name}: ours {rate:.3g} steps a second, plain {np.median(one.plain):.3g}, ratio {np.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); {one.flops / 1e9:.4g} GFLOP a step{used}",
        flush=True,
    )
