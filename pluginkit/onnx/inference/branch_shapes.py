"""Infer shapes through an If: those of the branch that is taken, if its condition is known.

The TorchScript exporter writes Ifs whose condition follows from ranks and shapes alone, with
branches of different ranks. onnx's shape inference would take the shape of either branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import onnx
import onnx.helper
import onnx.numpy_helper
import onnx.reference

from pluginkit.onnx.inference.stand_ins import put_stand_ins
from pluginkit.onnx.inference.static_values import StaticValues
from pluginkit.onnx.inference.value_types import Types, dims_of, infer_once, known_sizes
from pluginkit.onnx.model.graphs import (
    Scope,
    inner_scopes,
    is_in_function,
    is_op,
    label,
    scopes,
)

#: A domain without operators: shape inference skips its nodes.
_HIDDEN = "pluginkit.hidden"
_BRANCHES = ("then_branch", "else_branch")

#: An If in its scope, with the scopes of its branches.
_Choice: TypeAlias = tuple[Scope, onnx.NodeProto, dict[str, Scope]]


def infer_through_branches(light: onnx.ModelProto) -> Types:
    """Infer the types of all values of a model without weights, which is changed.

    Errors:
        PK408: the model's types contradict each other.
    """
    put_stand_ins(light)
    choices = list(_choices(light, ""))
    _forget_branch_shapes(choices)
    plain = _infer(light)
    if not choices:
        return plain
    left = _settle_branches(light)
    types = _infer(light)
    for _, node, _ in [*_choices(light, _HIDDEN)]:
        node.domain = ""
    if any(_choices(light, "")):
        types = _infer(light)
        covered: set[str] = set()
        while _cover_unsound(light, types, covered):
            types = _infer(light)
    for path in plain.paths:
        if any(path == other or path.startswith(f"{other} / ") for other in left):
            types.keep(path, plain)
    return types


def _infer(light: onnx.ModelProto) -> Types:
    """Run shape inference; a Reshape to sizes that it cannot follow gets its rank all the same."""
    types = infer_once(light)
    while _declare_ranks(light, types):
        types = infer_once(light)
    return types


def _declare_ranks(light: onnx.ModelProto, types: Types) -> bool:
    """Declare the rank of each Reshape of unknown rank whose number of sizes is known.

    Returns:
        Whether there was one.
    """
    found = False
    for scope in scopes(light):
        graph = scope.graph
        if not isinstance(graph, onnx.GraphProto):
            continue
        declared = {value.name: value for value in (*graph.value_info, *graph.output)}
        for node in graph.node:
            if not is_op(node, "Reshape") or len(node.input) < 2:
                continue
            value_type = types.find(scope, node.output[0])
            length = (known_sizes(types.find(scope, node.input[1])) or (None,))[0]
            if length is None or value_type is None or dims_of(value_type) is not None:
                continue
            value = declared.get(node.output[0]) or graph.value_info.add(name=node.output[0])
            if not value.type.tensor_type.HasField("shape"):
                ranked = onnx.helper.make_tensor_type_proto(
                    value_type.tensor_type.elem_type, [None] * length
                )
                value.type.CopyFrom(ranked)
                found = True
    return found


def _forget_branch_shapes(choices: Iterable[_Choice]) -> None:
    """Remove the declared shapes of the outputs of If branches.

    The TorchScript exporter may declare the shape of the other branch; inference finds it again.
    """
    for _, _, branches in choices:
        for branch in branches.values():
            for value in branch.graph.output:
                if value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")


def _choices(light: onnx.ModelProto, domain: str) -> Iterator[_Choice]:
    """Yield every If outside of local functions that has this domain."""
    for scope in scopes(light):
        if not is_in_function(scope):
            for node, inner in inner_scopes(scope):
                if is_op(node, "If", domain):
                    yield scope, node, {name: body for name, body in inner if name in _BRANCHES}


def _settle_branches(light: onnx.ModelProto) -> set[str]:
    """Replace the branch that is not taken by a copy of the taken one, in each decidable If.

    All other Ifs are hidden from shape inference, so that nothing is decided on a guess.

    Returns:
        The paths of the branches that are not taken.
    """
    for _, node, _ in [*_choices(light, "")]:
        node.domain = _HIDDEN
    light.opset_import.add(domain=_HIDDEN, version=1)
    left: set[str] = set()
    while True:
        types = _infer(light)
        decided = []
        for scope, node, branches in _choices(light, _HIDDEN):
            if not node.input or branches.keys() != set(_BRANCHES):
                continue
            value = StaticValues(scope, types).find(node.input[0])
            if value is not None and value.size == 1:
                decided.append((node, branches, bool(value.item())))
        if not decided:
            return left
        for node, branches, condition in decided:
            taken, other = _BRANCHES if condition else _BRANCHES[::-1]
            branches[other].graph.CopyFrom(branches[taken].graph)
            left.add(branches[other].path)
            node.domain = ""


def _cover_unsound(light: onnx.ModelProto, types: Types, covered: set[str]) -> bool:
    """Forget the shapes of the outputs of each If that has a branch of unknown shapes.

    A node that shape inference skips is put behind each output, so that the branches are inferred
    all the same. Their dtypes are kept.

    Args:
        light: the model, which is changed.
        types: its types.
        covered: the paths of the branches of the Ifs with such nodes, which are added to.

    Returns:
        Whether there was another one.
    """
    found = []
    for scope, node, branches in [*_choices(light, "")]:
        known = [
            types.find(branch, value.name)
            for branch in branches.values()
            for value in branch.graph.output
        ]
        paths = {branch.path for branch in branches.values()}
        if covered.isdisjoint(paths) and any(dims_of(value_type) is None for value_type in known):
            found.append((scope, node))
            covered |= paths
    for scope, node in found:
        node.name = label(node)  # which names its branches
        at = next(at for at, each in enumerate(scope.graph.node) if each is node)
        for number, name in enumerate(node.output):
            value_type = types.find(scope, name)
            if value_type is None or value_type.WhichOneof("value") != "tensor_type":
                continue
            node.output[number] = f"{name}.{_HIDDEN}"
            cover = onnx.helper.make_node("Identity", [node.output[number]], [name], domain=_HIDDEN)
            scope.graph.node.insert(at + 1, cover)
            info = scope.graph.value_info.add(name=name)
            info.type.tensor_type.elem_type = value_type.tensor_type.elem_type
    return bool(found)
