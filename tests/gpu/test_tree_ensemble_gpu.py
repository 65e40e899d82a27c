"""TreeEnsemble on a real GPU: every aggregate, and batches that blocks share in every way."""

from __future__ import annotations

import numpy as np
import pytest

from pluginkit.checking.trt_double.driver import drive
from pluginkit.plugins.tree_ensemble import TreeEnsemble
from pluginkit.plugins.tree_ensemble.cases import DrawnTrees
from pluginkit.plugins.tree_ensemble.launches import BRANCHES
from pluginkit.plugins.tree_ensemble.reference import tree_ensemble

pytestmark = [pytest.mark.gpu, pytest.mark.trt]

KINDS = tuple(BRANCHES)[:-1]


def assert_same(lean, drawn, samples, aggregate="SUM"):
    rng = np.random.default_rng(samples)
    nodes, roots, weights, names = drawn.pack(rng)
    x = (np.round(rng.normal(size=(samples, drawn.features)) * 2) / 2).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    plugin = TreeEnsemble(n_targets=drawn.targets, aggregate=aggregate, features=drawn.features)
    ports = ["x", "nodes", "roots", "weights"] + ["targets"] * (names is not None)
    inputs = [each for each in (x, nodes, roots, weights, names) if each is not None]
    (got,) = drive(plugin.with_inputs(*ports), inputs, interface="v3", flavour=lean)
    wanted = tree_ensemble(
        x,
        nodes,
        roots,
        weights,
        names,
        n_targets=drawn.targets,
        aggregate=aggregate,
        unscored=0.0,
    )
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3, 300])
@pytest.mark.parametrize("samples", [1, 255, 511, 20_011])
def test_forests(lean, samples, targets, aggregate):
    share = 1.0 if samples % 5 else 0.4
    drawn = DrawnTrees(trees=23, depth=6, features=7, targets=targets, kinds=KINDS, share=share)
    assert_same(lean, drawn, samples, aggregate)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("samples", [1, 600, 2111])
@pytest.mark.parametrize(
    ("features", "trees"),
    [(700, 23), (5000, 200), (3000, 5)],
    ids=["copied", "copied for a sample", "not copied"],
)
def test_many_features(lean, features, trees, samples, targets):
    assert_same(lean, DrawnTrees(trees, depth=5, features=features, targets=targets), samples)


@pytest.mark.parametrize("targets", [1, 3])
def test_more_trees_than_a_round_has(lean, targets):
    assert_same(lean, DrawnTrees(trees=5000, depth=3, targets=targets), 40)
