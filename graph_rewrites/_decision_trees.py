"""Read the decision trees of ai.onnx.ml's operators."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pluginkit.onnx import Match
from pluginkit.plugins.tree_ensemble.launches import MAX_FEATURES
from pluginkit.plugins.tree_ensemble.packing import BranchNode, LeafNode

#: The kinds of branches of TreeEnsemble-5, by their number, and the one without a number below 6.
_KINDS = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ")
_MEMBER = "MEMBER"
#: The name of a node or a leaf in the operator's attributes.
_NodeName: TypeAlias = Hashable


class TreesError(Exception):
    """The attributes do not describe trees; the text says why."""


@dataclass(frozen=True)
class Trees:
    """The trees of a node, as ``pack_trees`` takes them."""

    nodes: list[BranchNode | LeafNode]
    roots: list[int]

    @property
    def features(self) -> int:
        """The number of features: one more than the last one that is read."""
        return 1 + max(
            (node.feature for node in self.nodes if isinstance(node, BranchNode)), default=-1
        )

    def scored(self) -> tuple[set[int], set[int]]:
        """Return the targets with a weight for every sample, and those with a weight for any."""
        always: set[int] = set()
        ever: set[int] = set()
        for first, last in zip(self.roots, [*self.roots[1:], len(self.nodes)], strict=True):
            leaves = [
                {target for target, _ in node.weights}
                for node in self.nodes[first:last]
                if isinstance(node, LeafNode)
            ]
            always |= set.intersection(*leaves)
            ever |= set.union(*leaves)
        return always, ever

    def weights(self) -> list[tuple[int, float]]:
        """Return the weights of all leaves, with their targets."""
        return [
            weight for node in self.nodes if isinstance(node, LeafNode) for weight in node.weights
        ]


@dataclass(frozen=True)
class _Branch:
    """A branch whose children have the names that the attributes give them."""

    kind: str
    feature: int
    values: Sequence[float]
    children: tuple[_NodeName, _NodeName]
    is_true_for_nan: bool


def _grown(roots: Sequence[_NodeName], node_of: Callable[[_NodeName], _Branch | LeafNode]) -> Trees:
    """Number the nodes of trees, children after their parents.

    A branch on membership in a set becomes a chain of equalities, which share the child where one
    of them holds.
    """
    nodes: list[BranchNode | LeafNode] = []
    starts = []
    for root in roots:
        starts.append(len(nodes))
        order = _parents_first(root, node_of)
        numbers: dict[_NodeName, int] = {}
        following = len(nodes)
        for key, node in order.items():
            numbers[key] = following
            following += 1 if isinstance(node, LeafNode) else len(node.values)
        for node in order.values():
            nodes += [node] if isinstance(node, LeafNode) else _chain(node, numbers, len(nodes))
    if not starts:
        raise TreesError("it has no trees")
    return Trees(nodes, starts)


def _parents_first(
    root: _NodeName, node_of: Callable[[_NodeName], _Branch | LeafNode]
) -> dict[_NodeName, _Branch | LeafNode]:
    """Return the nodes of a tree, each after all its parents: LightGBM's sets share children."""
    found: dict[_NodeName, _Branch | LeafNode] = {}
    left: list[_NodeName] = []
    inside: set[_NodeName] = set()
    waiting = [(root, False)]
    while waiting:
        key, is_done = waiting.pop()
        if is_done:
            inside.remove(key)
            left.append(key)
        elif key in inside:
            raise TreesError(f"node {key} is below itself")
        elif key not in found:
            node = found[key] = node_of(key)
            inside.add(key)
            waiting.append((key, True))
            if not isinstance(node, LeafNode):
                waiting += [(child, False) for child in node.children]
    return {key: found[key] for key in reversed(left)}


def _chain(branch: _Branch, numbers: Mapping[_NodeName, int], first: int) -> list[BranchNode]:
    """Return the nodes of a branch, one for each value, from the number ``first`` on."""
    kind = "EQ" if branch.kind == _MEMBER else branch.kind
    if_true, if_false = (numbers[child] for child in branch.children)
    others = [*range(first + 1, first + len(branch.values)), if_false]
    return [
        BranchNode(kind, branch.feature, value, (if_true, other), branch.is_true_for_nan)
        for value, other in zip(branch.values, others, strict=True)
    ]


def values_of(match: Match, name: str) -> list[Any]:
    """Return an attribute that is a list, or that is given as a tensor."""
    stored = match.attribute(f"{name}_as_tensor")
    if stored is None:
        stored = match.attribute(name, [])
    return list(np.asarray(stored).astype(np.float32).tolist()) if len(stored) else []


