"""What a rewrite looks for, and what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter, get_numpy_type

from pluginkit.dtypes import DType, dtype_from_onnx
from pluginkit.errors import DeclarationError
from pluginkit.onnx.external import is_external
from pluginkit.onnx.graphs import Scope, is_op, names_read, output_names
from pluginkit.onnx.nodes import bind_inputs, plugin_attributes
from pluginkit.onnx.value_types import Types, dims_of
from pluginkit.plugin import Plugin


class Op:
    """A node to look for, with what must stand before it.

    ``Op("ScatterElements")`` is any ScatterElements. ``Op("Mul", "x", Op("Sigmoid", "x"))`` is a
    Mul whose second input comes from a Sigmoid, both reading one value, which the match then knows
    as ``match["x"]``.

    Args:
        op_type: the operator, or a tuple of several.
        inputs: for each input of the node an Op, a name for the value, or None for an input that is
            absent; nothing at all for any inputs.
        domain: the operator's domain.
        name: what the match calls the node.
        commutative: whether two inputs may stand in either order.
    """

    def __init__(
        self,
        op_type: str | tuple[str, ...],
        *inputs: Op | str | None,
        domain: str = "",
        name: str = "",
        commutative: bool = False,
    ) -> None:
        self.op_types = op_type if isinstance(op_type, tuple) else (op_type,)
        self.inputs = inputs
        self.domain = domain
        self.name = name
        self.commutative = commutative
        if not self.op_types or not all(isinstance(each, str) and each for each in self.op_types):
            raise DeclarationError("PK420", f"Op({op_type!r}): expected an op_type, a string.")
        for each in inputs:
            if each is not None and not isinstance(each, (Op, str)):
                raise DeclarationError(
                    "PK420", f"{self}: input {each!r}; expected an Op, a name or None."
                )
        if commutative and len(inputs) != 2:
            raise DeclarationError("PK420", f"{self} is commutative; expected two inputs.")

    def __repr__(self) -> str:
        return f"Op({', '.join(map(repr, [*self.op_types, *self.inputs]))})"

    def fits(self, node: onnx.NodeProto) -> bool:
        """Whether the node's operator is the one looked for."""
        return node.op_type in self.op_types and is_op(node, node.op_type, self.domain)


class GraphIndex:
    """Who produces and who reads each value of one scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = list(scope.graph.node)
        self.producers = {
            name: index for index, node in enumerate(self.nodes) for name in node.output if name
        }
        self.readers = Counter(name for node in self.nodes for name in names_read(node))
        self.outputs = frozenset(output_names(scope.graph))

    @cached_property
    def _initializers(self) -> dict[str, onnx.TensorProto]:
        found: dict[str, onnx.TensorProto] = {}
        scope: Scope | None = self.scope
        while scope is not None:
            if isinstance(scope.graph, onnx.GraphProto):
                found = {tensor.name: tensor for tensor in scope.graph.initializer} | found
            scope = scope.outer
        return found

    def constant(self, name: str) -> onnx.TensorProto | None:
        """The Constant called ``name``, or the initializer, here or in a scope around."""
        if name not in self.producers:
            return self._initializers.get(name)
        node = self.nodes[self.producers[name]]
        values = (a.t for a in node.attribute if a.type == onnx.AttributeProto.TENSOR)
        return next(values, None) if is_op(node, "Constant") else None


class Bindings:
    """What the parts of a pattern stand for: names of values, and positions of nodes."""

    def __init__(self, values: dict[str, str], nodes: dict[Op, int]) -> None:
        self.values = values
        self.nodes = nodes


def find_bindings(pattern: Op, root: int, index: GraphIndex) -> Bindings | None:
    """How ``pattern`` fits with its last node at position ``root``, or None."""
    return next(_fit(pattern, root, index, Bindings({}, {})), None)


def _fit(pattern: Op, position: int, index: GraphIndex, so_far: Bindings) -> Iterator[Bindings]:
    node = index.nodes[position]
    if not pattern.fits(node) or position in so_far.nodes.values():
        return
    found = Bindings(so_far.values, {**so_far.nodes, pattern: position})
    names = list(node.input)
    while names and not names[-1]:
        names.pop()
    if not pattern.inputs:
        yield found
        return
    wanted = list(pattern.inputs)
    if len(names) > len(wanted):
        return
    names += [""] * (len(wanted) - len(names))
    yield from _fit_inputs(wanted, names, index, found)
    if pattern.commutative:
        yield from _fit_inputs(wanted[::-1], names, index, found)


def _fit_inputs(
    wanted: list[Op | str | None], names: list[str], index: GraphIndex, so_far: Bindings
) -> Iterator[Bindings]:
    if not wanted:
        yield so_far
        return
    first, name = wanted[0], names[0]
    if first is None or not name:
        options = iter([so_far] if first is None and not name else [])
    elif isinstance(first, str):
        is_same = so_far.values.get(first, name) == name
        options = iter([Bindings({**so_far.values, first: name}, so_far.nodes)] if is_same else [])
    elif name in index.producers:
        options = _fit(first, index.producers[name], index, so_far)
    else:
        options = iter([])
    for option in options:
        yield from _fit_inputs(wanted[1:], names[1:], index, option)


@cache
def _gs_dtype(elem_type: int) -> Any:
    """The dtype as graphsurgeon has it: numpy's, or the ONNX number of a type that numpy lacks."""
    return get_numpy_type(elem_type) or elem_type or None


