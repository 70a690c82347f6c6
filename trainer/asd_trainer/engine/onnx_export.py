"""Export of a trained network as one ONNX file, checked and compared with torch before it appears."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from asd_agent.errors import AsdError
from asd_agent.inference.providers import load_runtime
from asd_agent.whole_files import whole_file

OPSET = 18
IR_VERSION = 9
"""Newest version that ONNX Runtime 1.17, the oldest supported, can read."""
BATCHES = (2, 1, 5)
"""Batch sizes. The graph is traced at the first, because sizes of 1 get specialised, and compared at all."""


class ExportError(AsdError):
    """An exported graph does not compute what the network computes."""


class Exportable(Protocol):
    """A network that can be exported: inputs and outputs by name, and random inputs to compare with."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def example(self, batch: int) -> tuple[Tensor, ...]:
        """Return random input: one tensor for each input name, batch first."""


def export_network(model: Exportable, path: Path, tolerance: float = 1e-3) -> float:
    """Write a network as ONNX, with named inputs and outputs, any batch size and a fixed number of frames.

    Args:
        model: The network.
        path: File to write, whole or not at all and without external data.
        tolerance: Largest difference allowed; relative for values above 1.

    Returns:
        Largest difference between ONNX Runtime and torch on random input.

    Raises:
        ExportError: The difference is larger than the tolerance.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{type(model).__name__} is no network")
    was_training = model.training
    model.eval()
    try:
        with whole_file(path) as partial, torch.no_grad():
            onnx.save_model(_graph(model, model.example(BATCHES[0]), model.inputs, model.outputs), partial)
            difference = max(_difference(model, model.example(batch), model.inputs, partial) for batch in BATCHES)
            if not difference <= tolerance:
                raise ExportError(
                    f"{path}: the exported graph is off by {difference:.2g}, more than {tolerance:.2g}",
                    "Nothing was written; another version of torch or onnxruntime may do better.",
                )
    finally:
        model.train(was_training)
    return difference


def _graph(
    model: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    with TemporaryDirectory() as folder, _quiet():
        written = Path(folder) / "network.onnx"
        torch.onnx.export(
            model,
            example,
            written,
            # The exporter by tracing takes a fraction of a second where the one by torch.export takes 4 s to 14 s, most
            # of it for symbolic shapes. ONNX Runtime runs both graphs equally fast.
            dynamo=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
        )
        graph = onnx.load(written)
    _keep_inputs(graph, example, inputs)
    graph.ir_version = IR_VERSION
    _strip(graph)
    onnx.checker.check_model(graph, full_check=True)
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the notices of the exporter; its errors are still raised."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _keep_inputs(graph: onnx.ModelProto, example: Sequence[Tensor], inputs: Sequence[str]) -> None:
    """Declare every input in order: the exporter drops those that the network does not use, and the agent feeds all."""
    known = {i.name: i for i in graph.graph.input}
    declared = [
        known.get(name)
        or onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(value.numpy().dtype), ["batch", *value.shape[1:]]
        )
        for name, value in zip(inputs, example, strict=True)
    ]
    del graph.graph.input[:]
    graph.graph.input.extend(declared)


def _strip(graph: onnx.ModelProto) -> None:
    """Remove what only developers need: the names of modules on the way, which are longer than small networks."""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    del graph.graph.value_info[:]
    kept = {value.name for value in (*graph.graph.input, *graph.graph.output, *graph.graph.initializer)}
    short: dict[str, str] = {name: name for name in ("", *kept)}
    for node in graph.graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [short.setdefault(name, f"v{len(short)}") for name in names]
    for part in (*graph.graph.node, *graph.graph.input, *graph.graph.output, *graph.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _difference(model: nn.Module, example: Sequence[Tensor], inputs: Sequence[str], path: Path) -> float:
    onnxruntime = load_runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    feed = {name: value.numpy() for name, value in zip(inputs, example, strict=True)}
    found = session.run(None, feed)
    wanted = model(*example)
    pairs = zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True)
    return max(_worst(one, other.numpy()) for one, other in pairs)


def _worst(found: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating]) -> float:
    difference = np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)
    return float(difference.max()) if np.isfinite(difference).all() else np.inf
