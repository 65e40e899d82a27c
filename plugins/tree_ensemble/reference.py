"""TreeEnsemble in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pluginkit.plugins.tree_ensemble.launches import (
    BRANCHES,
    FEATURE_STRIDE,
    TRACKS_NAN,
    Aggregate,
)

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

#: What a branch of each kind computes, by its number.
_COMPARISONS: dict[int, Callable[..., Any]] = {
    BRANCHES["LEQ"]: np.less_equal,
    BRANCHES["LT"]: np.less,
    BRANCHES["GTE"]: np.greater_equal,
    BRANCHES["GT"]: np.greater,
    BRANCHES["EQ"]: np.equal,
    BRANCHES["NEQ"]: np.not_equal,
}
_REPLACES: dict[Aggregate, Callable[..., Any]] = {"MIN": np.less, "MAX": np.greater}


def leaves_of(x: FloatArray, nodes: IntArray, root: int) -> npt.NDArray[np.int64]:
    """Return the node in which each sample ends, -1 where a walk leads out of the tree."""
    kinds, features = nodes[:, 0] % TRACKS_NAN, nodes[:, 0] // FEATURE_STRIDE
    thresholds = nodes[:, 1].view(np.float32)
    at = np.full(len(x), root if 0 <= root < len(nodes) else -1, np.int64)
    while True:
        samples = np.flatnonzero((at >= 0) & (kinds[at] != BRANCHES["LEAF"]))
        if not len(samples):
            return at
        here = at[samples]
        is_known = (features[here] >= 0) & (features[here] < x.shape[1])
        values = np.full(len(here), np.nan, np.float32)
        values[is_known] = x[samples[is_known], features[here[is_known]]]
        is_true = np.isnan(values) & (nodes[here, 0] & TRACKS_NAN != 0)
        for kind, compare in _COMPARISONS.items():
            is_true |= (kinds[here] == kind) & compare(values, thresholds[here])
        after = np.where(is_true, nodes[here, 2], nodes[here, 3])
        goes_on = is_known & (after > here) & (after < len(nodes))
        at[samples] = np.where(goes_on, after, -1)


def tree_ensemble(
    x: FloatArray,
    nodes: IntArray,
    roots: IntArray,
    weights: FloatArray,
    targets: IntArray | None,
    *,
    n_targets: int,
    aggregate: Aggregate,
    unscored: float,
) -> FloatArray:
    """Take the weights of the leaves in the order of the trees, in float32."""
    scores = np.zeros((len(x), n_targets), np.float32)
    is_there = np.zeros(scores.shape, bool)
    replaces = _REPLACES.get(aggregate)
    for root in roots:
        leaves = leaves_of(x, nodes, int(root))
        for leaf in np.unique(leaves[leaves >= 0]):
            rows = np.flatnonzero(leaves == leaf)
            first, last = max(nodes[leaf, 2], 0), min(nodes[leaf, 3], len(weights))
            for at in range(first, last):
                target = int(at - first if targets is None else targets[at])
                if not 0 <= target < n_targets:
                    continue
                so_far, weight = scores[rows, target], weights[at]
                if replaces is None:
                    with np.errstate(over="ignore", invalid="ignore"):
                        scores[rows, target] = so_far + weight
                else:
                    is_new = ~is_there[rows, target] | replaces(weight, so_far)
                    scores[rows, target] = np.where(is_new, weight, so_far)
                is_there[rows, target] = True
    if aggregate == "AVERAGE":
        scores /= np.float32(max(len(roots), 1))
    return np.where(is_there, scores, np.float32(unscored))
