"""Cost of a window beside other libraries and beside the processor's own peak, in one run.

    python benchmarks/full_size_bundle.py FULL; python benchmarks/full_size_bundle.py BEST --recipe best
    python benchmarks/speed.py --bundles FULL --whole BEST

Processor times of one thread, measured in alternation with what they are compared to: median ratio, with the 5th and
95th percentile. Peaks are of the same run: numpy's product of two float32 matrices of 1024 by 1024, and its transform
of a block of float64 frames that fits the second cache. A real transform of n samples counts as 2.5 n log2 n
operations, a product of matrices as two for each of its multiplications.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from threadpoolctl import threadpool_limits

from asd_agent.audio.quality import QualityLimits
from asd_agent.audio.ring import Ring
from asd_agent.bench import Effort, Times, measure, measure_pairs
from asd_agent.bench.stages import whole_window
from asd_agent.bundle import Bundle
from asd_agent.bundle.files import file_digest
from asd_agent.demo.assets import demo_bundle
from asd_agent.features.indicators import indicators
from asd_agent.features.log_mel import FeatureSpec, log_mel, mel_filterbank
from asd_agent.inference.providers import Sessions
from asd_agent.inference.scorer import BundleScorer
from asd_trainer.data.clips import WINDOW_SAMPLES
from asd_trainer.engine.onnx_export import export_network
from asd_trainer.evaluation.speed_comparison import comparisons
from asd_trainer.families.classifier.network import Classifier, ClassifierShape
from asd_trainer.families.embedding.network import EmbeddingNetwork, EmbeddingShape
from asd_trainer.recipes.load import load_recipe

SIZE = 1024
FRAMES = 64
SPECS = (FeatureSpec(n_mels=64, n_fft=2048, hop_length=1024), FeatureSpec(n_mels=128, n_fft=1024, hop_length=512))


def main() -> None:
    """Print ratios, times and the roofline in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, nargs="*", default=[], help="bundles besides the demo's")
    parser.add_argument("--whole", type=Path, nargs="*", default=[], help="bundles whose whole window is timed")
    parser.add_argument("--networks", action="store_true", help="also classifiers and embeddings with random weights")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each comparison")
    asked = parser.parse_args()
    with threadpool_limits(1):
        report(asked.bundles, asked.whole, Effort(seconds=asked.seconds))
        if asked.networks:
            report_networks(Effort(seconds=asked.seconds))


def report(bundles: list[Path], whole: list[Path], effort: Effort) -> None:
    """Print the tables."""
    window = golden_window(Bundle.open(demo_bundle()))
    print("| | agent | other | ratio |\n|---|---:|---:|---|")
    for path in (demo_bundle(), *bundles):
        bundle = Bundle.open(path)
        for c in comparisons(bundle, 1, effort):
            low, middle, high = c.agent_times.ratio(c.other_times)
            print(
                f"| {bundle.manifest.name}: {c.stage}, {c.part}, beside {c.other} | {c.agent_times.cpu:.2f} ms "
                f"| {c.other_times.cpu:.2f} ms | {middle:.2f} ({low:.2f}–{high:.2f}) |",
                flush=True,
            )
    print("\n| | processor time, median (5th to 95th percentile) |\n|---|---|")
    print(f"| indicators of a window | {spread(measure(lambda: indicators(window[None]), effort))} |")
    for path in (demo_bundle(), *whole):
        print(f"| whole window of {path.name} | {spread(measure(window_work(path), effort))} |", flush=True)
    print("\n| | GFLOP/s | peak of the run | share |\n|---|---:|---:|---|")
    for name, work, operations, peak, peak_operations in rooflines([demo_bundle(), *bundles], window):
        own, best = measure_pairs(work, peak, effort)
        reached, most = operations / own.cpu / 1e6, peak_operations / best.cpu / 1e6
        print(f"| {name} | {reached:.1f} | {most:.1f} | {reached / most:.2f} |", flush=True)


def report_networks(effort: Effort) -> None:
    """Print the times of networks of `paper-bc-ens` and `best`, exported with random weights, beside eager torch."""
    classifier, best = load_recipe("paper-bc-ens"), load_recipe("best")
    spec = classifier.features
    networks: dict[str, Any] = {}
    for number in range(3):
        expert = classifier.experts[0].member(number, spec)
        shape = ClassifierShape(
            n_mels=spec.n_mels, total_frames=spec.frames(WINDOW_SAMPLES), backbone=expert.network.backbone
        )
        networks[shape.backbone] = Classifier(shape)
    (embedding,) = (e for e in best.experts if e.kind == "embedding")
    shape = EmbeddingShape(network=embedding.network, samples=WINDOW_SAMPLES)
    networks["embedding of best"] = EmbeddingNetwork(shape)
    torch.set_num_threads(1)
    print("\n| network, random weights | agent | eager torch | ratio |\n|---|---:|---:|---|")
    with TemporaryDirectory() as folder:
        for name, model in networks.items():
            model.eval()
            graph = Path(folder) / "network.onnx"
            export_network(model, graph, tolerance=float("inf"))
            session = Sessions(threads=1).get(graph, file_digest(graph))
            given = model.example(1)
            feed = {k: v.numpy() for k, v in zip(model.inputs, given, strict=True)}
            own, other = measure_pairs(partial(session.run, None, feed), partial(eagerly, model, given), effort)
            low, middle, high = own.ratio(other)
            print(
                f"| {name} | {own.cpu:.2f} ms | {other.cpu:.2f} ms | {middle:.2f} ({low:.2f}–{high:.2f}) |", flush=True
            )


