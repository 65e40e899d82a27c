"""TreeEnsemble, torch and a plain kernel, on a GPU.

    python benchmarks/tree_ensemble.py

which is ``pluginkit bench TreeEnsemble --peers benchmarks/tree_ensemble.py`` with the results
written to benchmarks/results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from drawn_sizes import size
from peers import bind_torch, compiled, plain_kernel, run_bench

from pluginkit import Plugin, float32, int32
from pluginkit.bench.workload import NotOffered, Peer, TimedCall, Workload
from pluginkit.contract.tensors import DeviceTensor
from pluginkit.plugins.tree_ensemble import TreeEnsemble


@dataclass(frozen=True)
class Ensemble:
    """Trees of one depth, and the samples that go through them.

    ``chain`` trees have a leaf at every node's first child, as those that isolate outliers, so
    that samples of a warp part early.
    """

    samples: int
    features: int
    trees: int
    depth: int
    targets: int = 1
    chain: bool = False


CASES = {
    "boosted": Ensemble(samples=10_000, features=30, trees=100, depth=6),
    "boosted, one sample": Ensemble(samples=1, features=30, trees=500, depth=8),
    "boosted, a large batch": Ensemble(samples=1_000_000, features=30, trees=100, depth=6),
    "forest of classes": Ensemble(samples=10_000, features=64, trees=100, depth=12, targets=10),
    "forest, one sample": Ensemble(samples=1, features=64, trees=100, depth=12, targets=10),
    "many features": Ensemble(samples=4096, features=2000, trees=300, depth=8),
    "stumps": Ensemble(samples=100_000, features=16, trees=50, depth=1),
    "chains": Ensemble(samples=10_000, features=16, trees=100, depth=64, chain=True),
}
HOSTILE = {
    "5000 stumpy trees, one sample": Ensemble(samples=1, features=30, trees=5000, depth=3),
    "one deep tree": Ensemble(samples=1_000_000, features=10, trees=1, depth=16),
    "100 classes": Ensemble(samples=2000, features=30, trees=100, depth=6, targets=100),
    "one tree, one sample": Ensemble(samples=1, features=4, trees=1, depth=2),
    "few samples, wide": Ensemble(samples=64, features=10_000, trees=500, depth=6),
    "one tree of 3 classes": Ensemble(samples=100_000, features=10, trees=1, depth=8, targets=3),
    "8 trees": Ensemble(samples=1_000_000, features=10, trees=8, depth=6),
    "17 samples": Ensemble(samples=17, features=30, trees=100, depth=10),
    "two stumps of 10 targets": Ensemble(samples=279, features=64, trees=2, depth=1, targets=10),
    "one small tree": Ensemble(samples=131_072, features=1, trees=1, depth=2),
    "two stumps": Ensemble(samples=73_206, features=16, trees=2, depth=1),
    "one tree, two features": Ensemble(samples=131_072, features=2, trees=1, depth=7, targets=10),
    "one tree of 17 classes": Ensemble(samples=50_000, features=4, trees=1, depth=4, targets=17),
    "4 trees of 10 targets": Ensemble(samples=100_000, features=8, trees=4, depth=5, targets=10),
    "10 targets": Ensemble(samples=100_000, features=8, trees=200, depth=5, targets=10),
}

#: torch.compile takes minutes over the unrolled levels of deeper trees.
_MOST_LEVELS = 16
#: Some samples are enough for the reference.
SAMPLE = {"x": (slice(0, 200),), "scores": (slice(0, 200),)}


def drawn(rng: Random) -> Ensemble:
    """Return at most 2^22 numbers of samples, and at most 500 trees of 10 levels."""
    features = size(rng, 1, 1000)
    samples, targets = size(rng, 1, 2**22 // features), rng.choice((1, 1, 3, 10))
    depth = rng.randint(1, 10)
    return Ensemble(min(samples, 2**17), features, size(rng, 1, 500), depth, targets)


def workloads(cases: Mapping[str, Ensemble] = CASES) -> Iterator[Workload]:
    """Yield every case with the sum of leaves, which all peers have."""
    for case, ensemble in cases.items():
        plugin = TreeEnsemble(n_targets=ensemble.targets, features=ensemble.features)
        plugin = plugin.with_inputs("x", "nodes", "roots", "weights")
        dtypes = (float32, int32, int32, float32)
        yield Workload(case, "SUM", plugin, dtypes, _inputs(ensemble), SAMPLE)


def _inputs(ensemble: Ensemble) -> Callable[[Any, int], list[Any]]:
    def make(xp: Any, seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        children = _chain(ensemble.depth) if ensemble.chain else _balanced(ensemble.depth)
        size, leaves = len(children), children[:, 0] < 0
        nodes = np.empty((ensemble.trees, size, 4), np.int32)
        nodes[..., 0] = 16 * rng.integers(0, ensemble.features, nodes.shape[:2])
        nodes[..., 1] = rng.normal(size=nodes.shape[:2]).astype(np.float32).view(np.int32)
        nodes[..., 2:] = children + size * np.arange(ensemble.trees)[:, None, None]
        first = ensemble.targets * np.arange(ensemble.trees * leaves.sum()).reshape(
            -1, leaves.sum()
        )
        nodes[:, leaves, 0], nodes[:, leaves, 1] = 6, 0
        nodes[:, leaves, 2], nodes[:, leaves, 3] = first, first + ensemble.targets
        x = rng.normal(size=(ensemble.samples, ensemble.features)).astype(np.float32)
        # Quarters: sums are exact in any order.
        weights = rng.integers(-8, 9, first.size * ensemble.targets).astype(np.float32) / 4
        roots = (size * np.arange(ensemble.trees)).astype(np.int32)
        return [xp.asarray(each) for each in (x, nodes.reshape(-1, 4), roots, weights)]

    return make


def _balanced(depth: int) -> Any:
    """Return the children of each node of a whole binary tree; those of leaves are negative."""
    branches = np.arange(2**depth - 1)
    leaves = np.full((2**depth, 2), -(2**30))
    return np.concatenate([np.stack([2 * branches + 1, 2 * branches + 2], axis=1), leaves])


def _chain(depth: int) -> Any:
    """Return the children of nodes of which each has a leaf and the next node."""
    branches = 2 * np.arange(depth)
    children = np.full((2 * depth + 1, 2), -(2**30))
    children[branches] = np.stack([branches + 1, branches + 2], axis=1)
    return children


def _torch(plugin: Any, inputs: Sequence[DeviceTensor]) -> Callable[..., Any]:
    """Take every sample one node down in all trees at once, as Hummingbird does."""
    import torch

    targets = plugin.attribute_values["n_targets"]
    nodes = inputs[1].torch()
    is_leaf = nodes[:, 0] % 8 == 6
    itself = torch.arange(len(nodes), device=nodes.device)
    features = torch.where(is_leaf, 0, nodes[:, 0] // 16).long()
    thresholds = nodes[:, 1].view(torch.float32)
    children = torch.where(is_leaf[:, None], itself[:, None], nodes[:, 2:].long())
    leaves = torch.where(is_leaf, nodes[:, 2] // targets, 0).long()
    depth = _depth(nodes[:, 2:], is_leaf, inputs[2].torch())
    if depth > _MOST_LEVELS:
        raise NotOffered(f"{depth} unrolled levels take it minutes to compile")

    def walk(x: Any, nodes: Any, roots: Any, weights: Any) -> Any:
        at = roots.long().expand(len(x), -1)
        for _ in range(depth):
            goes_first = x.gather(1, features[at]) <= thresholds[at]
            at = torch.where(goes_first, children[at, 0], children[at, 1])
        return weights.view(-1, targets)[leaves[at]].sum(dim=1)

    return walk


def _depth(children: Any, is_leaf: Any, roots: Any) -> int:
    """Return the levels of the deepest tree below its root."""
    level, depth = roots.long(), 0
    while len(level := level[~is_leaf[level]]):
        level, depth = children[level].flatten().long(), depth + 1
    return depth


_PLAIN = """
template <int TARGETS>
__global__ void plain(float* scores, const float* x, const int4* nodes, const int* roots,
                      const float* weights, int samples, int features, int trees) {
    const int sample = blockIdx.x * blockDim.x + threadIdx.x;
    if (sample >= samples) return;
    const float* row = x + (long long)sample * features;
    float sums[TARGETS] = {};
    for (int tree = 0; tree < trees; ++tree) {
        int4 node = nodes[roots[tree]];
        while (node.x % 8 != 6)
            node = nodes[row[node.x / 16] <= __int_as_float(node.y) ? node.z : node.w];
        for (int target = 0; target < TARGETS; ++target) sums[target] += weights[node.z + target];
    }
    for (int target = 0; target < TARGETS; ++target)
        scores[(long long)sample * TARGETS + target] = sums[target];
}
"""


def _plain(
    plugin: Plugin, inputs: Sequence[DeviceTensor], outputs: Sequence[DeviceTensor]
) -> TimedCall:
    """Launch a thread for each sample, which walks through one tree after the other."""
    targets = plugin.attribute_values["n_targets"]
    if targets > 16:
        raise NotOffered("it keeps the sums of at most 16 targets")
    kernel = plain_kernel(_PLAIN, f"plain<{targets}>")
    (samples, features), trees = inputs[0].shape, inputs[2].size
    pointers = [tensor.pointer for tensor in (outputs[0], *inputs)]
    arguments = (*pointers, *map(np.int32, (samples, features, trees)))
    return lambda: kernel((-(-samples // 128),), (128,), arguments)


PEERS = (
    Peer("torch.compile", bind_torch(compiled(_torch))),
    Peer("plain kernel", _plain),
)


if __name__ == "__main__":
    raise SystemExit(run_bench(TreeEnsemble, __file__))
