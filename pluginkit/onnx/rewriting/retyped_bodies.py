"""Carry values into and out of the branches of an If and the body of a Loop or Scan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import onnx
import onnx.helper

from pluginkit.onnx.inference.element_types import elem_type
from pluginkit.onnx.model.graphs import Scope, place_of
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_rewrite import Change

#: How many of a body's outputs, its first ones, have no counterpart among the node's outputs.
BODY_OUTPUTS = {"If": 0, "Loop": 1, "Scan": 0}
#: How many of a node's inputs, its first ones, are no state and no scanned input of its body.
_BODY_INPUTS = {"Loop": 2, "Scan": 0}


class BodyRetyping(Protocol):
    """What this needs of the retyping of a scope."""

    scope: Scope
    names: ModelNames
    carriers: Mapping[str, str]
    types_everywhere: Collection[str]
    changed: list[Change]

    def run(self) -> None: ...
    def write(self) -> None: ...
    def add(self, node: onnx.NodeProto) -> None: ...
    def makes(self, name: str) -> bool: ...
    def dtype(self, name: str) -> str: ...
    def set_dtype(self, name: str, dtype: str) -> None: ...
    def carrier_of(self, name: str) -> str: ...
    def computed(self, name: str) -> str: ...
    def set_carrier(self, name: str, carrier: str) -> None: ...
    def demand_originals(self, names: Collection[str]) -> None: ...


def retype_bodies(
    outer: BodyRetyping, node: onnx.NodeProto, bodies: Sequence[BodyRetyping]
) -> None:
    """Retype the bodies of a node, and what it gives to them and gets from them.

    Values of types that are carried everywhere go in and come out as carriers. A node with bodies
    that is not ONNX's own gets, and gives, the values themselves.
    """
    place = place_of(outer.scope, node)
    is_known = not node.domain and node.op_type in BODY_OUTPUTS
    given = _carry_inputs(outer, node, bodies[0]) if is_known else set()
    outer.demand_originals([name for at, name in enumerate(node.input) if at not in given])
    for body in bodies:
        body.run()
    dtypes = _output_dtypes(outer, node, bodies) if is_known else {}
    for body in bodies:
        _finish(body, dtypes, BODY_OUTPUTS.get(node.op_type, 0))
        body.write()
    for at, dtype in dtypes.items():
        name = node.output[at]
        if name:
            outer.set_dtype(name, dtype)
            node.output[at] = outer.names.new_value(f"{name}_carried")
            outer.set_carrier(name, node.output[at])
    if given or dtypes:
        outer.changed.append((place, (node.op_type,)))


def _carry_inputs(outer: BodyRetyping, node: onnx.NodeProto, body: BodyRetyping) -> set[int]:
    """Let carriers into a body; return the positions of the node's inputs that have become some."""
    carried: set[int] = set()
    if node.op_type not in _BODY_INPUTS or not isinstance(body.scope.graph, onnx.GraphProto):
        return carried
    inputs = body.scope.graph.input
    for at in range(_BODY_INPUTS[node.op_type], min(len(node.input), len(inputs))):
        value, name = inputs[at], node.input[at]
        dtype = body.dtype(value.name) or outer.dtype(name)
        if not name or dtype not in outer.types_everywhere:
            node.input[at] = outer.computed(name)
            if node.input[at] != name:
                carried.add(at)
            continue
        wide = outer.carriers[dtype]
        new = outer.names.new_value(f"{value.name}_{wide}")
        body.set_dtype(value.name, dtype)
        body.set_carrier(value.name, new)
        value.name = new
        value.type.tensor_type.elem_type = elem_type(wide)
        node.input[at] = outer.carrier_of(name)
        carried.add(at)
    return carried


def _output_dtypes(
    outer: BodyRetyping, node: onnx.NodeProto, bodies: Sequence[BodyRetyping]
) -> dict[int, str]:
    """Return the dtypes of the outputs that are to be carried, by position."""
    offset = BODY_OUTPUTS[node.op_type]
    found: dict[int, str] = {}
    for at, name in enumerate(node.output):
        values = [
            (body, value)
            for body in bodies
            if isinstance(body.scope.graph, onnx.GraphProto)
            for value in body.scope.graph.output[at + offset : at + offset + 1]
        ]
        known = [body.dtype(value.name) for body, value in values] + [outer.dtype(name)]
        dtype = next(filter(None, known), "")
        if dtype in outer.types_everywhere and len(values) == len(bodies):
            found[at] = dtype
    return found


def _finish(body: BodyRetyping, dtypes: Mapping[int, str], offset: int) -> None:
    """Let the body give carriers where its node gives them, else the values themselves."""
    graph = body.scope.graph
    if not isinstance(graph, onnx.GraphProto):
        return
    for at, value in enumerate(graph.output):
        dtype = dtypes.get(at - offset)
        if dtype is None:
            body.demand_originals([value.name])
            continue
        if not body.dtype(value.name):
            body.set_dtype(value.name, dtype)
        carrier = body.carrier_of(value.name)
        if not body.makes(carrier):  # it is an input of the body, stored, or of an outer graph
            outer, carrier = carrier, body.names.new_value(f"{value.name}_carried")
            body.add(onnx.helper.make_node("Identity", [outer], [carrier]))
        value.name = carrier
        value.type.tensor_type.elem_type = elem_type(body.carriers[dtype])
