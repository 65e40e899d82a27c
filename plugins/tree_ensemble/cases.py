"""Sample calls of TreeEnsemble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pluginkit import Case
from pluginkit.plugins.tree_ensemble.launches import BRANCHES
from pluginkit.plugins.tree_ensemble.packing import BranchNode, LeafNode, pack_trees

_KINDS = tuple(kind for kind in BRANCHES if kind != "LEAF")


@dataclass(frozen=True)
class DrawnTrees:
    """What trees to draw: how many, how deep, their features, targets and kinds of nodes."""

    trees: int
    depth: int
    features: int = 5
    targets: int = 1
    kinds: Sequence[str] = ("LEQ",)
    share: float = 1.0

    def pack(self, rng: np.random.Generator) -> list[Any]:
        """Return the arrays of trees that end early now and then."""
        nodes: list[BranchNode | LeafNode] = []
        roots = []
        for _ in range(self.trees):
            roots.append(len(nodes))
            self._grow(nodes, self.depth, rng)
        packed = pack_trees(nodes, roots, self.targets)
        return [packed.nodes, packed.roots, packed.weights, packed.targets]

    def _grow(
        self, nodes: list[BranchNode | LeafNode], depth: int, rng: np.random.Generator
    ) -> int:
        number = len(nodes)
        if depth == 0 or (number and rng.random() < 0.1):
            chosen = [each for each in range(self.targets) if rng.random() < self.share]
            nodes.append(LeafNode([(each, float(np.float32(rng.normal()))) for each in chosen]))
            return number
        nodes.append(LeafNode([]))  # holds the place until the children have numbers
        first, second = (self._grow(nodes, depth - 1, rng) for _ in range(2))
        kind = str(rng.choice(self.kinds))
        threshold = rng.integers(-2, 3) if kind in ("EQ", "NEQ") else rng.normal()
        nodes[number] = BranchNode(
            kind,
            int(rng.integers(self.features)),
            float(np.float32(threshold)),
            (first, second),
            bool(rng.random() < 0.5),
        )
        return number


def sample_calls() -> Iterator[Case]:
    """Yield every kind of node and aggregate, dense and sparse weights, NaN, and what is empty."""
    rng = np.random.default_rng(31)
    for name, samples, drawn, attributes in (
        ("boosted", 21, DrawnTrees(trees=13, depth=4), {}),
        (
            "forest",
            17,
            DrawnTrees(trees=7, depth=6, features=9, targets=3),
            {"aggregate": "AVERAGE"},
        ),
        ("sparse", 9, DrawnTrees(trees=11, depth=3, targets=4, share=0.3), {}),
        ("every_kind", 33, DrawnTrees(trees=5, depth=7, targets=2, kinds=_KINDS), {}),
        ("least", 15, DrawnTrees(trees=6, depth=3, targets=3, share=0.5), {"aggregate": "MIN"}),
        ("greatest", 15, DrawnTrees(trees=6, depth=3, targets=3), {"aggregate": "MAX"}),
        (
            "unscored",
            8,
            DrawnTrees(trees=2, depth=2, targets=5, share=0.2),
            {"aggregate": "MAX", "unscored": -100.0},
        ),
        ("stump", 5, DrawnTrees(trees=1, depth=1, features=1), {}),
        ("only_leaves", 3, DrawnTrees(trees=4, depth=0, targets=2), {}),
        ("one_sample", 1, DrawnTrees(trees=40, depth=5), {}),
        ("many_samples", 1100, DrawnTrees(trees=3, depth=3), {}),
        ("many_trees", 2, DrawnTrees(trees=2100, depth=1), {}),
        ("many_targets", 2, DrawnTrees(trees=2, depth=1, targets=300), {}),
        ("no_samples", 0, DrawnTrees(trees=3, depth=2), {}),
    ):
        x = np.round(rng.normal(size=(samples, drawn.features)) * 2) / 2
        x[rng.random(x.shape) < 0.1] = np.nan
        arrays = [x.astype(np.float32), *drawn.pack(rng)]
        yield Case(name, arrays, {"n_targets": drawn.targets, **attributes})
