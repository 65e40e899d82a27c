"""Replace the decision trees of ai.onnx.ml, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._decision_trees import (
    Trees,
    TreesError,
    read_listed_trees,
    read_trees,
    values_of,
)
from pluginkit.graph_rewrites._tree_scores import (
    TRANSFORMS,
    Classes,
    added,
    label_positions,
    probabilities,
    transformed_scores,
)
from pluginkit.graph_rewrites.expand_scalers import ML
from pluginkit.onnx import Match, NewNode, Op, Replacement, Rewrite, elem_type
from pluginkit.plugins.tree_ensemble import TreeEnsemble
from pluginkit.plugins.tree_ensemble.launches import Aggregate
from pluginkit.plugins.tree_ensemble.packing import LeafNode, pack_trees

_NUMBERS = ("float32", "float16", "float64", "int64", "int32")
#: The aggregates of TreeEnsemble-5 by their number.
_AGGREGATES: tuple[Aggregate, ...] = ("AVERAGE", "SUM", "MIN", "MAX")


@dataclass(frozen=True)
class _Regression:
    """A regressor: its trees, targets, aggregate, base values and transformation."""

    trees: Trees
    n_targets: int
    aggregate: Aggregate
    base: Sequence[float]
    transform: str


@dataclass(frozen=True)
class _Classification:
    """A classifier; ``labels`` is None if they are unused."""

    trees: Trees
    classes: Classes
    labels: Sequence[int] | None


class _OfTrees(Rewrite, abstract=True):
    plugin = TreeEnsemble

    def check(self, match: Match, x: gs.Tensor) -> Any:
        if match.rank(x) != 2:
            return "the rank of its input is unknown, or not 2"
        problem = match.dtype_problem(_NUMBERS, x)
        if problem:
            return problem
        try:
            facts = self.facts(match)
        except TreesError as error:
            return str(error)
        if isinstance(facts, str):
            return facts
        columns, wanted = (match.shape(x) or ())[1], facts.trees.features
        if columns is not None and columns < wanted:
            return f"it reads feature {wanted - 1} of {columns}"
        return facts

    def facts(self, match: Match) -> str | _Regression | _Classification:
        """Return what the node computes, or why that is unknown."""
        raise NotImplementedError


def _regression(
    trees: Trees, n_targets: int, aggregate: Any, base: Sequence[float], transform: str
) -> str | _Regression:
    if aggregate not in _AGGREGATES:
        return f"its aggregate '{aggregate}' is not known"
    if transform not in TRANSFORMS:
        return f"its transformation '{transform}' is not known"
    if len(base) not in (0, n_targets):
        return f"it has {len(base)} base values for {n_targets} targets"
    leaves = [len(node.weights) for node in trees.nodes if isinstance(node, LeafNode)]
    if n_targets == 1 and {*leaves} != {1}:
        return "a leaf has not one weight for its one target"
    always, ever = trees.scored()
    if any(base) and ever != always:
        return "a sample may have no weight of a target, where base values are not added"
    added_base = [value if target in ever else 0.0 for target, value in enumerate(base)]
    return _Regression(trees, n_targets, aggregate, added_base, transform)


class ReplaceTreeEnsembleRegressor(_OfTrees):
    """ai.onnx.ml.TreeEnsembleRegressor(x) -> transform(TreeEnsemble_PK(x, ...) + base values).

    A single target is transformed only for PROBIT, as in ONNX Runtime.
    """

    pattern = Op("TreeEnsembleRegressor", "x", domain=ML)

    def facts(self, match: Match) -> str | _Regression:
        n_targets = match.attribute("n_targets", 1)
        if n_targets < 1:
            return f"it has {n_targets} targets"
        return _regression(
            read_listed_trees(match, "target", n_targets),
            n_targets,
            match.attribute("aggregate_function", "SUM"),
            values_of(match, "base_values"),
            match.attribute("post_transform", "NONE"),
        )

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Regression) -> list[NewNode]:
        return _regress(match, x, facts)


class ReplaceTreeEnsemble(_OfTrees):
    """ai.onnx.ml.TreeEnsemble(x) -> transform(TreeEnsemble_PK(x, ...)).

    A branch on membership in a set becomes a chain of equalities. SOFTMAX and LOGISTIC do not
    match: ONNX numbers them 1 and 2, and ONNX Runtime the other way round.
    """

    pattern = Op("TreeEnsemble", "x", domain=ML)

    def facts(self, match: Match) -> str | _Regression:
        if match.dtype(match.inputs[0]) == "float64":
            return "its scores are float64"
        n_targets = match.attribute("n_targets", 1)
        number, transform = (
            match.attribute(name, default)
            for name, default in (("aggregate_function", 1), ("post_transform", 0))
        )
        if n_targets < 1 or not 0 <= number < 4 or not 0 <= transform < len(TRANSFORMS):
            return "its targets, aggregate or transformation are not known"
        if transform in (1, 2):
            return f"its transformation {transform} is one in ONNX, and another in ONNX Runtime"
        trees = read_trees(match, n_targets)
        return _regression(trees, n_targets, _AGGREGATES[number], (), TRANSFORMS[transform])

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Regression) -> list[NewNode]:
        return _regress(match, x, facts)


class ReplaceTreeEnsembleClassifier(_OfTrees):
    """ai.onnx.ml.TreeEnsembleClassifier(x) -> Gather(labels, ArgMax(s)), transform(s).

    Here s = TreeEnsemble_PK(x, ...) + base values. Two classes work as in ONNX Runtime: if only one
    class has weights, the second is chosen if their sum exceeds 0.5, or 0 if a weight is negative;
    if both have weights, the label is 1 if the second's score exceeds 0, else 0.
    """

    pattern = Op("TreeEnsembleClassifier", "x", domain=ML)

    def facts(self, match: Match) -> str | _Classification:
        names = match.attribute("classlabels_strings", [])
        labels = match.attribute("classlabels_int64s", [])
        is_labelled = match.is_used(match.outputs[0])
        if names and is_labelled:
            return "its labels are strings, which TensorRT has no tensors of"
        count = len(names or labels)
        if count < 2:
            return f"it has {count} classes"
        trees = read_listed_trees(match, "class", count)
        always, ever = trees.scored()
        classes = Classes(
            count,
            values_of(match, "base_values"),
            match.attribute("post_transform", "NONE"),
            frozenset(ever),
            all(weight >= 0 for _, weight in trees.weights()),
            len(always) < count,
        )
        return _class_problem(classes, always) or _Classification(
            trees, classes, labels if is_labelled else None
        )

    def rewrite(self, match: Match, x: gs.Tensor, facts: _Classification) -> list[NewNode]:
        new, classes = Replacement(match), facts.classes
        scores, nodes = _scores(
            match, x, facts.trees, n_targets=classes.count, unscored=classes.unscored
        )
        labels, chances = (*match.outputs, None)[:2]
        if chances is not None and chances.name:
            new.into([chances], "Identity", probabilities(new, scores, classes))
        if facts.labels is not None:
            positions = label_positions(new, scores, classes)
            is_mapped = classes.count > 2 or classes.is_one_score
            names = facts.labels if is_mapped else [0, 1]
            new.into([labels], "Gather", np.array(names, np.int64), positions)
        return [*nodes, *new]


def _class_problem(classes: Classes, always: set[int]) -> str | None:
    """Return why a classifier does not match, or None."""
    if classes.transform not in TRANSFORMS:
        return f"its transformation '{classes.transform}' is not known"
    is_pair = classes.count == 2
    allowed = (0, 1) if is_pair else (0, classes.count)
    if len(classes.base) not in allowed:
        return f"it has {len(classes.base)} base values for {classes.count} classes"
    if not is_pair:
        return None
    if not classes.ever or not classes.ever <= always:
        return "a sample may end in leaves without a weight of a class, of which it has two"
    if classes.is_one_score and 0 in classes.ever and classes.transform == "PROBIT":
        return "it has one score for two classes, which PROBIT does not transform"
    return None


def _regress(match: Match, x: gs.Tensor, facts: _Regression) -> list[NewNode]:
    new = Replacement(match)
    scores, nodes = _scores(
        match, x, facts.trees, n_targets=facts.n_targets, aggregate=facts.aggregate
    )
    transform = facts.transform if facts.n_targets > 1 or facts.transform == "PROBIT" else "NONE"
    new.end("Identity", transformed_scores(new, added(new, scores, facts.base), transform))
    return [*nodes, *new]


def _scores(
    match: Match, x: gs.Tensor, trees: Trees, *, n_targets: int, **attributes: Any
) -> tuple[gs.Tensor, list[NewNode]]:
    """Return the output of the plugin, and the nodes that compute it."""
    plugin = TreeEnsemble(n_targets=n_targets, features=trees.features, **attributes)
    packed = pack_trees(trees.nodes, trees.roots, n_targets)
    arrays = {"nodes": packed.nodes, "roots": packed.roots, "weights": packed.weights}
    stored: list[gs.Tensor | None] = [gs.Constant(*each) for each in arrays.items()]
    stored.append(None if packed.targets is None else gs.Constant("targets", packed.targets))
    nodes: list[NewNode] = []
    if match.dtype(x) != "float32":
        floats = gs.Variable("TreeEnsemble_floats")
        nodes.append(gs.Node("Cast", "", {"to": elem_type("float32")}, [x], [floats]))
        x = floats
    scores = gs.Variable("TreeEnsemble_scores")
    return scores, [*nodes, match.plugin_node(plugin, [x, *stored], [scores])]
