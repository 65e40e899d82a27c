"""One place where a rewrite's pattern fits, as onnx-graphsurgeon sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.importers.onnx_importer import OnnxImporter, get_numpy_type
from onnx_graphsurgeon.ir.tensor import LazyValues
from onnx_graphsurgeon.util.misc import SynchronizedList

from pluginkit.contract.dtypes import DType, dtype_from_onnx
from pluginkit.contract.plugin import Plugin
from pluginkit.onnx.inference.value_types import Types, dims_of
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import names_read
from pluginkit.onnx.model.plugin_nodes import plugin_node
from pluginkit.onnx.rewriting.find_matches import Bindings, GraphIndex
from pluginkit.onnx.rewriting.pattern import Op

_T = TypeVar("_T")
#: These attributes are only imported with their node, whose tensors their bodies may read.
_OPPOSITE = {"inputs": "outputs", "outputs": "inputs"}
_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


class UnreadableError(Exception):
    """A matched node, or a constant that it reads, is damaged."""


def _read(convert: Callable[..., _T], *args: Any) -> _T:
    """What onnx-graphsurgeon makes of a protobuf.

    Errors:
        UnreadableError: whatever it raises; it and onnx have no exceptions of their own.
    """
    try:
        return convert(*args)
    except Exception as error:
        raise UnreadableError(str(error)) from error


@cache
def _gs_dtype(elem_type: int) -> Any:
    """The dtype as graphsurgeon has it: numpy's, or the ONNX number of a type that numpy lacks."""
    return get_numpy_type(elem_type) or elem_type or None


class _Lazy:
    """A tensor whose parts are made when somebody asks.

    gs.Tensor's own constructor makes them all, which takes longer than all else that a match does.
    """

    def __getattr__(self, name: str) -> Any:
        # Not through gs.Tensor.__setattr__, which would ask for the old value.
        self.__dict__[name] = self._made(name)
        return self.__dict__[name]

    def _made(self, name: str) -> Any:
        if name in _OPPOSITE:
            return SynchronizedList(self, _OPPOSITE[name], [])
        raise AttributeError(name)


class _Variable(_Lazy, gs.Variable):  # type: ignore[misc]
    """A value of the model, whose dtype and shape come from its type."""

    def __init__(self, name: str, value_type: onnx.TypeProto) -> None:
        self.__dict__.update(name=name, type="tensor_type", _value_type=value_type)

    def _made(self, name: str) -> Any:
        if name == "dtype":
            return _gs_dtype(self._value_type.tensor_type.elem_type)
        if name != "shape":
            return super()._made(name)
        dims = dims_of(self._value_type)
        return dims and [
            dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims
        ]


class _Constant(_Lazy, gs.Constant):  # type: ignore[misc]
    """A value that the model stores."""

    def __init__(self, name: str, stored: onnx.TensorProto) -> None:
        location = stored.data_location if stored.HasField("data_location") else None
        self.__dict__.update(name=name, data_location=location, _export_dtype=None, _stored=stored)

    def _made(self, name: str) -> Any:
        return _read(LazyValues, self._stored) if name == "_values" else super()._made(name)


def _variable(name: str, value_type: onnx.TypeProto | None) -> gs.Variable:
    if value_type is not None and value_type.HasField("tensor_type"):
        return _Variable(name, value_type)
    info = onnx.ValueInfoProto(name=name, type=value_type or onnx.TypeProto())
    return OnnxImporter.import_tensor(info)


def _attributes(attributes: Sequence[onnx.AttributeProto]) -> dict[str, Any]:
    """Attributes without graphs, as graphsurgeon has them."""
    return dict(OnnxImporter.import_attributes(attributes, {}, {}, None, None))


