"""The launch of TreeEnsemble, and the numbers that its kernel shares with Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    ceil_div,
    dim_max,
    dim_min,
    int32,
    int64,
)

if TYPE_CHECKING:
    from pluginkit.plugins.tree_ensemble import TreeEnsemble

#: How the weights of several trees are combined to a score.
Aggregate = Literal["SUM", "AVERAGE", "MIN", "MAX"]
#: The comparison of a node, or that it is a leaf.
NodeKind = Literal["LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "LEAF"]
#: The number of each kind of node.
BRANCHES: dict[str, int] = {name: number for number, name in enumerate(get_args(NodeKind))}
#: Added to the code of a node if NaN takes the child of a true condition.
TRACKS_NAN = 8
#: A node's code is the position of its feature times this, plus TRACKS_NAN or 0, plus its kind.
FEATURE_STRIDE = 16
#: How many features a node's code can tell apart.
MAX_FEATURES = 2**27

_THREADS = 256
#: How many leaves a block stores before it adds their weights.
_SLOTS = 2048
#: The most samples of a block; below this number of blocks each takes only one sample.
_MOST_SAMPLES, _FEW_BLOCKS = 32, 256
#: The constants that the kernel shares with Python.
DEFINES = {
    "Aggregate": Aggregate,
    "NodeKind": NodeKind,
    "THREADS": _THREADS,
    "SLOTS": _SLOTS,
    "TRACKS_NAN": TRACKS_NAN,
    "FEATURE_STRIDE": FEATURE_STRIDE,
}


def launch_of(
    plugin: TreeEnsemble,
    x: TensorDesc,
    nodes: TensorDesc,
    roots: TensorDesc,
    weights: TensorDesc,
    targets: TensorDesc | None,
    scores: TensorDesc,
) -> Launch:
    """Return a launch whose blocks take a sample each, or several if there are many."""
    samples = x.shape[0]
    block_targets = min(plugin.n_targets, _THREADS)
    block_samples: Dim = min(_THREADS // block_targets, _MOST_SAMPLES)
    block_samples = dim_min(block_samples, dim_max(samples // _FEW_BLOCKS, 1))
    return Launch(
        plugin.kernel,
        grid=(ceil_div(samples, block_samples), -(-plugin.n_targets // block_targets)),
        block=_THREADS,
        args=(
            scores,
            x,
            nodes,
            roots,
            weights,
            targets,
            int64(samples),
            int32(x.shape[1]),
            int32(nodes.shape[0]),
            int32(roots.shape[0]),
            int32(weights.shape[0]),
            int32(plugin.n_targets),
            int32(block_samples),
            int32(block_targets),
            plugin.unscored,
        ),
        constants={"SPARSE": targets is not None},
    )
