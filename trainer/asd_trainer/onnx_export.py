"""A trained network as one ONNX file, checked and compared with torch before anybody sees it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from asd_agent.errors import AsdError
from asd_trainer.models.autoencoder import Autoencoder
from asd_trainer.training.autoencoder import load_autoencoder
from asd_trainer.whole_files import whole_file

OPSET = 18
IR_VERSION = 9
"""What ONNX Runtime 1.17, the oldest supported, can read."""
BATCHES = (2, 1, 5)
"""The graph is traced at the first, since sizes of 1 get specialised, and compared at all."""
INPUTS = ("features", "keep", "section")


class ExportError(AsdError):
    """An exported graph does not compute what the network computes."""


def export_autoencoder(source: Path | Autoencoder, path: Path, tolerance: float = 1e-3) -> float:
    """Write an autoencoder as ONNX: inputs `features`, `keep`, `section`, output `error`, any batch, fixed frames.

    Args:
        source: A checkpoint or a network.
        path: The file to write; whole or not at all, with no data beside it.
        tolerance: Largest difference allowed, in standard deviations of a mel band.

    Returns:
        The largest difference between ONNX Runtime and torch on random input.

    Raises:
        ExportError: The difference is larger than the tolerance.
        CheckpointError: The checkpoint cannot be used.
    """
    model = load_autoencoder(source) if isinstance(source, Path) else source
    was_training = model.training
    model.eval()
    try:
        with whole_file(path) as partial, torch.no_grad():
            onnx.save_model(_graph(model), partial)
            difference = _difference(model, partial)
            if not difference <= tolerance:
                raise ExportError(
                    f"{path}: the exported graph is off by {difference:.2g}, more than {tolerance:.2g}",
                    "Nothing was written; another version of torch or onnxruntime may do better.",
                )
    finally:
        model.train(was_training)
    return difference


def _graph(model: Autoencoder) -> onnx.ModelProto:
    batch = {0: torch.export.Dim("batch", min=1)}
    with _quiet():
        program = torch.onnx.export(
            model,
            _example(model, BATCHES[0]),
            dynamo=True,
            input_names=list(INPUTS),
            output_names=["error"],
            dynamic_shapes=dict.fromkeys(INPUTS, batch),
            opset_version=OPSET,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch exported nothing")
    graph = program.model_proto
    graph.ir_version = IR_VERSION
    _strip(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about itself; its errors are raised."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _strip(graph: onnx.ModelProto) -> None:
    """Remove what only the exporter's developers read: stack traces, with the paths of this machine in them."""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]
    for part in (*graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _example(model: Autoencoder, batch: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch)
    cells = (batch, model.shape.frames, model.shape.n_mels)
    features = model.mean.cpu() + model.std.cpu() * torch.randn(cells, generator=generator)
    keep = (torch.rand(cells, generator=generator) < 0.7).float()
    return features, keep, torch.rand(batch, generator=generator)


def _difference(model: Autoencoder, path: Path) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch in BATCHES:
        example = _example(model, batch)
        feed = {name: value.numpy() for name, value in zip(INPUTS, example, strict=True)}
        (error,) = session.run(["error"], feed)
        difference = np.abs(error - model(*example).numpy())
        largest = max(largest, float(difference.max()) if np.isfinite(difference).all() else np.inf)
    return largest
