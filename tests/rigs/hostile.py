"""Bundles with a network that harms the box that runs it: it needs memory or time without end, or other files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from asd_agent.bundle.files import file_digest
from asd_agent.demo.assets import demo_bundle

GRAPH = "members/ae-0.onnx"
"""Network of the demo's bundle: `features` (replicas, 157, 64), and one row of errors a frame."""


def relisted(bundle: Path, name: str) -> Path:
    """Make the manifest list a file as it is now."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = file_digest(bundle / name)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def with_network(folder: Path, model: onnx.ModelProto) -> Path:
    """Copy the demo's bundle with another network in place of its own."""
    copy = Path(shutil.copytree(demo_bundle(), folder / "demo-fan"))
    (copy / GRAPH).write_bytes(model.SerializeToString())
    return relisted(copy, GRAPH)


def _model(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto] | None = None) -> onnx.ModelProto:
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", "t", 64])
    errors = helper.make_tensor_value_info("errors", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "hostile", [features], [errors], tensors or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return model


def _constant(name: str, value: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(value, name)


def that_needs_memory() -> onnx.ModelProto:
    """A network whose only intermediate result has 8 GB."""
    mean = helper.make_node("ReduceMean", ["features"], ["mean"], keepdims=0)
    nodes = [
        mean,
        helper.make_node("Expand", ["mean", "shape"], ["large"]),
        helper.make_node("Add", ["large", "mean"], ["sum"]),
        helper.make_node("ReduceMean", ["sum"], ["less"], keepdims=0),
        helper.make_node("Add", ["features", "less"], ["errors"]),
    ]
    return _model(nodes, [_constant("shape", np.array([2_000_000_000], np.int64))])


def that_takes_hours() -> onnx.ModelProto:
    """A network without a loop: two thousand products of matrices of 4096 by 4096."""
    nodes = [
        helper.make_node("ReduceMean", ["features"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "shape"], ["m0"]),
        *(helper.make_node("MatMul", [f"m{i}", "m0"], [f"m{i + 1}"]) for i in range(2000)),
        helper.make_node("ReduceMean", ["m2000"], ["less"], keepdims=0),
        helper.make_node("Add", ["features", "less"], ["errors"]),
    ]
    return _model(nodes, [_constant("shape", np.array([4096, 4096], np.int64))])


def that_loops() -> onnx.ModelProto:
    """A network with a loop of 2^62 turns."""
    inner = [
        helper.make_tensor_value_info(n, t, s)
        for n, t, s in (("i", TensorProto.INT64, []), ("c", TensorProto.BOOL, []))
    ]
    value = helper.make_tensor_value_info("v", TensorProto.FLOAT, None)
    after = [
        helper.make_tensor_value_info("d", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
    ]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Sqrt", ["v"], ["w"])],
        "body",
        [*inner, value],
        after,
    )
    loop = helper.make_node("Loop", ["turns", "", "features"], ["errors"], body=body)
    return _model([loop], [_constant("turns", np.array(2**62, np.int64))])


def that_reads_a_file() -> onnx.ModelProto:
    """A network whose weights are in a file of the working directory."""
    tensor = _constant("w", np.zeros(64, np.float32))
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return _model([helper.make_node("Add", ["features", "w"], ["errors"])], [tensor])


def of_another_shape() -> onnx.ModelProto:
    """A network whose output no density of the bundle fits."""
    return _model([helper.make_node("ReduceMean", ["features"], ["errors"], keepdims=0)])


def of_nothing_finite() -> onnx.ModelProto:
    """A network whose output is not a number."""
    nodes = [
        helper.make_node("Sub", ["features", "features"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["errors"]),
    ]
    return _model(nodes)


HOSTILE: dict[str, Callable[[], onnx.ModelProto]] = {
    "memory": that_needs_memory,
    "loop": that_loops,
    "file": that_reads_a_file,
    "shape": of_another_shape,
    "nan": of_nothing_finite,
}
"""Every one that is refused at once; `that_takes_hours` is refused after its time."""
