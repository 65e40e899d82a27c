"""Unroll loops that run once, and those over sequences that run a known number of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._loop_probes import keeps_condition
from pluginkit.onnx import (
    BodyCopies,
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    StaticValues,
    bodies,
    dims_of,
    is_in_function,
    is_op,
    place_of,
    scopes,
)

#: The most runs of a loop, and nodes of all its runs, for which it is unrolled.
_MOST_RUNS, _MOST_NODES = 256, 20_000
_SEQUENCES = frozenset(
    {
        *("ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty"),
        *("SequenceErase", "SequenceInsert", "SequenceLength", "SplitToSequence"),
    }
)


class UnrollSequenceLoops(GraphRewrite):
    """Loop(3, sequence) -> body, body, body, with the values of each run renamed.

    For loops on sequences whose number of runs is stored in the model or follows from shapes, and
    is at most 256. Their condition must stay true.
    """

    pattern = Op("Loop")
    order = -3

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return _unroll_first(graphs, _is_over_sequences)


class UnrollSingleRun(GraphRewrite):
    """Loop(1, true, x) -> body(x).

    As tf2onnx writes the diagonals of a matrix, of which there is one. Sizes that the body computes
    are known then.
    """

    pattern = Op("Loop")
    order = -3

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return _unroll_first(graphs, lambda _graphs, _scope, _node, runs: runs == 1)


#: Whether to unroll a Loop that runs so often.
_Wanted = Callable[[Graphs, Scope, onnx.NodeProto, int], bool]


def _unroll_first(graphs: Graphs, is_wanted: _Wanted) -> list[Change]:
    """Unroll the loops of the first scope that has some."""
    for scope in list(scopes(graphs.model)):
        if not is_in_function(scope) and isinstance(scope.graph, onnx.GraphProto):
            changes = _unroll(graphs, scope, is_wanted)
            if changes:  # the scopes inside have new places
                return changes
    return []


def _unroll(graphs: Graphs, scope: Scope, is_wanted: _Wanted) -> list[Change]:
    changes: list[Change] = []
    nodes: list[onnx.NodeProto] = []
    for node in scope.graph.node:
        runs = _runs(graphs, scope, node)
        if runs is None or not is_wanted(graphs, scope, node, runs):
            nodes.append(node)
            continue
        place = place_of(scope, node)
        made = _Unrolling(graphs, scope, node).unrolled(runs)
        changes.append((place, tuple(dict.fromkeys(each.op_type for each in made))))
        nodes += made
    if changes:
        copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
        del scope.graph.node[:]
        scope.graph.node.extend(copies)
    return changes


def _runs(graphs: Graphs, scope: Scope, node: onnx.NodeProto) -> int | None:
    """Return how often a loop that can be unrolled runs; None for other nodes."""
    if not is_op(node, "Loop") or not node.input or not node.input[0]:
        return None
    body = next(body for _, body in bodies(node))
    values = StaticValues(scope, graphs.types)
    count = values.find(node.input[0])
    if count is None or count.size != 1 or not 0 <= count.item() <= _MOST_RUNS:
        return None
    start = True
    if len(node.input) > 1 and node.input[1]:
        condition = values.find(node.input[1])
        if condition is None:
            return None
        start = bool(condition.item())
    runs = int(count.item()) if start else 0
    scanned = len(body.output) - 1 - (len(node.input) - 2)
    if scanned < 0 or (runs == 0 and scanned):  # an invalid body has too few outputs
        return None
    stays = runs <= 1 or keeps_condition(body, values.find)
    return runs if stays and runs * len(body.node) <= _MOST_NODES else None


def _is_over_sequences(graphs: Graphs, scope: Scope, node: onnx.NodeProto, _: int) -> bool:
    body = next(body for _, body in bodies(node))
    return _has_sequences(body) or _carries_sequence(graphs, scope, node)


def _has_sequences(body: onnx.GraphProto) -> bool:
    return any(
        node.op_type in _SEQUENCES or any(_has_sequences(inner) for _, inner in bodies(node))
        for node in body.node
    )


def _carries_sequence(graphs: Graphs, scope: Scope, node: onnx.NodeProto) -> bool:
    types = (graphs.types.find(scope, name) for name in node.input[2:])
    return any(each is not None and each.HasField("sequence_type") for each in types)


class _Unrolling:
    """The runs of one loop, one after the other."""

    def __init__(self, graphs: Graphs, scope: Scope, node: onnx.NodeProto) -> None:
        self._graphs = graphs
        self._graph = scope.graph
        self._node = node
        self._body = next(body for _, body in bodies(node))
        self._copies = BodyCopies(graphs, scope.graph)
        self._opset = scope.opsets.get("", 1)

    def unrolled(self, runs: int) -> list[onnx.NodeProto]:
        """Return the nodes of all runs, and those that produce the loop's outputs."""
        carried = list(self._node.input[2:])
        scanned: list[list[str]] = [[] for _ in self._body.output[1 + len(carried) :]]
        nodes: list[onnx.NodeProto] = []
        # Bodies of PyTorch's tensor_split declare the number of a run as a vector of one element.
        declared = dims_of(self._body.input[0].type) or ()
        condition = self._stored("condition", np.array(True))
        for run in range(runs):
            number = self._stored("run", np.full([1] * len(declared), run, np.int64))
            given = [number, condition, *carried]
            names = {value.name: each for value, each in zip(self._body.input, given, strict=True)}
            made, outputs = self._copies.copy(self._body, names)
            nodes += made
            carried = outputs[1 : 1 + len(carried)]
            for parts, output in zip(scanned, outputs[1 + len(carried) :], strict=True):
                parts.append(output)
        for name, output in zip(carried, self._node.output, strict=False):
            if output:
                nodes.append(onnx.helper.make_node("Identity", [name], [output]))
        for parts, output in zip(scanned, self._node.output[len(carried) :], strict=True):
            if output:
                nodes += self._stacked(parts, output)
        return nodes

    def _stacked(self, parts: list[str], output: str) -> list[onnx.NodeProto]:
        """Return the nodes that stack values along a new first axis."""
        nodes, rows = [], []
        for part in parts:
            rows.append(self._graphs.names.new_value(f"{part}_row"))
            if self._opset < 13:
                nodes.append(onnx.helper.make_node("Unsqueeze", [part], rows[-1:], axes=[0]))
            else:
                axes = self._stored("axes", np.zeros(1, np.int64))
                nodes.append(onnx.helper.make_node("Unsqueeze", [part, axes], rows[-1:]))
        return [*nodes, onnx.helper.make_node("Concat", rows, [output], axis=0)]

    def _stored(self, name: str, array: np.ndarray) -> str:
        tensor = onnx.numpy_helper.from_array(array, self._graphs.names.new_value(name))
        self._graph.initializer.append(tensor)
        return str(tensor.name)
