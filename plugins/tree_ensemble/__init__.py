"""TreeEnsemble: forests and boosted trees, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    float32,
    int32,
)
from pluginkit.plugins.tree_ensemble.cases import sample_calls
from pluginkit.plugins.tree_ensemble.launches import (
    DEFINES,
    MAX_FEATURES,
    Aggregate,
    LeafWeights,
    launch_of,
)
from pluginkit.plugins.tree_ensemble.reference import tree_ensemble


class TreeEnsemble(Plugin):
    """Walk through decision trees, and aggregate the weights of the leaves where samples end.

    scores[i, t] = aggregate of the weights of target t in the leaves of sample i

    Weights are taken in float32 and in the order of the trees, whatever the batch. ONNX Runtime
    does the same, except that it adds up partial sums where it splits the trees among threads.
    AVERAGE divides the sum by the number of trees.

    A row of ``nodes`` is (code, threshold, true child, other child) for a branch. The code is
    16 * feature + 8 if NaN takes the true child + the comparison of x[feature] and the threshold:
    0 LEQ, 1 LT, 2 GTE, 3 GT, 4 EQ, 5 NEQ. The threshold is a float32, as the int32 of its bits.
    Children come after their parents, and several parents may share one. A leaf is (6, 0, first,
    last), the range of its weights. A walk that leads to a feature or a node that is not there ends
    without a leaf.

    Inputs:      x: (N, F) float32, linear; any dimension dynamic.
                 nodes: (nodes, 4) int32.
                 roots: (trees,) int32, the first node of each tree.
                 weights: (weights,) float32.
                 targets: (weights,) int32, the target of each weight; absent where every leaf has a
                 weight for each target, in order.
    Outputs:     scores: (N, n_targets) float32.
    Attributes:  n_targets: int, >= 1, required.
                 aggregate: SUM | AVERAGE | MIN | MAX, default SUM.
                 unscored: float, default 0; the score where no leaf has a weight for the target.
                 features: int, default 0; the least F.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK104 an attribute is out of its range. features: x has fewer columns.
                 shapes: targets has another length than weights.
    Source:      ai.onnx.ml TreeEnsemble-5, and TreeEnsembleClassifier and TreeEnsembleRegressor,
                 without their post transforms and labels.
    """

    n_targets: int = attribute(
        check=lambda value: None if value >= 1 else "expected 1 or more",
        doc="the number of scores of a sample",
    )
    aggregate: Aggregate = attribute(default="SUM", doc="how the weights of the trees are combined")
    unscored: float = attribute(default=0.0, doc="the score of a target without a weight")
    features: int = attribute(
        default=0,
        check=lambda value: None if 0 <= value <= MAX_FEATURES else "expected 0 to 2^27",
        doc="the features that nodes read, counted up to the last one",
    )

    x = Input(float32, ranks=(2, 2))
    nodes = Input(int32, shape=(None, 4))
    roots = Input(int32, ranks=(1, 1))
    weights = Input(float32, ranks=(1, 1))
    targets = Input(int32, optional=True, ranks=(1, 1))
    scores = Output(float32)

    kernel = CudaKernel(
        "kernel.cu",
        "tree_ensemble<Aggregate::{aggregate}, LeafWeights::{LEAVES}, {COPIED}>",
        {"LEAVES": get_args(LeafWeights), "COPIED": (False, True)},
        options=("-ftz=false",),  # denormals are not equal to 0
        defines=DEFINES,
    )

    alone_kernel = CudaKernel(
        "alone.cu",
        "walk_alone<Aggregate::{aggregate}, LeafWeights::{LEAVES}, {LOOKS_AHEAD}>",
        {"LEAVES": ("SINGLE", "ORDERED"), "LOOKS_AHEAD": (False, True)},
        options=("-ftz=false",),
        defines=DEFINES,
    )

    def check(
        self,
        x: TensorDesc,
        nodes: TensorDesc,
        roots: TensorDesc,
        weights: TensorDesc,
        targets: TensorDesc | None,
    ) -> None:
        """Check that x has every feature, and that each weight has its target."""
        features = x.shape[1]
        if isinstance(features, int) and features < self.features:
            raise InputError(f"{x}; expected {self.features} features or more.", code="features")
        if targets is not None and targets.shape != weights.shape:
            raise InputError(f"{weights}, {targets}; expected one target each.", code="shapes")

    def output_shapes(self, x: TensorDesc, *_: TensorDesc | None) -> tuple[Dim, int]:
        """Return a row for each sample."""
        return x.shape[0], self.n_targets

    def launches(
        self,
        x: TensorDesc,
        nodes: TensorDesc,
        roots: TensorDesc,
        weights: TensorDesc,
        targets: TensorDesc | None,
        scores: TensorDesc,
    ) -> Launch:
        """Return one launch; launches.py gives samples to blocks."""
        return launch_of(self, x, nodes, roots, weights, targets, scores)

    def reference(
        self,
        x: np.ndarray,
        nodes: np.ndarray,
        roots: np.ndarray,
        weights: np.ndarray,
        targets: np.ndarray | None,
    ) -> np.ndarray:
        """Compute the same in numpy; see reference.py."""
        return tree_ensemble(
            x,
            nodes,
            roots,
            weights,
            targets,
            n_targets=self.n_targets,
            aggregate=self.aggregate,
            unscored=self.unscored,
        )

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield every kind of node and aggregate, dense and sparse weights, and what is empty."""
        return sample_calls()