def eagerly(model: Any, given: tuple[torch.Tensor, ...]) -> object:
    """Run a network in torch."""
    with torch.inference_mode():
        return model(*given)


def golden_window(bundle: Bundle) -> np.ndarray:
    """Return the first golden window as the agent receives it."""
    window: np.ndarray = bundle.golden()["windows"][0].astype(np.float32) / 32768.0
    return window


def window_work(path: Path) -> Callable[[], object]:
    """Return everything that the service does to one window of a bundle."""
    bundle = Bundle.open(path)
    condition, window = bundle.manifest.conditions[0], golden_window(bundle)
    ring = Ring(len(window) / bundle.manifest.sample_rate)
    ring.write(window[:, None])
    return whole_window(BundleScorer(bundle), condition, window, ring, QualityLimits(*condition.level_dbfs))


def spread(times: Times) -> str:
    """Return median and percentiles in ms."""
    low, high = np.quantile(times.cpu_milliseconds, [0.05, 0.95])
    return f"{times.cpu:.2f} ms ({low:.2f}–{high:.2f})"


Roofline = tuple[str, Callable[[], object], float, Callable[[], object], float]


def rooflines(bundles: list[Path], window: np.ndarray) -> Iterator[Roofline]:
    """Yield name, work and operations of each computation, and work and operations of its peak."""
    rng = np.random.default_rng(0)
    for spec in SPECS:
        block = rng.standard_normal((FRAMES * 1024 // spec.n_fft, spec.n_fft))
        out = np.empty((len(block), spec.n_fft // 2 + 1), complex)
        name = f"log-mel, {spec.n_mels} bands, n_fft {spec.n_fft}, beside transforms alone"
        frames = spec.frames(len(window))
        bands = 2 * np.count_nonzero(mel_filterbank(spec))
        operations = frames * (transform(spec.n_fft) + 4 * spec.n_fft + bands)
        peak = partial(np.fft.rfft, block, axis=1, out=out)
        yield name, partial(log_mel, window, spec), operations, peak, len(block) * transform(spec.n_fft)
    a, b = rng.standard_normal((2, SIZE, SIZE)).astype(np.float32)
    product = np.empty_like(a)
    for path in bundles:
        bundle = Bundle.open(path)
        sessions = Sessions(threads=1)
        member = next((m for m in bundle.manifest.members if m.graph), None)
        if member is None or member.graph is None:
            continue
        replicas = member.masks.count if member.masks else 1
        session = sessions.get(path / member.graph, bundle.manifest.files[member.graph])
        feed = {i.name: rng.standard_normal([replicas, *i.shape[1:]]).astype(np.float32) for i in session.get_inputs()}
        name = f"{bundle.manifest.name}: network, {replicas} replicas, beside a product of matrices"
        work = partial(session.run, None, feed)
        yield name, work, products(path / member.graph, feed), partial(np.matmul, a, b, out=product), 2.0 * SIZE**3


def transform(n_fft: int) -> float:
    """Operations of a real transform."""
    return 2.5 * n_fft * math.log2(n_fft)


def products(graph: Path, feed: dict[str, np.ndarray]) -> float:
    """Operations of the products of matrices and convolutions in a graph, from the shapes that a run has."""
    model = onnx.load(graph)
    outputs = {o.name for o in model.graph.output}
    wanted = [n for n in model.graph.node if n.op_type in ("MatMul", "Gemm", "Conv")]
    names = dict.fromkeys(x for n in wanted for x in (n.input[0], n.output[0]) if x not in outputs | feed.keys())
    constant = {i.name: i.dims for i in model.graph.initializer}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in constant)
    options = onnxruntime.SessionOptions()
    # Names of results must survive.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True)
    shapes = {name: value.shape for name, value in found} | {k: tuple(v) for k, v in constant.items()}
    shapes |= {name: value.shape for name, value in feed.items()}
    total = 0.0
    for node in wanted:
        each = shapes[node.input[0]][-1]
        if node.op_type == "Conv":
            each = math.prod(constant[node.input[1]][1:])
        total += 2.0 * math.prod(shapes[node.output[0]]) * each
    return total


if __name__ == "__main__":
    main()
