"""A network that loads other files or may run without end is refused before ONNX Runtime sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from asd_agent.bundle.files import bundle_files
from asd_agent.bundle.graph import MOST_FIELDS, check_graph
from asd_agent.demo.assets import demo_bundle
from asd_agent.errors import BundleError

X = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 4])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
HERE = Path("members/a.onnx")


def model(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = (), functions=()) -> onnx.ModelProto:
    graph = helper.make_graph([*nodes, helper.make_node("Identity", ["features"], ["y"])], "g", [X], [Y], [*tensors])
    return helper.make_model(graph, functions=list(functions))


def external(name: str = "w") -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def located(name: str = "w") -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
    tensor.data_location = TensorProto.EXTERNAL
    return tensor


def subgraph(*nodes: onnx.NodeProto, tensors: tuple[onnx.TensorProto, ...] = ()) -> onnx.GraphProto:
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])
    return helper.make_graph([*nodes, helper.make_node("Identity", ["features"], ["z"])], "s", [], [out], [*tensors])


def branch(graph: onnx.GraphProto) -> onnx.NodeProto:
    return helper.make_node("If", ["c"], ["z"], then_branch=graph, else_branch=graph)


def loop() -> onnx.NodeProto:
    return helper.make_node("Loop", ["n", "", "features"], ["z"], body=subgraph())


def function(*nodes: onnx.NodeProto) -> onnx.FunctionProto:
    return helper.make_function("own", "F", ["a"], ["b"], list(nodes), [helper.make_opsetid("", 18)])


def sparse() -> onnx.ModelProto:
    made = model()
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(external(), numpy_helper.from_array(np.zeros(4, np.int64), "i"), [4])
    )
    return made


def in_training() -> onnx.ModelProto:
    made = model()
    made.training_info.add().algorithm.CopyFrom(subgraph(tensors=(external(),)))
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (model(tensors=(external(),)), "keeps a tensor's data in another file"),
        (model(tensors=(located(),)), "keeps a tensor's data in another file"),
        (model(branch(subgraph(tensors=(external(),)))), "another file"),
        (model(branch(subgraph(branch(subgraph(tensors=(external(),)))))), "another file"),
        (model(helper.make_node("Constant", [], ["k"], value=external())), "another file"),
        (model(functions=[function(helper.make_node("Constant", [], ["b"], value=external()))]), "another file"),
        (sparse(), "another file"),
        (in_training(), "another file"),
        (model(loop()), "has the operator Loop"),
        (model(branch(subgraph(loop()))), "has the operator Loop"),
        (model(functions=[function(loop())]), "has the operator Loop"),
        (model(helper.make_node("Scan", ["features"], ["z"], body=subgraph(), num_scan_inputs=1)), "operator Scan"),
    ],
)
def test_a_network_that_reaches_out_or_loops_is_refused(made: onnx.ModelProto, words: str):
    with pytest.raises(BundleError, match=words) as error:
        check_graph(HERE, made.SerializeToString())
    assert str(HERE) in str(error.value)
    assert error.value.remedy


def test_a_branch_and_the_network_of_the_demo_are_fine():
    check_graph(HERE, model(branch(subgraph(branch(subgraph())))).SerializeToString())
    for name in bundle_files(demo_bundle()):
        if name.endswith(".onnx"):
            check_graph(demo_bundle() / name, (demo_bundle() / name).read_bytes())


def nested(depth: int) -> bytes:
    raw = b""
    for number in (6, 5, 1) * depth:  # attribute.graph, node.attribute, graph.node
        raw = bytes([number << 3 | 2]) + varint(len(raw)) + raw
    return b"\x3a" + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"\x3a\x7f",
        b"\x3b\x00",
        b"\x80" * 20,
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        nested(200),
        b"\x08\x01" * (MOST_FIELDS + 1),
    ],
)
def test_bytes_that_are_no_model_are_refused(raw: bytes):
    with pytest.raises(BundleError, match="is no ONNX model"):
        check_graph(HERE, raw)


def test_noise_raises_nothing_else():
    rng = np.random.default_rng(3)
    whole = (demo_bundle() / "members" / "ae-0.onnx").read_bytes()[:20_000]
    for _ in range(300):
        noisy = bytearray(whole)
        for position in rng.integers(0, 2_000, size=4):
            noisy[position] = rng.integers(256)
        try:
            check_graph(HERE, bytes(noisy))
        except BundleError:
            continue
