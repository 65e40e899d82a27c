"""One place in a model where a rewrite's pattern matches, and questions about its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PluginkitError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.inference.static_values import StaticValues
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import names_read
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.rewriting.graph_importer import GraphImporter
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.lazy_tensors import UnreadableError, attributes_of, read
from pluginkit.onnx.rewriting.node_attributes import plugin_from_node
from pluginkit.onnx.rewriting.pattern import Op
from pluginkit.onnx.rewriting.pattern_search import Bindings

#: A graph can only be converted together with its node, whose tensors it may read.
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


class Match:
    """One place where a rewrite's pattern matches, as onnx-graphsurgeon nodes and tensors.

    ============================  ==================================================================
    ``match["x"]``                the tensor, or the node, that the pattern calls ``x``
    ``inputs``, ``outputs``       the tensors of the pattern's last node; an absent one has no name
    ``node``, ``nodes``           the last node; all matched nodes, the last one first
    ``attribute("axis", 0)``      an attribute of the last node, or a default
    ``dtype(x)``                  ``"float32"``, ``"int64"``, ...; "" if it is unknown
    ``dtype_attribute("to")``     the dtype that an attribute stands for; "" if it is 0 or absent
    ``dtype_problem(FLOATS, x)``  a reason to refuse, unless ``x`` has one of these dtypes
    ``shape(x)``, ``rank(x)``     dimensions, None where one varies; None if the rank is unknown
    ``constant(x)``               the value, if the model stores it; else None
    ``is_zero(x)``                whether the model stores ``x``, and only zeros
    ``value_from_shapes(x)``      the same, also if it follows from shapes that are known
    ``is_external(x)``            whether ``x`` is stored in an external file
    ``is_used(y)``                whether anything needs this output
    ``is_shared(v)``              whether several nodes, or a graph output, need this value
    ``plugin(Scale)``             the plugin with the attributes of the last node
    ``plugin_node(...)``          the node that calls a plugin
    ============================  ==================================================================

    Tensors have a name, and a dtype and a shape as far as shape inference knows them. Initializers
    and Constants are ``gs.Constant`` with their values; weights in external files are never read.

    Attributes:
        proto: the last node in the model, which must not be changed.
        opset: the version of the operators of the last node's domain.
        onnx_opset: the version of ONNX's own operators.
        where: the graph, for messages.
    """

    def __init__(self, index: GraphIndex, types: Types, pattern: Op, bindings: Bindings) -> None:
        self._index = index
        self._types = types
        self._pattern = pattern
        self._bindings = bindings
        self.proto = index.nodes[bindings.nodes[pattern]]
        self.opset = index.scope.opsets.get(pattern.domain, 1)
        self.onnx_opset = index.scope.opsets.get("", 1)
        self.where = index.scope.path
        self._importer = GraphImporter(index, types, self.opset)

    def __getitem__(self, name: str) -> Any:
        if name in self._bindings.values:
            return self._importer.tensor(self._bindings.values[name])
        for op, node in self._imported.items():
            if name and op.name == name:
                return node
        raise KeyError(f"the pattern {self._pattern} calls nothing '{name}'")

    def bound(self, name: str) -> gs.Tensor | gs.Node | None:
        """Return the tensor or node that the pattern calls ``name``.

        None for an absent input, and for a name of an alternative that did not match.
        """
        if name in self._bindings.values:
            value = self._bindings.values[name]
            return self._importer.tensor(value) if value else None
        return next((node for op, node in self._imported.items() if op.name == name), None)

    @cached_property
    def node(self) -> gs.Node:
        """The pattern's last node."""
        return self._importer.node(self.proto)

    @property
    def nodes(self) -> list[gs.Node]:
        """Every matched node, the pattern's last one first."""
        return list(self._imported.values())

    @property
    def inputs(self) -> list[gs.Tensor]:
        """The inputs of ``node``; an absent one has an empty name."""
        return [self._importer.tensor(name) for name in self.proto.input]

    @property
    def outputs(self) -> list[gs.Tensor]:
        """The outputs of ``node``; one that is left out has an empty name."""
        return [self._importer.tensor(name) for name in self.proto.output]

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute of ``node``, or the default if the node leaves it out.

        A tensor comes as a numpy array. ONNX has no bool: if the default is one, 0 and 1 become
        False and True.
        """
        for each in self.proto.attribute:
            if each.name != name:
                continue
            if each.type in _GRAPHS:
                return self.node.attrs.get(name, default)
            value = read(attributes_of, [each]).get(name, default)
            if isinstance(default, bool) and isinstance(value, int) and value in (0, 1):
                return bool(value)
            return read(getattr, value, "values") if isinstance(value, gs.Constant) else value
        return default

    def dtype(self, tensor: gs.Tensor) -> str:
        """Return the name of the tensor's dtype, such as ``"float32"``; "" if it is unknown."""
        found = self.value_type(tensor)
        elem_type = found.tensor_type.elem_type if found is not None else 0
        return dtype_of_elem_type(elem_type) if elem_type else ""

    def dtype_attribute(self, name: str) -> str:
        """Return the dtype that an attribute of ``node`` names by number; "" if 0 or absent."""
        elem_type = self.attribute(name, 0)
        return dtype_of_elem_type(elem_type) if elem_type else ""

    def dtype_problem(self, expected: Sequence[str], *tensors: gs.Tensor) -> str | None:
        """Return a reason to refuse the match, unless each tensor has one of the dtypes."""
        wrong = next((each for each in tensors if self.dtype(each) not in expected), None)
        if wrong is None:
            return None
        *others, last = expected
        wanted = f"{', '.join(others)} or {last}" if others else last
        return f"'{wrong.name}' is {self.dtype(wrong) or 'of unknown type'}; expected {wanted}"

    def value_type(self, tensor: gs.Tensor) -> onnx.TypeProto | None:
        """Return what is known of the tensor's ONNX type; None if nothing is."""
        return self._types.find(self._index.scope, tensor.name)

    def shape(self, tensor: gs.Tensor) -> tuple[int | None, ...] | None:
        """Return the dimensions, None for each that varies; None if the rank is unknown."""
        sizes = tensor.shape
        if sizes is None:
            return None
        return tuple(int(size) if isinstance(size, (int, np.integer)) else None for size in sizes)

    def rank(self, tensor: gs.Tensor) -> int | None:
        """Return the number of dimensions; None if it is unknown."""
        return None if tensor.shape is None else len(tensor.shape)

    def constant(self, tensor: gs.Tensor) -> npt.NDArray[Any] | None:
        """Return the value if the model itself stores it; external files are never read."""
        if not isinstance(tensor, gs.Constant):
            return None
        return read(lambda: np.asarray(tensor.values))

    def constant_called(self, name: str) -> npt.NDArray[Any] | None:
        """Return the stored value of that name, which a body of the node may read; else None."""
        return self.constant(self._importer.tensor(name)) if name else None

    def producer(self, name: str) -> onnx.NodeProto | None:
        """Return the node of this graph whose output has that name; None for other values."""
        position = self._index.producers.get(name)
        return None if position is None else self._index.nodes[position]

    def is_outer(self, name: str) -> bool:
        """Whether the value comes from the graph around this body."""
        return self._index.is_outer(name)

    def value_from_shapes(self, tensor: gs.Tensor) -> npt.NDArray[Any] | None:
        """Return the value if it is stored, or follows from shapes that inference knows."""
        stored = self.constant(tensor)
        if stored is not None or not tensor.name:
            return stored
        return StaticValues(self._index.scope, self._types).find(tensor.name)

    def is_external(self, tensor: gs.Tensor) -> bool:
        """Whether the tensor is stored in an external file, whose data is never read."""
        stored = self._index.constant(tensor.name) if tensor.name else None
        return stored is not None and is_external(stored)

    def is_zero(self, tensor: gs.Tensor) -> bool:
        """Whether the model stores the tensor, and every element is zero."""
        stored = self.constant(tensor)
        return stored is not None and not np.any(stored)

    def is_used(self, tensor: gs.Tensor) -> bool:
        """Whether another node or a graph output needs this output of ``node``."""
        return bool(self._index.readers[tensor.name]) or tensor.name in self._index.outputs

    def is_shared(self, tensor: gs.Tensor) -> bool:
        """Whether several nodes, or a graph output, need this value."""
        return self._index.readers[tensor.name] > 1 or tensor.name in self._index.outputs

    def plugin(
        self, plugin: type[Plugin], *, ignoring: Sequence[str] = (), **attributes: Any
    ) -> Plugin:
        """Make a plugin with the values that ``node`` has for the attributes of the class.

        An attribute that is left out gets the operator's default, else the default of the class.
        The match is refused if the node has an attribute that would be lost.

        Args:
            plugin: the class.
            ignoring: attributes of the node that may be lost.
            attributes: values that are not to be read from the node.

        Errors:
            PK413, PK104, PK109: reasons for which the match is refused.
        """
        try:
            return plugin_from_node(plugin, self.proto, self.opset, attributes, ignoring)
        except PluginkitError:
            raise
        except Exception as error:
            raise UnreadableError(str(error)) from error

    def plugin_node(
        self,
        plugin: Plugin | type[Plugin],
        inputs: Sequence[gs.Tensor | None] | None = None,
        outputs: Sequence[gs.Tensor] | None = None,
        name: str = "",
    ) -> gs.Node | onnx.NodeProto:
        """Make the node that calls a plugin.

        Args:
            plugin: the plugin with its attribute values, or a class, as for ``plugin``.
            inputs: one tensor for each declared input; None, or one with an empty name, for an
                absent input. Those of ``node`` by default.
            outputs: those of ``node`` by default.
            name: that of ``node`` by default.

        Returns:
            A NodeProto, or an onnx_graphsurgeon Node if an input is a constant that is not in the
            model yet.

        Errors:
            PK411, PK110: the inputs or outputs are not those that the plugin declares.
        """
        made = self.plugin(plugin) if isinstance(plugin, type) else plugin
        results = self._plugin_outputs(made) if outputs is None else [t.name for t in outputs]
        if inputs is None:
            return plugin_node(made, list(self.proto.input), results, name or self.proto.name)
        tensors = [gs.Variable.empty() if each is None else each for each in inputs]
        names = [tensor.name for tensor in tensors]
        node = plugin_node(made, names, results, name or self.proto.name)
        stored = [each for each in tensors if isinstance(each, gs.Constant)]
        if all(map(self._importer.has_made, stored)):
            return node
        by_name = dict(zip(names, tensors, strict=True))
        return gs.Node(
            node.op_type,
            node.name,
            attributes_of(node.attribute),
            [by_name[each] for each in node.input],
            [gs.Variable(each) for each in results],
            node.domain,
        )

    def _plugin_outputs(self, plugin: Plugin) -> list[str]:
        """Return the outputs of ``node``, with new names for those left out: TensorRT wants all."""
        ports, names = plugin.spec.outputs, self.proto.output
        names = [*names, *[""] * (len(ports) - len(names))]
        return [name or port.name for name, port in zip(names, ports, strict=True)]

    @cached_property
    def readable_names(self) -> frozenset[str]:
        """The values that new nodes may read: inputs of the matched nodes from outside."""
        protos = [self._index.nodes[at] for at in self._bindings.nodes.values()]
        made = {name for proto in protos for name in proto.output}
        return frozenset().union(*map(names_read, protos)) - made

    @cached_property
    def required_names(self) -> frozenset[str]:
        """The values that new nodes must produce: the outputs of ``node`` and of kept nodes."""
        protos = [self.proto, *(self._index.nodes[at] for at in self._bindings.kept)]
        return frozenset(name for proto in protos for name in proto.output if name)

    @cached_property
    def _imported(self) -> Mapping[Op, gs.Node]:
        return {
            op: self.node if op is self._pattern else self._importer.node(self._index.nodes[at])
            for op, at in self._bindings.nodes.items()
        }
