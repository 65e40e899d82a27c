"""Give values another type across operators, branches and bodies.

A *carried* value has a type that TensorRT lacks, and travels in one that it has: its *carrier*.
Casts are left where a carried value meets a node that cannot work on carriers, and at the borders
of the main graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

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
from pluginkit.onnx.rewriting.carrier_rules import CarrierRules
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.retyped_bodies import BODY_OUTPUTS, retype_bodies
from pluginkit.onnx.rewriting.scope_edit import drop_value_info

#: Types that TensorRT lacks, of stored values that rewrites decode.
_NEVER_CARRIED = ("uint4",)


def retype(graphs: Graphs, rules: CarrierRules) -> list[Change]:
    """Carry values of the main graph and its bodies; return the changes.

    Args:
        graphs: the graphs, which are changed. Local functions are left.
        rules: which types are carried, and how.
    """
    if graphs.elem_types.isdisjoint(map(elem_type, (*rules.carriers, *_NEVER_CARRIED))):
        return []
    scope = next(scopes(graphs.model))
    main = ScopeRetyping(scope, None, graphs.types, graphs.names, rules)
    main.run()
    main.demand_originals(output_names(scope.graph))
    main.write()
    return main.changed


class ScopeRetyping:
    """Retypes the values of one scope and of the scopes inside it.

    A value is either made as itself or as its carrier. Where a reader, in this scope or further
    inside, needs the other one, a Cast follows the node that makes the value.

    Attributes:
        scope: the scope.
        index: its nodes as they were.
        changed: the changes so far, those of inner scopes included.
        names: makes new names.
        carriers: the carrier of each type.
        types_everywhere: the types that are carried through branches and bodies too.
        is_body: whether the scope is a branch of an If, or the body of a Loop or Scan.
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
        self._producers = dict(self.index.producers)  # before outputs of nodes get new names
        self.changed: list[Change] = outer.changed if outer is not None else []
        self.names = names
        self.carriers = rules.carriers
        self.types_everywhere = rules.everywhere
        self.is_body = False
        self._rules = rules
        self._outer = outer
        self._types = types
        self._defined = defined_names(scope.graph)
        self._inner = {
            id(node): [ScopeRetyping(body, self, types, names, rules) for _, body in bodies]
            for node, bodies in inner_scopes(scope)
        }
        self._slots: list[list[onnx.NodeProto]] = [[]]
        self._dtypes: dict[str, str] = {}
        self._carriers: dict[str, str] = {}
        self._computed: dict[str, str] = {}
        self._gone: set[str] = set()
        self._converted: set[str] = set()

    def run(self) -> None:
        """Retype the nodes, in order. The first slot is for what comes before them all."""
        for node in self.index.nodes:
            self._slots.append([])
            bodies = self._inner.get(id(node))
            if bodies is not None:
                for body in bodies:
                    body.is_body = not node.domain and node.op_type in BODY_OUTPUTS
                retype_bodies(self, node, bodies)
                self.add(node)
                continue
            carried = CarriedNode(self, node)
            if carried.touches_carried and self._rules.carries(carried):
                self._rules.convert(carried)
                made = tuple(dict.fromkeys(each.op_type for each in self._slots[-1]))
                self.changed.append((place_of(self.scope, node), made))
            else:
                self.demand_originals(node.input)
                self.add(node)

    def write(self) -> None:
        """Put the new nodes into the graph, and drop stored values that nobody reads.

        TensorRT refuses stored values of types that it lacks, even if nobody reads them.
        """
        graph = self.scope.graph
        made = [node for slot in self._slots for node in slot]
        if list(map(id, made)) != list(map(id, self.index.nodes)):
            nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in made]
            del graph.node[:]
            graph.node.extend(nodes)
            drop_value_info(self.scope, self._gone)
        if not isinstance(graph, onnx.GraphProto):
            return
        read = {name for node in graph.node for name in names_read(node)}
        kept = read | set(output_names(graph)) | {value.name for value in graph.input}
        for at in reversed(range(len(graph.initializer))):
            stored = graph.initializer[at]
            dtype = dtype_of_elem_type(stored.data_type)
            is_rare = dtype in self.types_everywhere or dtype in _NEVER_CARRIED
            if stored.name in kept or not (is_rare or stored.name in self._converted):
                continue
            if stored.name not in self._converted:
                self.changed.append(((self.scope.path, stored.name, stored.name), ()))
            del graph.initializer[at]

    def add(self, node: onnx.NodeProto) -> None:
        """Append a node to those that take the place of the current one."""
        self._slots[-1].append(node)

    def makes(self, name: str) -> bool:
        """Whether one of the new nodes makes a value."""
        return any(name in node.output for slot in self._slots for node in slot)

    def dtype(self, name: str) -> str:
        """Return the dtype that a value had before retyping; "" if it is unknown."""
        owner = self._owner(name)
        if owner is not None and name in owner._dtypes:
            return owner._dtypes[name]
        found = self._types.find(self.scope, name) if name else None
        number = found.tensor_type.elem_type if found is not None else 0
        return dtype_of_elem_type(number) if number else ""

    def set_dtype(self, name: str, dtype: str) -> None:
        """Record the dtype of a value of this scope."""
        self._dtypes[name] = dtype

    def is_carried(self, name: str) -> bool:
        """Whether a value has a carrier already, can get one without a Cast, or is an outer one.

        What bodies read of outer scopes is carried, because TensorRT has no uint8 inside of them.
        """
        owner = self._owner(name)
        if owner is None:
            return False
        if name in owner._carriers or owner is not self:
            return True
        stored = owner.index.constant(name)
        return stored is not None and not is_external(stored)

    def carrier_of(self, name: str) -> str:
        """Return the carrier of a value; make one if it has none yet."""
        owner = self._owner(name) or self
        if name not in owner._carriers:
            owner._carriers[name] = owner._new_carrier(name)
        return owner._carriers[name]

    def computed(self, name: str) -> str:
        """Return a value in its own type that is not stored: TensorRT has no int8 constants."""
        dtype = self.dtype(name)
        if dtype not in self.carriers or dtype in self.types_everywhere:
            return name
        if self.index.constant(name) is None or name in self._carriers:
            return name
        if name not in self._computed:
            self._computed[name] = self.names.new_value(f"{name}_{dtype}")
            self._cast(self.carrier_of(name), self._computed[name], dtype, self._slots[-1])
        return self._computed[name]

    def set_carrier(self, name: str, carrier: str) -> None:
        """Record that a value of this scope is made as a carrier."""
        self._carriers[name] = carrier
        self._gone.add(name)

    def demand_originals(self, names: Iterable[str]) -> None:
        """See to it that values exist in the types that they had, under their own names."""
        for name in names:
            owner = self._owner(name) if name else None
            if owner is not None and name in owner._gone:
                owner._gone.discard(name)
                owner._cast(owner._carriers[name], name, owner.dtype(name), owner._slot(name))

    def readers(self, name: str) -> list[tuple[ScopeRetyping, onnx.NodeProto]]:
        """Return the nodes that read a value of this scope, those of inner scopes included."""
        return self._readers.get(name, [])

    @cached_property
    def _readers(self) -> Mapping[str, list[tuple[ScopeRetyping, onnx.NodeProto]]]:
        found: dict[str, list[tuple[ScopeRetyping, onnx.NodeProto]]] = {}
        for name, scope, node in self._reads():
            found.setdefault(name, []).append((scope, node))
        return found

    def _reads(self) -> Iterator[tuple[str, ScopeRetyping, onnx.NodeProto]]:
        """Yield what nodes read of this scope and of those around it."""
        for node in self.index.nodes:
            for name in dict.fromkeys(node.input):
                yield name, self, node
            for body in self._inner.get(id(node), ()):
                for name, scope, reader in body._reads():
                    if name not in body._defined:
                        yield name, scope, reader

    def _owner(self, name: str) -> ScopeRetyping | None:
        """Return the scope that defines a name."""
        scope: ScopeRetyping | None = self
        while scope is not None and name not in scope._defined:
            scope = scope._outer
        return scope

    def _slot(self, name: str) -> list[onnx.NodeProto]:
        """Return the slot of the node that makes a value of this scope."""
        return self._slots[self._producers.get(name, -1) + 1]

    def _new_carrier(self, name: str) -> str:
        """Store the carrier of a stored value, else cast the value where it is made."""
        dtype = self.carriers[self.dtype(name)]
        new = self.names.new_value(f"{name}_{dtype}")
        stored = self.index.constant(name)
        is_here = name not in self._producers and isinstance(self.scope.graph, onnx.GraphProto)
        if stored is not None and not is_external(stored) and is_here:
            array = in_dtype(onnx.numpy_helper.to_array(stored), dtype)
            self.scope.graph.initializer.append(onnx.numpy_helper.from_array(array, new))
            self._converted.add(name)
            return new
        slot = self._slot(name)
        source = name
        if stored is not None and self.dtype(name) == "int8":
            source = self._dequantized(name, slot)
        self._cast(source, new, dtype, slot)
        return new

    def _cast(self, name: str, new: str, dtype: str, slot: list[onnx.NodeProto]) -> None:
        label = self.names.new_node(f"{name}_to_{dtype}")
        slot.append(onnx.helper.make_node("Cast", [name], [new], name=label, to=elem_type(dtype)))

    def _dequantized(self, name: str, slot: list[onnx.NodeProto]) -> str:
        """Return an int8 weight in an external file as floats; TensorRT casts no stored int8."""
        one = self.names.new_value(f"{name}_scale")
        graph = self.scope.graph
        if isinstance(graph, onnx.GraphProto):
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.float32), one))
        new = self.names.new_value(f"{name}_float32")
        label = self.names.new_node(new)
        slot.append(onnx.helper.make_node("DequantizeLinear", [name, one], [new], name=label))
        return new
