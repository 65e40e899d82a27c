"""Link the dimensions of a model's inputs that a plugin's declared shapes say are equal.

A plugin with ``boxes = Input("T", shape=("N", 4))`` and ``scores = Input("T", shape=("N",))`` whose
node reads two inputs of the model makes their first dimensions one, and the last of boxes 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import onnx

from pluginkit.contract.calls import present_ports
from pluginkit.contract.declared_shapes import AxisLabel
from pluginkit.contract.plugin import Plugins
from pluginkit.engine.build.profiles import DefaultDim
from pluginkit.onnx.inference.dimension_names import Extent, names_in
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.model.graphs import is_op
from pluginkit.onnx.model.plugin_nodes import plugin_of_node

#: A node, by its position, and the name that its plugin gives a dimension.
_Label = tuple[int, str]


@dataclass(frozen=True)
class LinkedInputs:
    """Inputs of a network, with what plugins say of them.

    Attributes:
        inputs: the inputs; dimensions that must be equal have one name.
        fixed: the ranges of dimensions that must have one size.
    """

    inputs: list[NetworkInput]
    fixed: dict[DefaultDim, Extent]


def link_inputs(
    model: onnx.ModelProto, plugins: Plugins, inputs: Sequence[NetworkInput]
) -> LinkedInputs:
    """Give dimensions that plugins want equal the same name, and find those that they fix.

    Args:
        model: the rewritten model.
        plugins: the plugins of its nodes.
        inputs: the network's inputs.
    """
    groups = _equal_dims(model, plugins, inputs)
    linked = [one if one.is_shape_tensor else _named(one, groups) for one in inputs]
    fixed: dict[DefaultDim, Extent] = {}
    for one in linked:
        for axis, dim in enumerate(() if one.is_shape_tensor else one.shape):
            size = groups.size((one.name, axis))
            if isinstance(dim, str) and size is not None:
                fixed[dim or (one.name, axis)] = (size, size, size)
    return LinkedInputs(linked, fixed)


def _equal_dims(
    model: onnx.ModelProto, plugins: Plugins, inputs: Sequence[NetworkInput]
) -> _EqualDims:
    """Group the dimensions that have one name in the model, or in what a plugin declares."""
    groups = _EqualDims()
    dims = {one.name: one.shape for one in inputs if not one.is_shape_tensor}
    for name, shape in dims.items():
        for axis, dim in enumerate(shape):
            if isinstance(dim, str) and dim:
                groups.join((name, axis), dim)
    for label, (name, axis) in _labelled(model, plugins):
        dim = dims[name][axis] if name in dims and axis < len(dims[name]) else 0
        if isinstance(dim, str) and not names_in(dim) and label is not None:
            groups.join((name, axis), label)
    return groups


def _named(one: NetworkInput, groups: _EqualDims) -> NetworkInput:
    """Return an input whose dimensions have the names of their groups."""
    names = (
        groups.name((one.name, axis)) if dim == "" else groups.name(dim, dim)
        for axis, dim in enumerate(one.shape)
    )
    return replace(one, shape=tuple(names))


def _labelled(
    model: onnx.ModelProto, plugins: Plugins
) -> Iterator[tuple[int | _Label | None, tuple[str, int]]]:
    """Yield what plugins declare of the dimensions of the model's inputs, with input and axis."""
    same = {value.name: value.name for value in model.graph.input}
    for position, node in enumerate(model.graph.node):
        if is_op(node, "Identity") or is_op(node, "Cast"):
            if node.input and node.output and node.input[0] in same:
                same[node.output[0]] = same[node.input[0]]
            continue
        plugin = plugin_of_node(node, plugins)
        if plugin is None:
            continue
        ranks = {one.name: len(one.type.tensor_type.shape.dim) for one in model.graph.input}
        for port, name in zip(present_ports(plugin), node.input, strict=False):
            source = same.get(name)
            if source is None or port.shape is None or not port.shape.takes_rank(ranks[source]):
                continue
            for axis, label in enumerate(port.shape.labels(ranks[source])):
                yield _of_node(position, label), (source, axis)


def _of_node(position: int, label: AxisLabel) -> int | _Label | None:
    return (position, label) if isinstance(label, str) else label


class _EqualDims:
    """Sets of dimensions that are equal; numbers and names are members too."""

    def __init__(self) -> None:
        self._of: dict[object, list[object]] = {}

    def join(self, one: object, other: object) -> None:
        left, right = self._of.get(one, [one]), self._of.get(other, [other])
        if left is not right:
            left += right
            self._of.update(dict.fromkeys(left, left))

    def name(self, member: object, otherwise: int | str = "") -> int | str:
        """The first name that the model gives a dimension of the group; else one of a plugin's."""
        found = self._of.get(member, ())
        if isinstance(member, int) or len(found) < 2:
            return otherwise
        names = [each for each in found if isinstance(each, str)]
        labels = [each[1] for each in found if isinstance(each, tuple) and isinstance(each[1], str)]
        inputs = [each for each in found if isinstance(each, tuple) and isinstance(each[1], int)]
        if names:
            return names[0]
        return f"{labels[0]} of {inputs[0][0]}" if labels and len(inputs) > 1 else otherwise

    def size(self, member: object) -> int | None:
        """The number that the group's dimensions must be."""
        return next((each for each in self._of.get(member, ()) if isinstance(each, int)), None)
