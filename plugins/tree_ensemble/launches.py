"""The launch of TreeEnsemble, and the numbers that its kernel shares with Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pluginkit import (
    Dim,
    Launch,
    TensorDesc,
    ceil_div,
    dim_max,
    int32,
    int64,
    known,
    where,
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

#: Where the weights of a leaf are: one, one for each target in order, or each with its target.
LeafWeights = Literal["SINGLE", "ORDERED", "SPARSE"]
#: The bytes that a block keeps for a leaf.
_LEAF_BYTES: dict[str, int] = {"SINGLE": 4, "ORDERED": 8, "SPARSE": 8}

#: The threads of a block, of one with many features or of few samples, and of one sample with very
#: many trees.
_THREADS, _MANY_THREADS, _MOST_THREADS = 256, 512, 1024
#: The most samples of a block that walks through many trees, and as many blocks are wanted before
#: one takes several.
_MOST_SAMPLES, _FEW_BLOCKS = 64, 512
#: The features that a block copies at most, and what is many of them. A walk reads about so many.
_COPIED, _MANY, _READ = 9 * 1024, 4 * 1024, 32
#: The bytes for leaves of a round of trees, and the weights that are fetched together; each score
#: has room for a few more.
_ROUND_BYTES, _FETCHED, _MORE = 2**14, 2**11, 4
#: The weights that a thread reads at once.
_AT_ONCE = 8
#: The cache lines that a thread fetches ahead, and of those of all threads at most that are more
#: than one each.
_PREFETCHED, _MOST_LINES = 8, 2**15
#: Of so many samples of so few trees, or of samples of one tree with few targets, a thread walks
#: for one; of fewer samples, too, if it takes up to so many nodes in balanced trees, but of more
#: than the teams that a large GPU runs at once have.
_MANY_SAMPLES, _FEW_TREES, _FEW_TARGETS = 2**17, 16, 16
_SOME_SAMPLES, _SHORT_WALK = 17 * 2**12, 16
#: The threads of a block then, and of one whose walks are short since there are few nodes.
_WALKERS, _MOST_WALKERS, _SHORT = 64, 256, 512
#: A thread walks for a score where so few are those of one tree, or where trees have so few nodes
#: together. It reads ahead where scores are few: more threads than that hide each other's waits.
_FEW_SCORES, _FEW_NODES = 2**15, 8
#: Of up to so many trees a warp writes the scores of its samples together, where samples are enough
#: for a warp for each scheduler of a GPU. Those scores are counted in 32 bits.
_TOGETHER, _MANY_WALKS, _MOST_TARGETS = 4, 2**14, 2**25
#: The constants that the kernel shares with Python.
DEFINES = {
    "Aggregate": Aggregate,
    "LeafWeights": LeafWeights,
    "NodeKind": NodeKind,
    "MOST_THREADS": _MOST_THREADS,
    "FETCHED": _FETCHED,
    "AT_ONCE": _AT_ONCE,
    "MOST_LINES": _MOST_LINES,
    "PREFETCHED": _PREFETCHED,
    "MOST_WALKERS": _MOST_WALKERS,
    "TOGETHER": _TOGETHER,
    "TRACKS_NAN": TRACKS_NAN,
    "FEATURE_STRIDE": FEATURE_STRIDE,
}


def _block_samples(samples: int, copied: int, trees: int, most: int) -> int:
    """Return a power of two of samples whose copied features fit into shared memory.

    Of few trees a block takes more samples, so that none of its threads waits.
    """
    block_samples = count = 1
    while (count := 2 * count) <= most:
        is_fitting = where(copied * count <= _COPIED, 1, 0)
        if count > _MOST_SAMPLES:
            is_fitting = where(trees * count <= _THREADS, is_fitting, 0)
        are_many = where(samples >= _FEW_BLOCKS * count, is_fitting, 0)
        block_samples = where(are_many == 1, count, block_samples)
    return block_samples


def walkers_of(samples: Dim, nodes: Dim, trees: Dim, targets: int, leaves: str) -> Dim:
    """Return how many threads walk for a sample, each through all trees; 0 where a team does.

    It is 1, or that of the targets where scores are few.
    """
    if leaves == "SPARSE":
        return 0
    is_one, are_few = known(trees) == 1, known(nodes) <= _FEW_NODES
    are_scores_few = samples * targets <= _FEW_SCORES
    if targets <= _FEW_TARGETS and (is_one or are_few) and are_scores_few:
        return targets
    if targets == 1:
        walk = known(trees) * (known(nodes) // max(known(trees), 1)).bit_length()
        least = where(walk <= _SHORT_WALK, _SOME_SAMPLES, _MANY_SAMPLES)
        are_many = trees <= _FEW_TREES and samples >= least
        return 1 if is_one or are_few or are_many else 0
    is_small = is_one and targets <= _FEW_TARGETS
    are_enough = trees <= _TOGETHER and samples >= _MANY_WALKS and targets <= _MOST_TARGETS
    return 1 if not are_scores_few and (is_small or are_enough) else 0


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
    samples, features, trees = known(x.shape[0]), known(x.shape[1]), known(roots.shape[0])
    leaves = "SPARSE" if targets is not None else "SINGLE" if plugin.n_targets == 1 else "ORDERED"
    walkers = walkers_of(samples, nodes.shape[0], trees, plugin.n_targets, leaves)
    if walkers > 0:
        are_few = bool(samples * plugin.n_targets <= _FEW_SCORES)
        threads = where(known(nodes.shape[0]) <= _SHORT, _MOST_WALKERS, _WALKERS)
        counts = features, nodes.shape[0], trees, weights.shape[0], plugin.n_targets
        return Launch(
            plugin.alone_kernel,
            ceil_div(samples * walkers, threads),
            threads,
            (
                *(scores, x, nodes, roots, weights, int64(samples)),
                *map(int32, counts),
                plugin.unscored,
            ),
            constants={"LEAVES": leaves, "LOOKS_AHEAD": are_few},
        )
    block_targets = min(plugin.n_targets, _THREADS)
    is_copied = where(features <= _COPIED, where(features <= _READ * trees, 1, 0), 0)
    most = _THREADS // block_targets
    block_samples = _block_samples(samples, is_copied * features, trees, most)
    copied = is_copied * features * block_samples
    threads = where(copied > _MANY, _MANY_THREADS, _THREADS)
    of_one = where(trees > _THREADS, _MANY_THREADS, threads)
    of_one = where(trees > _MANY_THREADS, _MOST_THREADS, of_one)
    threads = where(block_samples == 1, of_one, threads)
    at_once = dim_max(threads // block_samples, _AT_ONCE)  # walked through and added
    rounds = dim_max(ceil_div(trees * block_samples * _LEAF_BYTES[leaves], _ROUND_BYTES), 1)
    slice_of_trees = ceil_div(ceil_div(trees, rounds), at_once) * at_once
    kept = slice_of_trees * block_samples * _LEAF_BYTES[leaves]
    scores_of_block = block_samples * block_targets
    fetched = scores_of_block * _MORE
    if leaves == "ORDERED":
        fetched = fetched + _FETCHED
    return Launch(
        plugin.kernel,
        grid=(ceil_div(samples, block_samples), -(-plugin.n_targets // block_targets)),
        block=threads,
        args=(
            scores,
            x,
            nodes,
            roots,
            weights,
            targets,
            int64(samples),
            int32(features),
            int32(nodes.shape[0]),
            int32(trees),
            int32(weights.shape[0]),
            int32(plugin.n_targets),
            int32(block_samples),
            int32(block_targets),
            int32(slice_of_trees),
            plugin.unscored,
        ),
        shared_bytes=known(kept + 4 * (fetched + copied)),
        constants={"LEAVES": leaves, "COPIED": bool(is_copied == 1)},
    )
