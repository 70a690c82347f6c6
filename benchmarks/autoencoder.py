"""Cost of the paper's full-size autoencoder: training steps, and members as one graph or as several.

    python benchmarks/autoencoder.py train              # CUDA: float32 and bfloat16; else the CPU, extrapolated
    python benchmarks/autoencoder.py graphs --members 4 # sessions in turn against one merged graph, in turn

Steps are those of the recipe `paper`, batch 64, on random log-mels; the first step is not counted. Graphs are timed
alternately, so that what else the machine does falls on both; the medians and their quartiles are printed, and the
processor time beside them, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.compose
import onnxruntime
import torch

from asd_trainer.data.clips import WINDOW_SAMPLES
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.families.autoencoder.network import Autoencoder, AutoencoderShape
from asd_trainer.features.spec_augment import keep_mask
from asd_trainer.recipes.load import load_recipe

PAPER = load_recipe("paper")
EXPERT = PAPER.experts[0]
FRAMES, MELS = PAPER.features.frames(WINDOW_SAMPLES), PAPER.features.n_mels


def network(seed: int = 0) -> Autoencoder:
    torch.manual_seed(seed)
    return Autoencoder(AutoencoderShape(n_mels=MELS, frames=FRAMES, network=EXPERT.network))


def train(steps: int, threads: int) -> None:
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    torch.set_num_threads(threads)
    batch, wanted = EXPERT.training.batch, EXPERT.training.steps
    for precision in ("float32", "bfloat16") if cuda else ("float32",):
        model = network().to(device).train()
        optimizer = torch.optim.Adam(model.parameters())
        masks = torch.Generator(device).manual_seed(0)
        x, section = torch.randn(batch, FRAMES, MELS, device=device), torch.zeros(batch, device=device)

        def step() -> None:
            keep = keep_mask(batch, FRAMES, MELS, EXPERT.masks, masks).float()  # noqa: B023 - called at once
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):  # noqa: B023
                loss = model(x, keep, section).float().square().mean()  # noqa: B023
            optimizer.zero_grad(set_to_none=True)  # noqa: B023
            loss.backward()
            optimizer.step()  # noqa: B023
            if cuda:
                torch.cuda.synchronize()

        step()
        wall, used = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        seconds, processor = (time.perf_counter() - wall) / steps, (time.process_time() - used) / steps
        print(
            f"{precision}, batch {batch}, {device.type}, {threads} threads: {1 / seconds:.3f} steps/s "
            f"({seconds:.2f} s a step, {processor:.2f} s of processor time); "
            f"{wanted} steps: {wanted * seconds / 3600:.1f} h"
            + ("" if cuda else f" ({wanted * processor / 3600:.0f} h of processor time), extrapolated from a CPU")
        )
    if not cuda:
        print("not run: no CUDA GPU could be used")


def graphs(members: int, replicas: int, runs: int, threads: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number in range(members):
            paths.append(Path(folder) / f"{number}.onnx")
            export_network(network(number).eval(), paths[-1])
        merged = onnx.compose.add_prefix(onnx.load(paths[0]), "m0/")
        for number, path in enumerate(paths[1:], 1):
            other = onnx.compose.add_prefix(onnx.load(path), f"m{number}/")
            merged = onnx.compose.merge_models(merged, other, io_map=[])
        example = [v.numpy() for v in network().example(replicas)]
        names = ("features", "keep", "section")
        sessions = [session(p.read_bytes(), threads) for p in paths]
        whole = session(merged.SerializeToString(), threads)
        feed = dict(zip(names, example, strict=True))
        feeds = {f"m{number}/{name}": value for number in range(members) for name, value in feed.items()}

        def in_turn() -> list[np.ndarray]:
            return [s.run(["error"], feed)[0] for s in sessions]

        def as_one() -> list[np.ndarray]:
            return list(whole.run([f"m{number}/error" for number in range(members)], feeds))

        for a, b in zip(in_turn(), as_one(), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        times: dict[str, list[tuple[float, float]]] = {"in turn": [], "as one": []}
        for _ in range(runs):
            for name, run in (("in turn", in_turn), ("as one", as_one)):
                times[name].append(timed(run))
        for name, found in times.items():
            wall, used = (np.array(column) * 1000 for column in zip(*found, strict=True))
            quartiles = np.percentile(wall, [25, 75])
            print(
                f"{members} members {name}, {replicas} replicas, {threads} threads: {statistics.median(wall):.0f} ms "
                f"({quartiles[0]:.0f} to {quartiles[1]:.0f}), processor {statistics.median(used):.0f} ms"
            )


def session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    """As the agent creates them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, used = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - used


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "graphs"))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__}"
    )
    if asked.what == "train":
        train(asked.steps, asked.threads)
    else:
        graphs(asked.members, asked.replicas, asked.runs, asked.threads)
