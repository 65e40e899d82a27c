"""Convert one scope of a model, and the scopes in it, to mixed precision."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.element_types import dtype_of_elem_type, in_dtype
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import (
    Scope,
    defined_names,
    describe,
    has_bodies,
    inner_scopes,
    is_op,
    names_read,
    output_names,
    sorted_nodes,
)
from pluginkit.onnx.model.plugin_nodes import Plugins
from pluginkit.onnx.precision.body_magnitudes import ValueKey
from pluginkit.onnx.precision.kept_nodes import (
    FloatInputs,
    follows_float32,
    is_count,
    reason_to_keep,
)
from pluginkit.onnx.precision.narrow_ports import NarrowPorts, narrow_ports
from pluginkit.onnx.precision.precision_options import (
    KeptNode,
    Precision,
    PrecisionReport,
)
from pluginkit.onnx.rewriting.export_nodes import ModelNames
from pluginkit.onnx.rewriting.graph_index import GraphIndex

_FLOAT = onnx.TensorProto.FLOAT
_NOTHING = NarrowPorts(frozenset(), frozenset())


@dataclass
class ConversionContext:
    """What all scopes of one conversion share."""

    precision: Precision
    types: Types
    plugins: Plugins
    names: ModelNames
    beyond: frozenset[ValueKey]
    report: PrecisionReport = field(init=False)

    def __post_init__(self) -> None:
        self.report = PrecisionReport(self.precision.dtype)


class ScopeConversion:
    """Converts one scope, and the scopes inside it.

    A value keeps its name in the type in which it is made. Inputs and outputs of a scope stay
    float32, but for those of the model if the user says so.
    """

    def __init__(
        self, scope: Scope, outer: ScopeConversion | None, context: ConversionContext
    ) -> None:
        order = sorted_nodes(scope)
        self._scope, self._outer, self._context = scope, outer, context
        self._narrow = context.precision.elem_type
        self._index = GraphIndex(scope)
        self._nodes = order or self._index.nodes
        self._defined = defined_names(scope.graph)
        self._places = {name: at for at, node in enumerate(self._nodes) for name in node.output}
        self._slots: list[list[onnx.NodeProto]] = [[] for _ in range(len(self._nodes) + 1)]
        self._is_narrow: set[str] = set()
        self._made_narrow: set[str] = set()
        self._counted: set[str] = set()
        self._copies: dict[tuple[str, int], str] = {}
        self._inner = {id(node): found for node, found in inner_scopes(scope)}
        self._converts_io = outer is None and context.precision.convert_io
        self._outputs = set(output_names(scope.graph))
        graph = scope.graph
        is_graph = isinstance(graph, onnx.GraphProto)  # not a function, whose inputs are names
        self._given = {value.name for value in graph.input} if is_graph else set()
        self._annotations = defaultdict[str, list[onnx.ValueInfoProto]](list)
        for value in graph.value_info:
            self._annotations[value.name].append(value)

    def run(self) -> None:
        """Convert the nodes, in order, and write the scope."""
        graph = self._scope.graph
        if self._converts_io and isinstance(graph, onnx.GraphProto):
            self._convert_signature(graph)
            self._made_narrow.update(self._is_narrow - set(self._places))
        for at, node in enumerate(self._nodes):
            self._convert(node, at)
        self._write()

    def _convert_signature(self, graph: onnx.GraphProto) -> None:
        """Declare the inputs and outputs in 16 bits, but for those that do not fit."""
        stored = {tensor.name for tensor in graph.initializer}
        for kind, values in (("input", graph.input), ("output", graph.output)):
            for value in values:
                if value.type.tensor_type.elem_type != _FLOAT or value.name in stored:
                    continue
                if self._is_beyond(value.name):
                    reason = f"beyond {self._context.precision.dtype} on the given inputs"
                    kept = KeptNode(f"{kind} '{value.name}'", self._scope.path, reason)
                    self._context.report.kept.append(kept)
                    continue
                value.type.tensor_type.elem_type = self._narrow
                self._is_narrow.add(value.name)

    def _convert(self, node: onnx.NodeProto, at: int) -> None:
        for _, inner in self._inner.get(id(node), ()):
            ScopeConversion(inner, self, self._context).run()
        ports = self._ports_of(node)
        for number, name in enumerate(node.input):
            if name and self._is_float32(name):
                node.input[number] = self._in_type(name, number in ports.inputs)
        for number, name in enumerate(node.output):
            if name and self._is_float32(name):
                self._make(node, number, at, is_narrow=number in ports.outputs)

    def _ports_of(self, node: onnx.NodeProto) -> NarrowPorts:
        """Return which inputs and outputs of a node become 16-bit."""
        context, scope = self._context, self._scope
        floats = [name for name in node.input if name and self._is_float32(name)]
        computed = [name for name in floats if self._stored(name) is None]
        outputs = [name for name in node.output if name and self._is_float32(name)]
        if is_op(node, "Constant") or has_bodies(node):
            return _NOTHING
        if is_count(node, computed):
            self._counted.update(outputs)
        if not floats:
            return _NOTHING
        found = narrow_ports(
            scope, node, self._narrow, lambda name: context.types.find(scope, name), context.plugins
        )
        if isinstance(found, str):
            self._keep(node, found)
            return _NOTHING
        read = [node.input[each] for each in sorted(found.inputs)]
        stored = [tensor for tensor in map(self._stored, read) if tensor is not None]
        inputs = FloatInputs(
            [name for name in read if self._stored(name) is None],
            stored,
            [name for name in read if name in self._owner(name)._made_narrow],
            [name for name in read if name in self._owner(name)._counted],
        )
        beyond = frozenset(filter(self._is_beyond, [*node.input, *node.output]))
        reason = reason_to_keep(node, inputs, context.precision, beyond)
        if reason is not None:
            if reason == "computed from integers":
                self._counted.update(outputs)
            self._keep(node, reason)
            return _NOTHING
        if follows_float32(node, bool(outputs), inputs):
            if len(inputs.counted) == len(inputs.computed):
                self._counted.update(outputs)
            return _NOTHING
        context.report.converted += 1
        return found

    def _keep(self, node: onnx.NodeProto, reason: str) -> None:
        self._context.report.kept.append(KeptNode(describe(node), self._scope.path, reason))

    def _in_type(self, name: str, is_narrow: bool) -> str:
        """Return a float32 value of the original, in 16 bits or in float32.

        What a body reads of outer scopes is cast in the body: ONNX Runtime loses a Cast that only
        a body reads.
        """
        owner = self._owner(name)
        if (name in owner._is_narrow) == is_narrow:
            return name
        holder = self if self._stored(name) is None else owner
        return holder._copy(name, self._narrow if is_narrow else _FLOAT)

    def _copy(self, name: str, elem_type: int) -> str:
        """Return a value of this scope in another type than it is made in."""
        key = (name, elem_type)
        if key not in self._copies:
            stored = self._stored(name)
            dtype = dtype_of_elem_type(elem_type)
            new = self._copies[key] = self._context.names.new_value(f"{name}_{dtype}")
            graph = self._scope.graph
            if (
                stored is not None
                and not is_external(stored)
                and isinstance(graph, onnx.GraphProto)
            ):
                array = in_dtype(onnx.numpy_helper.to_array(stored), dtype)
                graph.initializer.append(onnx.numpy_helper.from_array(array, new))
            else:
                self._cast(name, new, elem_type, self._places.get(name, -1) + 1)
        return self._copies[key]

    def _cast(self, name: str, new: str, elem_type: int, slot: int) -> None:
        label = self._context.names.new_node(f"{new}_cast")
        self._slots[slot].append(
            onnx.helper.make_node("Cast", [name], [new], name=label, to=elem_type)
        )
        self._context.report.casts += 1

    def _make(self, node: onnx.NodeProto, number: int, at: int, *, is_narrow: bool) -> None:
        """Let a node make an output in its type; an output of the scope has the type it had."""
        name = node.output[number]
        if is_narrow:
            self._made_narrow.add(name)
        declared = name in self._is_narrow  # an output of the model that the user wants in 16 bits
        if name in self._outputs and declared != is_narrow:
            made = self._narrow if is_narrow else _FLOAT
            new = self._context.names.new_value(f"{name}_{dtype_of_elem_type(made)}")
            node.output[number] = new
            self._copies[name, made] = new
            self._cast(new, name, self._narrow if declared else _FLOAT, at + 1)
            self._describe(new, name, made)
        elif is_narrow:
            self._is_narrow.add(name)
            for value in self._annotations[name]:
                value.type.tensor_type.elem_type = self._narrow

    def _describe(self, new: str, name: str, elem_type: int) -> None:
        known = self._context.types.find(self._scope, name)
        if known is not None:
            added = self._scope.graph.value_info.add(name=new)
            added.type.CopyFrom(known)
            added.type.tensor_type.elem_type = elem_type

    def _owner(self, name: str) -> ScopeConversion:
        """Return the conversion of the scope that defines a name."""
        scope: ScopeConversion | None = self
        while scope is not None and name not in scope._defined:
            scope = scope._outer
        return scope or self

    def _stored(self, name: str) -> onnx.TensorProto | None:
        """Return a constant; None for a value that is computed, or that the user may give."""
        owner = self._owner(name)
        return None if name in owner._given else owner._index.constant(name)

    def _is_beyond(self, name: str) -> bool:
        return (self._owner(name)._scope.path, name) in self._context.beyond

    def _is_float32(self, name: str) -> bool:
        found = self._context.types.find(self._scope, name)
        return found is not None and found.tensor_type.elem_type == _FLOAT

    def _write(self) -> None:
        """Put the nodes into the graph, and drop constants that nobody reads any more."""
        graph = self._scope.graph
        made = list(self._slots[0])
        for node, slot in zip(self._nodes, self._slots[1:], strict=True):
            made += [node, *slot]
        read = {name for node in made for name in names_read(node)} | self._outputs
        copied = {name for name, _ in self._copies} - read
        made = [n for n in made if not (is_op(n, "Constant") and copied.issuperset(n.output))]
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in made]
        del graph.node[:]
        graph.node.extend(nodes)
        if not isinstance(graph, onnx.GraphProto):
            return
        gone = copied - self._given
        for at in reversed(range(len(graph.initializer))):
            if graph.initializer[at].name in gone:
                del graph.initializer[at]
