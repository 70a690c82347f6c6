"""The graph of an isolation forest: from log-mels to the score 2^(-depth / c(n)) of each window."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import IsolationForest

OPSET, TREES_OPSET, IR_VERSION = 18, 3, 9
_EULER = 0.5772156649015329


def forest_graph(forest: IsolationForest, n_mels: int) -> onnx.ModelProto:
    """Return the graph of a forest on means and spreads of `n_mels` bands."""
    usual_depth = path_length(forest.max_samples_)
    nodes = [
        helper.make_node("ReduceMean", ["features", "time"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["features", "mean"], ["deviation"]),
        helper.make_node("Mul", ["deviation", "deviation"], ["square"]),
        helper.make_node("ReduceMean", ["square", "time"], ["variance"], keepdims=1),
        helper.make_node("Sqrt", ["variance"], ["spread"]),
        helper.make_node("Concat", ["mean", "spread"], ["both"], axis=2),
        helper.make_node("Squeeze", ["both", "time"], ["statistics"]),
        helper.make_node(
            "TreeEnsembleRegressor", ["statistics"], ["depth"], domain="ai.onnx.ml", **tree_attributes(forest)
        ),
        helper.make_node("Mul", ["depth", "per_depth"], ["exponent"]),
        helper.make_node("Pow", ["two", "exponent"], ["row"]),
        helper.make_node("Unsqueeze", ["row", "time"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "isolation_forest",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", "frames", n_mels])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1, 1])],
        [
            numpy_helper.from_array(np.array([1]), "time"),
            numpy_helper.from_array(np.float32(-1.0 / usual_depth), "per_depth"),
            numpy_helper.from_array(np.float32(2.0), "two"),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", TREES_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def tree_attributes(forest: IsolationForest) -> dict[str, object]:
    """Return the trees as attributes of a TreeEnsembleRegressor whose value is the mean depth."""
    found: dict[str, list] = {f"nodes_{name}": [] for name in _NODES}
    leaves: dict[str, list] = {f"target_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        depths = node_depths(tree.children_left, tree.children_right)
        for node in range(tree.node_count):
            leaf = tree.children_left[node] < 0
            values = (
                number,
                node,
                0 if leaf else int(tree.feature[node]),
                0.0 if leaf else below(tree.threshold[node]),
                "LEAF" if leaf else "BRANCH_LEQ",
                0 if leaf else int(tree.children_left[node]),
                0 if leaf else int(tree.children_right[node]),
            )
            for name, value in zip(_NODES, values, strict=True):
                found[f"nodes_{name}"].append(value)
            if leaf:
                weight = depths[node] + path_length(int(tree.n_node_samples[node]))
                for name, value in zip(leaves, (number, node, 0, weight), strict=True):
                    leaves[name].append(value)
    return {**found, **leaves, "n_targets": 1, "aggregate_function": "AVERAGE", "post_transform": "NONE"}


_NODES = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")


def node_depths(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the depth of each node of a tree, 0 at the root; children come after their parents."""
    depths = np.zeros(len(left))
    for node in range(len(left)):
        for child in (left[node], right[node]):
            if child >= 0:
                depths[child] = depths[node] + 1
    return depths


def path_length(samples: int) -> float:
    """Return c(n), the mean depth of an unsuccessful search among n samples (Eq. 1 of Liu et al. 2008)."""
    if samples <= 1:
        return 0.0
    if samples == 2:
        return 1.0
    return 2.0 * (np.log(samples - 1.0) + _EULER) - 2.0 * (samples - 1.0) / samples


def below(threshold: float) -> float:
    """Return the largest float32 not above a threshold, so that float32 values fall on the same side of both."""
    rounded = np.float32(threshold)
    return float(rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf)))
