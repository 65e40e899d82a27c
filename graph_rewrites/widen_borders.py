"""Give the model inputs and outputs of types that an engine can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
import onnx.helper

from pluginkit.onnx import (
    WIDER_TYPES,
    Change,
    GraphRewrite,
    Graphs,
    Op,
    dtype_of_elem_type,
    elem_type,
    place_of,
    rename_reads,
    scopes,
)


class WidenBorders(GraphRewrite):
    """int16 or uint16 -> int32, uint32 or uint64 -> int64, as inputs and outputs of the model.

    No engine has the former there. Inside the model Casts give each value its type again, for which
    CarryIntegers finds one that TensorRT has. A uint64 from 2^63 on is the negative int64 of the
    same bits.
    """

    pattern = Op("Cast")
    order = -3
    cost = (
        "an input or output is wider than in the original, whose type no engine has there: int32 "
        "instead of 16 bits, int64 instead of uint32 and uint64."
    )

    def may_change(self, graphs: Graphs) -> bool:
        graph = graphs.model.graph
        return any(_wider(value) for value in (*graph.input, *graph.output))

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        return [*_widen_inputs(graphs), *_widen_outputs(graphs)]


def _wider(value: onnx.ValueInfoProto) -> int:
    """Return the type that an engine has instead of the value's; 0 if it has that."""
    dtype = dtype_of_elem_type(value.type.tensor_type.elem_type)
    return elem_type(WIDER_TYPES[dtype]) if dtype in WIDER_TYPES else 0


def _widen_inputs(graphs: Graphs) -> Iterator[Change]:
    graph = graphs.model.graph
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in stored or not _wider(value):
            continue
        narrow = graphs.names.new_value(f"{value.name}_narrow")
        rename_reads(graph, {value.name: narrow})
        graph.node.insert(0, _cast(graphs, value.name, narrow, value.type.tensor_type.elem_type))
        yield place_of(next(scopes(graphs.model)), graph.node[0]), ("Cast",)
        value.type.tensor_type.elem_type = _wider(value)


def _widen_outputs(graphs: Graphs) -> Iterator[Change]:
    graph = graphs.model.graph
    done = {value.name for value in graph.input}
    for value in graph.output:
        wide, name = _wider(value), value.name
        if not wide:
            continue
        value.type.tensor_type.elem_type = wide
        if name in done:
            continue
        done.add(name)
        narrow = graphs.names.new_value(f"{name}_narrow")
        rename_reads(graph, {name: narrow})
        for tensor in graph.initializer:
            tensor.name = narrow if tensor.name == name else tensor.name
        for node in graph.node:
            node.output[:] = [narrow if each == name else each for each in node.output]
        graph.node.append(_cast(graphs, narrow, name, wide))
        yield place_of(next(scopes(graphs.model)), graph.node[-1]), ("Cast",)


def _cast(graphs: Graphs, source: str, target: str, wanted: int) -> onnx.NodeProto:
    name = graphs.names.new_node(f"{target}_cast")
    return onnx.helper.make_node("Cast", [source], [target], name, to=wanted)