def read_listed_trees(match: Match, prefix: str, n_targets: int) -> Trees:
    """Read the trees of TreeEnsembleClassifier and TreeEnsembleRegressor.

    Args:
        match: the node.
        prefix: "class" or "target".
        n_targets: the number of classes or targets.

    Raises:
        TreesError: the attributes describe no trees.
    """
    trees, numbers = (match.attribute(f"nodes_{name}", []) for name in ("treeids", "nodeids"))
    keys = list(zip(trees, numbers, strict=False))
    columns = [
        match.attribute("nodes_modes", []),
        match.attribute("nodes_featureids", []),
        values_of(match, "nodes_values"),
        match.attribute("nodes_truenodeids", []),
        match.attribute("nodes_falsenodeids", []),
    ]
    tracks = match.attribute("nodes_missing_value_tracks_true", []) or [0] * len(keys)
    if any(len(each) != len(keys) for each in (trees, numbers, *columns, tracks)):
        raise TreesError("its attributes nodes_... have different lengths")
    place: dict[_NodeName, int] = {key: at for at, key in enumerate(keys)}
    starts = [at for at, tree in enumerate(trees) if at == 0 or trees[at - 1] != tree]
    if len(place) != len(keys) or len(set(trees)) != len(starts):
        raise TreesError("a node occurs twice, or the nodes of a tree are not together")
    weights = _listed_weights(match, prefix, n_targets)
    modes, features, values, true_children, false_children = columns

    def node_of(key: _NodeName) -> _Branch | LeafNode:
        at = place.get(key)
        if at is None:
            raise TreesError(f"there is no node {key}, which is a child")
        kind = modes[at].removeprefix("BRANCH_")
        if kind == "LEAF":
            return LeafNode(weights.get(key, []))
        if kind not in _KINDS:
            raise TreesError(f"its mode '{modes[at]}' is not known")
        children = (trees[at], true_children[at]), (trees[at], false_children[at])
        feature = _feature(features[at])
        return _Branch(kind, feature, [values[at]], children, tracks[at] == 1)

    return _grown([keys[at] for at in starts], node_of)


def _listed_weights(
    match: Match, prefix: str, n_targets: int
) -> dict[_NodeName, list[tuple[int, float]]]:
    columns = [match.attribute(f"{prefix}_{name}", []) for name in ("treeids", "nodeids", "ids")]
    weights = values_of(match, f"{prefix}_weights")
    if any(len(each) != len(weights) for each in columns):
        raise TreesError(f"its attributes {prefix}_... have different lengths")
    found: dict[_NodeName, list[tuple[int, float]]] = {}
    for tree, number, target, weight in zip(*columns, weights, strict=True):
        _check_target(target, n_targets)
        held = found.setdefault((tree, number), [])
        # scikit-learn's exporter numbers leaves so; ONNX Runtime reads one weight of one target
        if n_targets > 1 or (target, weight) not in held:
            held.append((target, weight))
    return found


def read_trees(match: Match, n_targets: int) -> Trees:
    """Read the trees of TreeEnsemble-5.

    Raises:
        TreesError: the attributes describe no trees.
    """
    names = ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    columns = [match.attribute(f"nodes_{name}", []) for name in names]
    modes, splits = (_array(match, f"nodes_{name}") for name in ("modes", "splits"))
    tracks = match.attribute("nodes_missing_value_tracks_true", []) or [0] * len(modes)
    if any(len(each) != len(modes) for each in (*columns, splits, tracks)):
        raise TreesError("its attributes nodes_... have different lengths")
    if any(not 0 <= mode <= len(_KINDS) for mode in modes):
        raise TreesError("it has modes above 6, which are not known")
    sets = _sets(_array(match, "membership_values"))
    is_member = [mode == len(_KINDS) for mode in modes]
    if sum(is_member) != len(sets):
        raise TreesError(f"it has {len(sets)} sets of members for {sum(is_member)} nodes")
    set_of = dict(zip(np.flatnonzero(is_member).tolist(), sets, strict=True))
    targets, weights = match.attribute("leaf_targetids", []), _array(match, "leaf_weights")
    if len(targets) != len(weights):
        raise TreesError("its attributes leaf_... have different lengths")
    for target in targets:
        _check_target(target, n_targets)
    features, true_children, true_leaves, false_children, false_leaves = columns

    def node_of(key: Any) -> _Branch | LeafNode:
        is_leaf, at = key
        if not 0 <= at < len(weights if is_leaf else modes):
            raise TreesError(f"there is no {'leaf' if is_leaf else 'node'} {at}, which is a child")
        if is_leaf:
            return LeafNode([(targets[at], weights[at])])
        kind = (*_KINDS, _MEMBER)[int(modes[at])]
        children = (
            (bool(true_leaves[at]), true_children[at]),
            (bool(false_leaves[at]), false_children[at]),
        )
        values = set_of.get(at, [splits[at]])
        return _Branch(kind, _feature(features[at]), values, children, tracks[at] == 1)

    return _grown([(False, root) for root in match.attribute("tree_roots", [])], node_of)


def _array(match: Match, name: str) -> list[float]:
    stored = match.attribute(name)
    return [] if stored is None else np.asarray(stored).astype(np.float32).ravel().tolist()


def _sets(values: Sequence[float]) -> list[list[float]]:
    """Split the members of sets at NaN, which ends each set. An empty set becomes NaN."""
    sets: list[list[float]] = []
    members: list[float] = []
    for value in values:
        if value == value:
            members.append(value)
        else:
            sets.append(members or [value])
            members = []
    return [*sets, members] if members else sets


def _feature(number: int) -> int:
    if not 0 <= number < MAX_FEATURES:
        raise TreesError(f"it reads feature {number}")
    return number


def _check_target(target: int, n_targets: int) -> None:
    if not 0 <= target < n_targets:
        raise TreesError(f"it has weights for target {target} of {n_targets}")
