"""Walk from a value up to the nodes that make it, and compare the sizes of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx import GraphIndex, Graphs, axes_of, axis_sizes, dtype_of_elem_type, is_op

#: The sizes of a value's axes: a number, a name, or None where nothing is known.
AxisSize: TypeAlias = int | str | None
AxisSizes: TypeAlias = list[AxisSize]


@dataclass(frozen=True)
class Upstream:
    """The nodes of one scope, looked up from the values that they make."""

    index: GraphIndex
    graphs: Graphs

    def above(self, name: str, op_type: str) -> onnx.NodeProto | None:
        """Return the node that makes a value, if it is of this type."""
        position = self.index.producers.get(name)
        node = None if position is None else self.index.nodes[position]
        return node if node is not None and is_op(node, op_type) else None

    def without_casts(self, name: str) -> str:
        """Return the value above Casts to the type that it has."""
        cast = self.above(name, "Cast")
        while cast is not None and self.dtype(cast.input[0]) == self.dtype(name):
            name = str(cast.input[0])
            cast = self.above(name, "Cast")
        return name

    def part_of(self, name: str, axis: int, number: int, start: int) -> str | None:
        """Return the value of which another is a part along an axis.

        Args:
            name: the part, whose size is not looked at.
            axis: the axis.
            number: which output of a Split it must be.
            start: where a Slice must begin.
        """
        axes = (axis, axis - len(self.dims(name)))
        split, cut = self.above(name, "Split"), self.above(name, "Slice")
        if split is not None:
            is_there = list(split.output).index(name) == number
            return split.input[0] if is_there and attribute_of(split, "axis", 0) in axes else None
        if cut is None or len(cut.input) < 4:
            return None
        starts, _, along, *steps = [self.stored(each) for each in cut.input[1:]]
        if starts is None or along is None or starts.size != 1 or along.size != 1:
            return None
        is_dense = all(step is not None and step.item() == 1 for step in steps)
        fits = is_dense and starts.item() == start and along.item() in axes
        return cut.input[0] if fits else None

    def dims(self, name: str) -> AxisSizes:
        """Return the sizes of a value's axes; none at all if its rank is unknown."""
        return self.known_dims(name) or []

    def known_dims(self, name: str) -> AxisSizes | None:
        """Return the sizes of a value's axes; None if its rank is unknown."""
        return axis_sizes(self.graphs.types.find(self.index.scope, name))

    def dtype(self, name: str) -> str:
        """Return the name of a value's dtype; "" if it is unknown."""
        found = self.graphs.types.find(self.index.scope, name)
        elem_type = 0 if found is None else found.tensor_type.elem_type
        return dtype_of_elem_type(elem_type) if elem_type else ""

    def axes(self, node: onnx.NodeProto) -> list[int]:
        """Return the axes of a node; none if they are unknown."""
        return axes_of(node, self.stored) or []

    def stored(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return the value if the model itself stores it; external files are never read."""
        return self.index.array(name)

    def is_number(self, name: str, number: float) -> bool:
        """Whether the model stores one number, this one."""
        stored = self.stored(name)
        return stored is not None and stored.size == 1 and stored.item() == number


def store_numbers(graphs: Graphs, graph: onnx.GraphProto, name: str, numbers: Any) -> str:
    """Store integers in a graph; return the name of the value, which is new to the model."""
    made = graphs.names.new_value(name)
    array = np.array(numbers, np.int64)
    graph.initializer.append(onnx.numpy_helper.from_array(array, made))
    return made


def attribute_of(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute of a node, a text as str, or the default if the node leaves it out."""
    found = next((each for each in node.attribute if each.name == name), None)
    value = default if found is None else onnx.helper.get_attribute_value(found)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def perm_of(node: onnx.NodeProto) -> list[int]:
    """Return the permutation of a Transpose."""
    return list(attribute_of(node, "perm", []))


def known_product(dims: Sequence[int | str | None]) -> int | None:
    """Return the product of sizes, or None if one is no number."""
    numbers = [size for size in dims if isinstance(size, int)]
    return int(np.prod(numbers)) if len(numbers) == len(dims) else None


def is_same(size: AxisSize, other: AxisSize) -> bool:
    """Whether two sizes are known to be equal; they may be names."""
    return size is not None and size == other


def are_same(dims: Sequence[AxisSize], others: Sequence[AxisSize]) -> bool:
    """Whether two lists of sizes are known to be equal."""
    return len(dims) == len(others) and all(map(is_same, dims, others))
