"""Reduce messages along the edges of a graph where they are gathered, with one plugin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._message_passing import MessageReader, Messages
from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    main_and_bodies,
    place_of,
    plugin_node,
    replace_nodes,
)
from pluginkit.plugins.segment_reduce import SegmentReduce

_SCATTERS = ("ScatterElements", "ScatterND")


class ReduceSegments(GraphRewrite):
    """ScatterElements(zeros, i, w * Gather(x, j), add) -> SegmentReduce_PK(x, i, rows, j, w).

    That is what layers of graph networks export: i is expanded to each element of a message, w is
    absent, a number for each edge or one for each edge and head, and the reduction may be max or
    min. The whole mean, a Div by the number of messages or by 1, becomes one node too. Messages
    that are not gathered are taken if i is expanded. A ScatterND of whole rows, as index_add, is
    taken likewise. A scatter onto other data than zeros is left to ReplaceScatterElements, which
    also takes all of this where this rewrite is not asked for.
    """

    plugin = SegmentReduce
    pattern = Op(_SCATTERS)
    order = -1
    opt_in = True

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return [
            change
            for find in (_means, _reductions)
            for scope in main_and_bodies(graphs.model)
            for change in _replace(scope, graphs, find)
        ]


_Found = Iterator[tuple[int, Messages, str]]


def _means(index: GraphIndex, reader: MessageReader) -> _Found:
    for at in index.positions.get("Div", ()):
        found = reader.mean(index.nodes[at])
        if found is not None:
            yield at, found, "mean"


def _reductions(index: GraphIndex, reader: MessageReader) -> _Found:
    done = set[str]()
    scatters = [at for op in _SCATTERS for at in index.positions.get(op, ())]
    for at in sorted(scatters, reverse=True):
        name = index.nodes[at].output[0]
        found = reader.messages(index.nodes[at]) if name not in done else None
        if found is not None and (found.sources or found.is_expanded):
            yield at, found, found.reduction
            done |= {found.filled} if index.readers[found.filled] == 1 else set()


def _replace(
    scope: Scope, graphs: Graphs, find: Callable[[GraphIndex, MessageReader], _Found]
) -> Iterator[Change]:
    index = GraphIndex(scope)
    reader = MessageReader(index, graphs)
    new: dict[int, list[onnx.NodeProto]] = {}
    for at, messages, aggregate in find(index, reader):
        new[at] = _nodes(index.nodes[at], messages, aggregate, graphs, reader)
        yield place_of(scope, index.nodes[at]), tuple(each.op_type for each in new[at])
    if new:
        replace_nodes(index, new)


def _nodes(
    node: onnx.NodeProto,
    messages: Messages,
    aggregate: str,
    graphs: Graphs,
    reader: MessageReader,
) -> list[onnx.NodeProto]:
    made: list[onnx.NodeProto] = []

    def add(op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = graphs.names.new_value(f"{node.output[0]}/{op_type}")
        made.append(onnx.helper.make_node(op_type, inputs, [output], **attributes))
        return str(output)

    def constant(value: Sequence[int]) -> str:
        stored = onnx.numpy_helper.from_array(np.array(value, np.int64))
        return add("Constant", [], value=stored)

    if isinstance(messages.rows, int):
        rows = constant([messages.rows])
    else:
        rows = add("Gather", [messages.rows, constant([0])], axis=0)
    weights, destinations = messages.weights, messages.destinations
    if messages.heads > 1:
        weights = add("Reshape", [weights, constant([-1, messages.heads])])
    elif weights and len(reader.dims(weights) or ()) > 1:
        weights = add("Reshape", [weights, constant([-1])])
    if len(reader.dims(destinations) or ()) > 1:
        destinations = add("Reshape", [destinations, constant([-1])])
    plugin = SegmentReduce(aggregate=aggregate, initial=messages.initial)  # type: ignore[arg-type]
    inputs = [messages.x, destinations, rows, messages.sources, weights]
    made.append(plugin_node(plugin, inputs, list(node.output), node.name))
    for each in made[:-1]:
        each.name = graphs.names.new_node(f"{node.name}/{each.op_type}")
    return made