def _variable(name: str, value_type: onnx.TypeProto | None) -> gs.Variable:
    if value_type is None or value_type.WhichOneof("value") != "tensor_type":
        info = onnx.ValueInfoProto(name=name, type=value_type or onnx.TypeProto())
        return OnnxImporter.import_tensor(info)
    dims = dims_of(value_type)
    shape = dims and [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims
    ]
    return gs.Variable(name, _gs_dtype(value_type.tensor_type.elem_type), shape)


class Match:
    """One place where a rewrite's pattern fits, as onnx-graphsurgeon nodes and tensors.

    ``match["x"]`` is the tensor or node that the pattern calls ``x``. Tensors carry name, dtype and
    shape as far as shape inference knows them; initializers and Constants are ``gs.Constant`` with
    their values, except weights in external files, which are never read.

    Attributes:
        node: the pattern's last node, whose outputs the new nodes must produce.
        proto: the same node as it stands in the model; read it only.
        nodes: every matched node.
        opset: the version of the operators of the node's domain.
        where: the graph, for messages.
        readable_names: the values that new nodes may read: those that are there without the matched
            nodes.
    """

    def __init__(self, index: GraphIndex, types: Types, pattern: Op, bindings: Bindings) -> None:
        self._index = index
        self._types = types
        self._tensors: dict[str, gs.Tensor] = {}
        self.opset = index.scope.opsets.get(pattern.domain, 1)
        self.where = index.scope.path
        imported = {op: self._import(index.nodes[at]) for op, at in bindings.nodes.items()}
        self.node: gs.Node = imported[pattern]
        self.nodes: list[gs.Node] = list(imported.values())
        protos = [index.nodes[at] for at in bindings.nodes.values()]
        self.proto = index.nodes[bindings.nodes[pattern]]
        made = {name for proto in protos for name in proto.output}
        self.readable_names = frozenset().union(*map(names_read, protos)) - made
        self._named: Mapping[str, gs.Tensor | gs.Node] = {
            **{name: self._tensor(value) for name, value in bindings.values.items()},
            **{op.name: node for op, node in imported.items() if op.name},
        }

    def _import(self, node: onnx.NodeProto) -> gs.Node:
        for name in [*node.input, *node.output]:
            if name:
                self._tensor(name)
        return OnnxImporter.import_node(node, {}, self._tensors, self.opset, None)

    def _tensor(self, name: str) -> gs.Tensor:
        if name not in self._tensors:
            constant = self._index.constant(name)
            if constant is not None and not is_external(constant):
                tensor = OnnxImporter.import_tensor(constant)
                tensor.name = name
            else:
                tensor = _variable(name, self._types.find(self._index.scope, name))
            self._tensors[name] = tensor
        return self._tensors[name]

    def __getitem__(self, name: str) -> gs.Tensor | gs.Node:
        return self._named[name]

    @property
    def inputs(self) -> list[gs.Tensor]:
        """The inputs of ``node``; an absent one has an empty name."""
        return list(self.node.inputs)

    @property
    def outputs(self) -> list[gs.Tensor]:
        """The outputs of ``node``."""
        return list(self.node.outputs)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of ``node``, or the default."""
        return self.node.attrs.get(name, default)

    def dtype(self, tensor: gs.Tensor) -> DType | None:
        """The tensor's dtype, None when it is unknown.

        Errors:
            PK120: plugins take no such dtype.
        """
        elem_type = self.elem_type(tensor)
        return dtype_from_onnx(elem_type) if elem_type else None

    def value_type(self, tensor: gs.Tensor) -> onnx.TypeProto | None:
        """The tensor's ONNX type as far as it is known, None when nothing is."""
        return self._types.find(self._index.scope, tensor.name)

    def elem_type(self, tensor: gs.Tensor) -> int:
        """The tensor's ``onnx.TensorProto`` data type, 0 when it is unknown."""
        found = self.value_type(tensor)
        return found.tensor_type.elem_type if found is not None else 0

    def is_used(self, tensor: gs.Tensor) -> bool:
        """Whether another node, or a graph output, needs this output of ``node``."""
        return bool(self._index.readers[tensor.name]) or tensor.name in self._index.outputs

    def constant(self, tensor: gs.Tensor) -> npt.NDArray[Any] | None:
        """The value when the model stores it, else None; external files are never read."""
        return np.asarray(tensor.values) if isinstance(tensor, gs.Constant) else None

    def plugin_node(
        self,
        plugin: Plugin,
        inputs: list[gs.Tensor | None],
        outputs: list[gs.Tensor] | None = None,
        name: str = "",
    ) -> gs.Node:
        """The node that calls a plugin.

        Args:
            plugin: the plugin with its attribute values.
            inputs: one tensor for each declared input; None, or one with an empty name, where it is
                absent.
            outputs: those of ``node`` when left out.
            name: that of ``node`` when left out.

        Errors:
            PK411, PK110: as for ``pluginkit.onnx.nodes.plugin_node``.
        """
        by_name = {"" if tensor is None else tensor.name: tensor for tensor in inputs}
        names = ["" if tensor is None else tensor.name for tensor in inputs]
        plugin, names = bind_inputs(plugin, names)
        return gs.Node(
            plugin.spec.plugin_name,
            name or self.node.name,
            plugin_attributes(plugin),
            [by_name[each] for each in names],
            self._plugin_outputs(plugin) if outputs is None else outputs,
            plugin.spec.plugin_namespace,
        )

    def _plugin_outputs(self, plugin: Plugin) -> list[gs.Tensor]:
        """The outputs of ``node``, and new tensors for those left out: TensorRT wants all."""
        ports = plugin.spec.outputs
        tensors = self.outputs + [gs.Variable.empty()] * (len(ports) - len(self.outputs))
        return [
            tensor if tensor.name else gs.Variable(port.name)
            for tensor, port in zip(tensors, ports, strict=True)
        ]
