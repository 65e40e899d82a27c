"""Give values another type across operators, branches and bodies.

A *carried* value has a type that TensorRT lacks, and travels in one that it has: its *carrier*.
Casts are left where a carried value meets a node that cannot work on carriers, and at the borders
of the main graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Protocol

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.element_types import dtype_of_elem_type, elem_type, in_dtype
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import (
    Scope,
    defined_names,
    inner_scopes,
    names_read,
    output_names,
    place_of,
    scopes,
)
from pluginkit.onnx.rewriting.carried_node import CarriedNode
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.scope_edit import drop_value_info

#: For Loop and Scan: how many of the body's inputs, and of its outputs, have no counterpart among
#: the node's inputs after its first ones, and among its outputs.
_BODY_INPUTS = {"Loop": 2, "Scan": 0}
_BODY_OUTPUTS = {"If": 0, "Loop": 1, "Scan": 0}


class CarrierRules(Protocol):
    """Which types are carried, and how operators work on carriers."""

    @property
    def carriers(self) -> Mapping[str, str]:
        """The carrier of each type: ``{"uint8": "int32"}``."""
        ...

    @property
    def everywhere(self) -> Collection[str]:
        """The types that are carried through branches and bodies too."""
        ...

    def carries(self, node: CarriedNode) -> bool:
        """Whether a node that reads or makes values of such types is to work on carriers."""
        ...

    def convert(self, node: CarriedNode) -> None:
        """Add nodes that do on carriers what the node does on the values themselves."""
        ...


def retype(graphs: Graphs, rules: CarrierRules) -> list[Change]:
    """Carry values of the main graph and its bodies; return the changes.

    Args:
        graphs: the graphs, which are changed. Local functions are left.
        rules: which types are carried, and how.
    """
    scope = next(scopes(graphs.model))
    main = ScopeRetyping(scope, None, graphs.types, graphs.names, rules)
    main.run()
    main.restore_outputs()
    main.write()
    return main.changed


class ScopeRetyping:
    """Retypes the values of one scope and of the scopes inside it.

    Attributes:
        scope: the scope.
        index: its nodes as they were.
        changed: the changes so far, those of inner scopes included.
        names: makes new names.
        carriers: the carrier of each type.
        is_body: whether the scope is a body, and not the main graph.
    """

    def __init__(
        self,
        scope: Scope,
        outer: ScopeRetyping | None,
        types: Types,
        names: ModelNames,
        rules: CarrierRules,
    ) -> None:
        self.scope = scope
        self.index = GraphIndex(scope)
        self.changed: list[Change] = outer.changed if outer is not None else []
        self.names = names
        self.carriers = rules.carriers
        self.is_body = outer is not None
        self._rules = rules
        self._outer = outer
        self._types = types
        self._defined = defined_names(scope.graph)
        self._inner = {id(node): bodies for node, bodies in inner_scopes(scope)}
        self._nodes: list[onnx.NodeProto] = []
        self._carriers: dict[str, str] = {}
        self._restored: dict[str, str] = {}
        self._gone: set[str] = set()
        self._converted: set[str] = set()

    def run(self) -> None:
        """Retype the nodes, in order."""
        for node in self.index.nodes:
            inner = self._inner.get(id(node))
            if inner is not None:
                self._retype_bodies(node, dict(inner))
                continue
            carried = CarriedNode(self, node)
            if carried.touches_carried and self._rules.carries(carried):
                before = len(self._nodes)
                self._rules.convert(carried)
                made = tuple(dict.fromkeys(each.op_type for each in self._nodes[before:]))
                self.changed.append((place_of(self.scope, node), made))
                self._gone.update(carried.given)
            else:
                self.add(self._with_originals(node))

    def write(self) -> None:
        """Put the new nodes into the graph, and drop stored values that nobody reads any more."""
        graph = self.scope.graph
        if list(map(id, self._nodes)) == list(map(id, self.index.nodes)):
            return
        nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in self._nodes]
        del graph.node[:]
        graph.node.extend(nodes)
        drop_value_info(self.scope, self._gone)
        read = {name for node in graph.node for name in names_read(node)}
        kept = read | set(output_names(graph)) | {value.name for value in graph.input}
        for at in reversed(range(len(graph.initializer))):
            name = graph.initializer[at].name
            if name in self._converted and name not in kept:
                del graph.initializer[at]

    def add(self, node: onnx.NodeProto) -> None:
        """Append a node to the new nodes of the scope."""
        self._nodes.append(node)

    def dtype(self, name: str) -> str:
        """Return the dtype that a value had before retyping; "" if it is unknown."""
        found = self._types.find(self.scope, name) if name else None
        number = found.tensor_type.elem_type if found is not None else 0
        return dtype_of_elem_type(number) if number else ""

    def is_carried(self, name: str) -> bool:
        """Whether a value has a carrier already, or can get one without a Cast of the value."""
        owner = self._owner(name)
        if owner is None:
            return False
        stored = owner.index.constant(name)
        return name in owner._carriers or (stored is not None and not is_external(stored))

    def carrier_of(self, name: str) -> str:
        """Return the carrier of a value; make one if it has none yet."""
        owner = self._owner(name) or self
        for each in (self, owner):
            if name in each._carriers:
                return each._carriers[name]
        dtype = self.carriers[self.dtype(name)]
        stored = owner.index.constant(name)
        new = self.names.new_value(f"{name}_{dtype}")
        if stored is not None and not is_external(stored) and name not in owner.index.producers:
            array = in_dtype(onnx.numpy_helper.to_array(stored), dtype)
            owner.scope.graph.initializer.append(onnx.numpy_helper.from_array(array, new))
            owner._carriers[name] = new
            owner._converted.add(name)
        else:
            if stored is not None and self.dtype(name) == "int8":
                self._cast(self._dequantized(name), new, dtype)
            else:
                self._cast(self.original_of(name), new, dtype)
            self._carriers[name] = new
        return new

    def set_carrier(self, name: str, carrier: str) -> None:
        """Record the value that carries an output of this scope's nodes."""
        self._carriers[name] = carrier

    def original_of(self, name: str) -> str:
        """Return a value of the type that ``name`` had; cast the carrier back if need be."""
        owner = self._owner(name)
        if owner is None or name not in owner._gone:
            return name
        if name not in self._restored:
            # Inside a body the name may still come back in the outer scope.
            self._restored[name] = (
                name if owner is self else self.names.new_value(f"{name}_restored")
            )
            if owner is self:
                self._gone.discard(name)
            self._cast(owner._carriers[name], self._restored[name], self.dtype(name))
        return self._restored[name]

    def restore_outputs(self) -> None:
        """Give every output of the graph its type again."""
        for name in output_names(self.scope.graph):
            self.original_of(name)

    @cached_property
    def readers(self) -> Mapping[str, list[onnx.NodeProto]]:
        """The nodes that read each value, those with bodies included."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.index.nodes:
            for name in names_read(node):
                found.setdefault(name, []).append(node)
        return found

    def _owner(self, name: str) -> ScopeRetyping | None:
        """Return the scope that defines a name."""
        scope: ScopeRetyping | None = self
        while scope is not None and name not in scope._defined:
            scope = scope._outer
        return scope

    def _cast(self, name: str, new: str, dtype: str) -> None:
        label = self.names.new_node(f"{name}_to_{dtype}")
        self.add(onnx.helper.make_node("Cast", [name], [new], name=label, to=elem_type(dtype)))

    def _dequantized(self, name: str) -> str:
        """Return an int8 weight in an external file as floats; TensorRT casts no stored int8."""
        one = self.names.new_value(f"{name}_scale")
        graph = self.scope.graph
        if isinstance(graph, onnx.GraphProto):
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), one))
        new = self.names.new_value(f"{name}_float32")
        label = self.names.new_node(new)
        self.add(onnx.helper.make_node("DequantizeLinear", [name, one], [new], name=label))
        return new

    def _with_originals(self, node: onnx.NodeProto) -> onnx.NodeProto:
        originals = [self.original_of(name) if name else "" for name in node.input]
        if originals == list(node.input):
            return node
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = originals
        return copy

    def _retype_bodies(self, node: onnx.NodeProto, inner: Mapping[str, Scope]) -> None:
        """Retype a node with bodies: its state, its bodies and its outputs."""
        bodies = [
            ScopeRetyping(scope, self, self._types, self.names, self._rules)
            for scope in inner.values()
        ]
        is_known = not node.domain and node.op_type in _BODY_OUTPUTS
        place = place_of(self.scope, node)
        names = list(node.input)
        first = _BODY_INPUTS.get(node.op_type) if is_known else None
        changed = False
        for at in range(len(names)):
            value = bodies[0].scope.graph.input[at] if first is not None and at >= first else None
            if value is None or not names[at] or not self._is_everywhere(bodies[0], value.name):
                names[at] = self.original_of(names[at]) if names[at] else ""
                continue
            names[at] = self._carrier_in(bodies[0], value, names[at])
            changed = True
        for body in bodies:
            body.run()
        carried = self._carried_outputs(node, bodies) if is_known else []
        for body in bodies:
            body.finish(carried, _BODY_OUTPUTS.get(node.op_type, 0))
            body.write()
        if changed or carried:
            self.changed.append((place, (node.op_type,)))
        node.input[:] = names
        for at in carried:
            name = node.output[at]
            if name:
                node.output[at] = self.names.new_value(f"{name}_carried")
                self._carriers[name] = node.output[at]
                self._gone.add(name)
        self.add(node)

    def _is_everywhere(self, body: ScopeRetyping, name: str) -> bool:
        return body.dtype(name) in self._rules.everywhere

    def _carrier_in(self, body: ScopeRetyping, value: onnx.ValueInfoProto, given: str) -> str:
        """Retype an input of a body, and return the carrier of the value that it gets."""
        dtype = body.dtype(value.name)
        new = self.names.new_value(f"{value.name}_{self.carriers[dtype]}")
        body._carriers[value.name] = new
        body._gone.add(value.name)
        value.name = new
        value.type.tensor_type.elem_type = elem_type(self.carriers[dtype])
        return self.carrier_of(given)

    def _carried_outputs(
        self, node: onnx.NodeProto, bodies: Collection[ScopeRetyping]
    ) -> list[int]:
        """Return the positions of the outputs whose type is carried everywhere."""
        offset = _BODY_OUTPUTS[node.op_type]
        return [
            at
            for at in range(len(node.output))
            if any(
                self._is_everywhere(body, value.name)
                for body in bodies
                for value in body.scope.graph.output[at + offset : at + offset + 1]
            )
        ]

    def finish(self, carried: Collection[int], offset: int) -> None:
        """Let the body give carriers where its node gives them, else the values themselves."""
        graph = self.scope.graph
        if not isinstance(graph, onnx.GraphProto):
            return
        for at, value in enumerate(graph.output):
            if at - offset in carried:
                dtype = self.carriers[self.dtype(value.name)]
                carrier = self.carrier_of(value.name)
                if not any(carrier in node.output for node in self._nodes):  # of an outer graph
                    outer, carrier = carrier, self.names.new_value(f"{value.name}_carried")
                    self.add(onnx.helper.make_node("Identity", [outer], [carrier]))
                value.name = carrier
                value.type.tensor_type.elem_type = elem_type(dtype)
            else:
                value.name = self.original_of(value.name)