class Match:
    """One place where a rewrite's pattern fits, as onnx-graphsurgeon nodes and tensors.

    ``match["x"]`` is the tensor or node that the pattern calls ``x``; an optional input that is
    absent has an empty name. Tensors carry name, dtype and shape as far as shape inference knows
    them; initializers and Constants are ``gs.Constant`` with their values, except weights in
    external files, which are never read. Nodes and tensors are made when they are asked for.

    Attributes:
        proto: the pattern's last node, whose outputs the new nodes must produce, and those of the
            nodes that the pattern keeps, as it stands in the model; read it only.
        opset: the version of the operators of the node's domain.
        where: the graph, for messages.
    """

    def __init__(self, index: GraphIndex, types: Types, pattern: Op, bindings: Bindings) -> None:
        self._index = index
        self._types = types
        self._pattern = pattern
        self._bindings = bindings
        self._tensors: dict[str, gs.Tensor] = {}
        self.proto = index.nodes[bindings.nodes[pattern]]
        self.opset = index.scope.opsets.get(pattern.domain, 1)
        self.where = index.scope.path

    @cached_property
    def node(self) -> gs.Node:
        """The pattern's last node."""
        return self._import(self.proto)

    @cached_property
    def _imported(self) -> Mapping[Op, gs.Node]:
        return {
            op: self.node if op is self._pattern else self._import(self._index.nodes[at])
            for op, at in self._bindings.nodes.items()
        }

    @property
    def nodes(self) -> list[gs.Node]:
        """Every matched node, the pattern's last one first."""
        return list(self._imported.values())

    @cached_property
    def readable_names(self) -> frozenset[str]:
        """The values that new nodes may read: those that are there without the matched nodes."""
        protos = [self._index.nodes[at] for at in self._bindings.nodes.values()]
        made = {name for proto in protos for name in proto.output}
        return frozenset().union(*map(names_read, protos)) - made

    @cached_property
    def promised_names(self) -> frozenset[str]:
        """The values that new nodes must produce: what ``node`` gives, and what kept ones do."""
        protos = [self.proto, *(self._index.nodes[at] for at in self._bindings.kept)]
        return frozenset(name for proto in protos for name in proto.output if name)

    def _import(self, node: onnx.NodeProto) -> gs.Node:
        for name in [*node.input, *node.output]:
            if name:
                self._tensor(name)
        return _read(OnnxImporter.import_node, node, {}, self._tensors, self.opset, None)

    def _tensor(self, name: str) -> gs.Tensor:
        if not name:
            return gs.Variable.empty()
        if name not in self._tensors:
            constant = self._index.constant(name)
            if constant is not None and not is_external(constant):
                self._tensors[name] = _Constant(name, constant)
            else:
                value_type = self._types.find(self._index.scope, name)
                self._tensors[name] = _read(_variable, name, value_type)
        return self._tensors[name]

    def __getitem__(self, name: str) -> gs.Tensor | gs.Node:
        if name in self._bindings.values:
            return self._tensor(self._bindings.values[name])
        for op, node in self._imported.items():
            if name and op.name == name:
                return node
        raise KeyError(f"the pattern {self._pattern} calls nothing '{name}'")

    @property
    def inputs(self) -> list[gs.Tensor]:
        """The inputs of ``node``; an absent one has an empty name."""
        return [self._tensor(name) for name in self.proto.input]

    @property
    def outputs(self) -> list[gs.Tensor]:
        """The outputs of ``node``; one that is left out has an empty name."""
        return [self._tensor(name) for name in self.proto.output]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of ``node``, a tensor as a numpy array, or the default.

        ONNX has no bool: where the default is one, 0 and 1 are too.
        """
        for each in self.proto.attribute:
            if each.name != name:
                continue
            if each.type in _GRAPHS:
                return self.node.attrs.get(name, default)
            value = _read(_attributes, [each]).get(name, default)
            if isinstance(default, bool) and isinstance(value, int) and value in (0, 1):
                return bool(value)
            return _read(getattr, value, "values") if isinstance(value, gs.Constant) else value
        return default

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

    def shape(self, tensor: gs.Tensor) -> tuple[int | None, ...] | None:
        """The tensor's dimensions, each None where it varies; None when the rank is unknown."""
        if tensor.shape is None:
            return None
        return tuple(
            int(dim) if isinstance(dim, (int, np.integer)) else None for dim in tensor.shape
        )

    def is_used(self, tensor: gs.Tensor) -> bool:
        """Whether another node, or a graph output, needs this output of ``node``."""
        return bool(self._index.readers[tensor.name]) or tensor.name in self._index.outputs

    def constant(self, tensor: gs.Tensor) -> npt.NDArray[Any] | None:
        """The value when the model stores it, else None; external files are never read."""
        if not isinstance(tensor, gs.Constant):
            return None
        return _read(lambda: np.asarray(tensor.values))

    def plugin_node(
        self,
        plugin: Plugin,
        inputs: list[gs.Tensor | None],
        outputs: list[gs.Tensor] | None = None,
        name: str = "",
    ) -> gs.Node | onnx.NodeProto:
        """The node that calls a plugin.

        Args:
            plugin: the plugin with its attribute values.
            inputs: one tensor for each declared input; None, or one with an empty name, where it is
                absent.
            outputs: those of ``node`` when left out.
            name: that of ``node`` when left out.

        Returns:
            a NodeProto; an onnx_graphsurgeon Node where an input is a constant that the model does
            not have yet.

        Errors:
            PK411, PK110: as for ``pluginkit.onnx.model.plugin_nodes.plugin_node``.
        """
        tensors = [gs.Variable.empty() if each is None else each for each in inputs]
        names = [tensor.name for tensor in tensors]
        results = self._plugin_outputs(plugin) if outputs is None else [t.name for t in outputs]
        node = plugin_node(plugin, names, results, name or self.proto.name)
        if not any(map(self._is_new_constant, tensors)):
            return node
        by_name = dict(zip(names, tensors, strict=True))
        tensors = [by_name[each] for each in node.input]
        made = [gs.Variable(each) for each in results]
        attributes = _attributes(node.attribute)
        return gs.Node(node.op_type, node.name, attributes, tensors, made, node.domain)

    def _is_new_constant(self, tensor: gs.Tensor) -> bool:
        is_constant = isinstance(tensor, gs.Constant)
        return is_constant and tensor is not self._tensors.get(tensor.name)

    def _plugin_outputs(self, plugin: Plugin) -> list[str]:
        """The outputs of ``node``, and new names for those left out: TensorRT wants all."""
        ports, names = plugin.spec.outputs, self.proto.output
        names = [*names, *[""] * (len(ports) - len(names))]
        return [name or port.name for name, port in zip(names, ports, strict=True)]
