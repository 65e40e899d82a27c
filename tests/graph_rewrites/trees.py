"""Models of one operator of decision trees, drawn by a generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 4
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


class DrawnTrees:
    """Trees in the attributes of TreeEnsembleClassifier and TreeEnsembleRegressor.

    Args:
        rng: draws them.
        trees: how many.
        depth: how deep they are.
        targets: for which each leaf has a weight, in order.
        modes: the modes of nodes.
        low: the least weight.
        share: how likely a leaf has the weight of a target.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        *,
        trees: int = 5,
        depth: int = 3,
        targets: Sequence[int] = (0,),
        modes: Sequence[str] = MODES[:1],
        low: float = -1,
        share: float = 1,
    ) -> None:
        self._rng, self._targets, self._modes = rng, targets, modes
        self._low, self._share = low, share
        self._nodes: list[tuple[Any, ...]] = []
        self._weights: list[tuple[int, int, int, float]] = []
        for tree in range(trees):
            self._grow(tree, depth, 3 * tree)

    def _grow(self, tree: int, depth: int, number: int) -> int:
        """Add a node and all below it; return the first number that is free."""
        rng = self._rng
        if depth == 0:
            self._nodes.append((tree, number, "LEAF", 0, 0.0, 0, 0, 0))
            for target in self._targets:
                if rng.random() < self._share:
                    weight = rng.integers(int(8 * self._low), 9) / 8
                    self._weights.append((tree, number, target, float(weight)))
            return number + 1
        at = len(self._nodes)
        self._nodes.append(())
        second = self._grow(tree, depth - 1, number + 1)
        after = self._grow(tree, depth - 1, second)
        value = float(rng.integers(-4, 5) / 2)
        feature, tracks = (int(rng.integers(limit)) for limit in (FEATURES, 2))
        mode = str(rng.choice(self._modes))
        self._nodes[at] = (tree, number, mode, feature, value, number + 1, second, tracks)
        return after

    def attributes(self, prefix: str) -> dict[str, Any]:
        """Return the attributes nodes_... and those of the weights, "class_..." or "target_..."."""
        names = ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids")
        names = (*names, "falsenodeids", "missing_value_tracks_true")
        nodes = dict(zip(names, zip(*self._nodes, strict=True), strict=True))
        names = ("treeids", "nodeids", "ids", "weights")
        weights = dict(zip(names, zip(*self._weights, strict=True), strict=True))
        return {f"nodes_{name}": list(each) for name, each in nodes.items()} | {
            f"{prefix}_{name}": list(each) for name, each in weights.items()
        }


def samples(rng: np.random.Generator, count: int = 40) -> np.ndarray:
    """Samples that often equal thresholds, and some NaN."""
    x = rng.integers(-5, 6, (count, FEATURES)) / 2
    x[rng.random(x.shape) < 0.1] = np.nan
    return x.astype(np.float32)


def ml_model(
    op_type: str,
    attributes: Mapping[str, Any],
    outputs: Mapping[str, tuple[int, Sequence[int | None]]],
    *,
    version: int = 3,
    elem_type: int = TensorProto.FLOAT,
    shape: Sequence[int | str | None] = ("n", FEATURES),
) -> onnx.ModelProto:
    """A model of one operator of ai.onnx.ml, called ``node``, that reads ``x``."""
    node = helper.make_node(
        op_type, ["x"], list(outputs), name="node", domain="ai.onnx.ml", **attributes
    )
    graph = helper.make_graph(
        [node],
        "test",
        [helper.make_tensor_value_info("x", elem_type, shape)],
        [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def classifier(
    trees: DrawnTrees, labels: Sequence[int] | Sequence[str], **attributes: Any
) -> onnx.ModelProto:
    """A classifier with the outputs ``label`` and ``scores``."""
    is_named = isinstance(labels[0], str)
    kind = "classlabels_strings" if is_named else "classlabels_int64s"
    label_type = TensorProto.STRING if is_named else TensorProto.INT64
    return ml_model(
        "TreeEnsembleClassifier",
        trees.attributes("class") | {kind: labels} | attributes,
        {"label": (label_type, [None]), "scores": (TensorProto.FLOAT, [None, len(labels)])},
    )


def regressor(trees: DrawnTrees, n_targets: int = 1, **attributes: Any) -> onnx.ModelProto:
    """A regressor with the output ``y``."""
    return ml_model(
        "TreeEnsembleRegressor",
        trees.attributes("target") | {"n_targets": n_targets} | attributes,
        {"y": (TensorProto.FLOAT, [None, n_targets])},
    )


def tensor(values: Sequence[float], dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype))


def ensemble(**attributes: Any) -> onnx.ModelProto:
    """A TreeEnsemble of two trees, with a node on membership in a set."""
    nan = float("nan")
    given = {
        "tree_roots": [0, 3],
        "nodes_modes": tensor([6, 0, 5, 6], np.uint8),
        "nodes_featureids": [0, 1, 2, 3],
        "nodes_splits": tensor([0, 0.5, -1, 0]),
        "nodes_truenodeids": [1, 0, 2, 3],
        "nodes_trueleafs": [0, 1, 1, 1],
        "nodes_falsenodeids": [2, 1, 0, 4],
        "nodes_falseleafs": [0, 1, 1, 1],
        "membership_values": tensor([1, 3, 2, nan, 1, nan]),
        "leaf_targetids": [0, 1, 0, 1, 0],
        "leaf_weights": tensor([0.5, -1, 2, 0.25, -0.75]),
        "n_targets": 2,
        "aggregate_function": 1,
        "post_transform": 0,
    }
    outputs = {"y": (TensorProto.FLOAT, [None, 2])}
    return ml_model("TreeEnsemble", given | attributes, outputs, version=5)
