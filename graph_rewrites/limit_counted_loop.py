"""Count the runs of a Loop that ends when a counter reaches a limit, as TensorFlow's loops do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    collects_without_limit,
    inner_scopes,
    is_op,
    place_of,
    replace_nodes,
    source_of,
)

_COMPARED = {"Less": (0, 1), "Greater": (1, 0)}
#: A stored number, or the name of a value.
_Value: TypeAlias = npt.NDArray[Any] | str


class LimitCountedLoop(GraphRewrite):
    """Loop('', i < n, i) whose body ends with i + 1 < n -> Loop(max(n - i, 0), true, i).

    For a Loop that collects a value of each run, as TensorFlow's loops with a TensorArray do:
    TensorRT has to know how many there are. i is an integer, n stays the same, and the condition in
    front of the Loop is the one of its body, or stored and true. i and n may be cast to floats to
    be compared, as tf2onnx does, which is exact up to 2^24.
    """

    pattern = Op("Loop")
    order = -2

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        bodies = {id(node): found[0][1] for node, found in inner_scopes(scope) if found}
        for position, node in enumerate(index.nodes):
            if not is_op(node, "Loop") or scope.opsets.get("", 0) < 13:  # Max of integers: 12
                continue
            body = bodies[id(node)]
            if not (
                isinstance(body.graph, onnx.GraphProto) and collects_without_limit(index, node)
            ):
                continue
            inside = _Values(GraphIndex(body), graphs)
            found = _counted(_Values(index, graphs), inside, node, body.graph)
            if found is not None:
                yield place_of(scope, node), ("Sub", "Max", "Loop")
                replace_nodes(index, {position: _limited(graphs, node, found)})
                return  # the driver asks again


@dataclass(frozen=True)
class _Counted:
    """The runs of a loop: one for each number from ``first`` to ``end``, which is none of them.

    ``is_begun`` says that the first one runs in any case.
    """

    first: _Value
    end: _Value
    is_begun: bool


class _Values:
    """Looks values of a scope up."""

    def __init__(self, index: GraphIndex, graphs: Graphs) -> None:
        self.index = index
        self._types = graphs.types

    @staticmethod
    def stored(index: GraphIndex, name: str) -> npt.NDArray[Any] | None:
        """Return the stored number of that name."""
        tensor = index.constant(name)
        is_number = tensor is not None and list(tensor.dims) in ([], [1])
        return (
            onnx.numpy_helper.to_array(tensor).reshape(())
            if tensor is not None and is_number
            else None
        )

    def source(self, name: str) -> str:
        """Return the value whose number a value is."""
        return source_of(name, self.maker)

    def maker(self, name: str) -> onnx.NodeProto | None:
        """Return the node that makes a value."""
        at = self.index.producers.get(name)
        return None if at is None else self.index.nodes[at]

    def value(self, name: str) -> _Value | None:
        """Return the source of a value, as a number if it is stored; None if it is no integer."""
        name = self.source(name)
        stored = self.stored(self.index, name)
        if stored is not None:
            return stored if np.isfinite(stored) and stored == np.round(stored) else None
        known = self._types.find(self.index.scope, name)
        if known is None or known.tensor_type.elem_type not in (
            onnx.TensorProto.INT32,
            onnx.TensorProto.INT64,
        ):
            return None
        return name

    def less(self, name: str) -> tuple[str, str] | None:
        """Return the two values of a comparison, the first of which has to be less."""
        node = self.maker(self.source(name))
        if node is None or node.op_type not in _COMPARED or not is_op(node, node.op_type):
            return None
        first, second = _COMPARED[node.op_type]
        return node.input[first], node.input[second]


def _counted(
    outer: _Values, inner: _Values, node: onnx.NodeProto, graph: onnx.GraphProto
) -> _Counted | None:
    """Return how often a Loop runs; None if a counter does not decide that alone."""
    compared = inner.less(graph.output[0].name)
    if compared is None:
        return None
    counter, limit = (inner.source(name) for name in compared)
    carried = len(node.input) - 2
    given = {each.name: at for at, each in enumerate(graph.input[2:])}
    after = [inner.source(each.name) for each in graph.output[1 : 1 + carried]]
    unchanged = {name: node.input[2 + at] for name, at in given.items() if after[at] == name}
    at = next((at for at in given.values() if after[at] == counter), None)
    if at is None or not _adds_one(inner, outer, counter, graph.input[2 + at].name, unchanged):
        return None
    first = outer.value(node.input[2 + at])
    end = _outside(inner, outer, limit, unchanged)
    if first is None or end is None:
        return None
    begins = outer.less(node.input[1]) if node.input[1] else None
    if begins is not None:
        same = zip(map(outer.value, begins), (first, end), strict=True)
        return _Counted(first, end, False) if all(_is_same(*each) for each in same) else None
    stored = outer.stored(outer.index, node.input[1]) if node.input[1] else np.array(True)
    return _Counted(first, end, True) if stored is not None and stored else None


def _adds_one(
    inner: _Values, outer: _Values, after: str, before: str, unchanged: Mapping[str, str]
) -> bool:
    """Whether a value of the body is one more than another."""
    node = inner.maker(after)
    if node is None or not is_op(node, "Add"):
        return False
    sources = [inner.source(name) for name in node.input]
    if before not in sources:
        return False
    step = _outside(inner, outer, sources[1 - sources.index(before)], unchanged)
    return _is_same(step, np.array(1))


def _outside(
    inner: _Values, outer: _Values, name: str, unchanged: Mapping[str, str]
) -> _Value | None:
    """Return what a value of the body is in the scope of the Loop; None if it is not there."""
    if name in unchanged:
        return outer.value(unchanged[name])
    stored = inner.value(name)
    if not isinstance(stored, str):
        return stored
    return outer.value(name) if inner.index.is_outer(name) else None


def _is_same(one: _Value | None, other: _Value | None) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other if isinstance(one, type(other)) else False
    return one is not None and other is not None and bool(one == other)


def _limited(graphs: Graphs, node: onnx.NodeProto, found: _Counted) -> list[onnx.NodeProto]:
    """Return the nodes that count the runs, and the Loop with that number of them."""
    nodes: list[onnx.NodeProto] = []

    def add(op_type: str, *inputs: str, **attributes: Any) -> str:
        name = graphs.names.new_value(f"{node.output[0]}_{op_type.lower()}")
        nodes.append(onnx.helper.make_node(op_type, inputs, [name], **attributes))
        return name

    def store(number: Any) -> str:
        return add("Constant", value=onnx.numpy_helper.from_array(np.asarray(number)))

    def integer(value: _Value) -> str:
        if not isinstance(value, str):
            return store(value.astype(np.int64))
        cast = add("Cast", value, to=onnx.TensorProto.INT64)
        return add("Reshape", cast, store(np.zeros(0, np.int64)))

    count = add("Sub", integer(found.end), integer(found.first))
    limit = add("Max", count, store(np.int64(found.is_begun)))
    loop = onnx.NodeProto.FromString(node.SerializeToString())
    loop.input[0], loop.input[1] = limit, store(np.array(True))
    body = next(each.g for each in loop.attribute if each.name == "body")
    going = graphs.names.new_value(f"{body.input[1].name}_kept")
    body.node.append(onnx.helper.make_node("Identity", [body.input[1].name], [going]))
    body.output[0].name = going
    return [*nodes, loop]
