"""Pack decision trees into the arrays that TreeEnsemble reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pluginkit.plugins.tree_ensemble.launches import BRANCHES, FEATURE_STRIDE, TRACKS_NAN


@dataclass(frozen=True)
class BranchNode:
    """A node with a condition on a feature, ``x[feature] <= threshold`` for example.

    Attributes:
        kind: one of LEQ, LT, GTE, GT, EQ and NEQ.
        feature: the position of the feature in a sample.
        threshold: what the feature is compared with.
        children: the numbers of the nodes where the condition is true and where it is not, which
            are greater than the number of this node.
        is_true_for_nan: whether NaN takes the first child, whatever the condition.
    """

    kind: str
    feature: int
    threshold: float
    children: tuple[int, int]
    is_true_for_nan: bool = False


@dataclass(frozen=True)
class LeafNode:
    """A node without children, and its weights by target."""

    weights: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class PackedTrees:
    """Trees as the inputs of TreeEnsemble; ``targets`` is None if every leaf has all of them."""

    nodes: npt.NDArray[np.int32]
    roots: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int32] | None


def pack_trees(
    nodes: Sequence[BranchNode | LeafNode], roots: Sequence[int], n_targets: int
) -> PackedTrees:
    """Pack nodes, of which a root is given for each tree, in the order of their numbers."""
    rows: list[tuple[int, int, int, int]] = []
    thresholds: list[float] = []
    weights: list[tuple[int, float]] = []
    every_target = list(range(n_targets))
    is_dense = True
    for node in nodes:
        if isinstance(node, LeafNode):
            first = len(weights)
            weights += node.weights
            rows.append((BRANCHES["LEAF"], 0, first, len(weights)))
            thresholds.append(0)
            is_dense = is_dense and [target for target, _ in node.weights] == every_target
        else:
            code = node.feature * FEATURE_STRIDE + BRANCHES[node.kind]
            rows.append((code + TRACKS_NAN * node.is_true_for_nan, 0, *node.children))
            thresholds.append(node.threshold)
    packed = np.array(rows, np.int32).reshape(-1, 4)
    packed[:, 1] = np.array(thresholds, np.float32).view(np.int32)
    targets = np.array([target for target, _ in weights], np.int32)
    return PackedTrees(
        packed,
        np.array(roots, np.int32),
        np.array([weight for _, weight in weights], np.float32),
        None if is_dense else targets,
    )
