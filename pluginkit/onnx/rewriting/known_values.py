"""Compute the values of a graph that are known before it runs, or between which limits they lie."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.onnx.inference.static_values import run_node
from pluginkit.onnx.inference.value_types import Types, axis_sizes, known_sizes
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import defined_names, is_op
from pluginkit.onnx.rewriting.graph_index import GraphIndex

_Array: TypeAlias = npt.NDArray[Any]
#: The least and the greatest size of each named dimension.
Extents: TypeAlias = Mapping[str, tuple[int, int]]

#: A larger value would only make the model larger.
_LARGEST = 256
#: What a dimension of unknown size may be.
_ANY_SIZE = (0, 2**31 - 1)
#: No sum of two numbers up to this one overflows.
_MOST = 2**61
#: Operators that give greater numbers for greater inputs, or only move them.
_RISING = frozenset(
    {
        *("Add", "And", "Cast", "Concat", "Expand", "Flatten", "Gather", "Identity", "Max", "Min"),
        *("Mul", "Or", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Slice"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
#: Of these, those that do so only if no input is negative.
_RISING_FROM_0 = frozenset({"Cast", "Mul", "ReduceProd"})
#: Operators whose further inputs are no numbers to compute with, and must be known.
_FIRST_ONLY = frozenset(
    {
        *("Expand", "Gather", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape"),
        *("Slice", "Squeeze", "Tile", "Unsqueeze"),
    }
)
_COMPARED = {
    "Greater": lambda low, high: (low[0] > high[1], high[0] > low[1]),
    "GreaterOrEqual": lambda low, high: (low[0] >= high[1], high[0] >= low[1]),
    "Less": lambda low, high: (high[0] < low[1], low[0] < high[1]),
    "LessOrEqual": lambda low, high: (high[0] <= low[1], low[0] <= high[1]),
}
#: Operators that are also computed where every input is known, to the last bit as TensorRT does.
_EXACT = frozenset(
    {
        *("Abs", "Ceil", "ConstantOfShape", "Div", "Equal", "Floor", "Mod", "Neg", "NonZero"),
        *("Not", "Range", "Sqrt", "Sub", "Where", "Xor"),
    }
)
_COMPUTED = _RISING | _EXACT | _COMPARED.keys() | {"Constant", "Shape", "Size"}


@dataclass(frozen=True)
class KnownRange:
    """The least and the greatest numbers that the elements of a value can be.

    Attributes:
        low: the least ones.
        high: the greatest ones; the same array if the value is known.
    """

    low: _Array
    high: _Array

    @property
    def is_exact(self) -> bool:
        """Whether the value is known."""
        return self.low is self.high


def _exactly(value: _Array) -> KnownRange:
    return KnownRange(value, value)


def _range(low: _Array, high: _Array) -> KnownRange | None:
    """Return the range between two arrays of numbers; None if they may have overflowed."""
    if np.array_equal(low, high):
        return KnownRange(low, low)
    if low.dtype.kind in "iu" and max(abs(int(low.min())), abs(int(high.max()))) > _MOST:
        return None
    return KnownRange(low, high) if (low <= high).all() else None


class KnownValues:
    """Computes the values of one scope that follow from what is stored and from shapes.

    Args:
        index: the nodes of the scope, in topological order.
        types: the types of the model's values.
        outer: the values of the scope around it.
        extents: the sizes that named dimensions can have.
        inputs: the names of stored values that are inputs of the graph too, and may differ.
    """

    def __init__(
        self,
        index: GraphIndex,
        types: Types,
        outer: KnownValues | None = None,
        extents: Extents = MappingProxyType({}),
        inputs: Collection[str] = (),
    ) -> None:
        self._index = index
        self._types = types
        self._outer = outer
        self._extents = extents
        self._found: dict[str, KnownRange] = {}
        if isinstance(index.scope.graph, onnx.GraphProto):
            for tensor in index.scope.graph.initializer:
                if tensor.name not in inputs:
                    self._store(tensor.name, tensor)

    @cached_property
    def _inside(self) -> set[str]:
        return defined_names(self._index.scope.graph)

    def find(self, name: str) -> KnownRange | None:
        """Return what is known of a value, of this scope or one around it."""
        found = self._found.get(name)
        if found is not None or self._outer is None or name in self._inside:
            return found
        return self._outer.find(name)

    def compute_all(self) -> set[int]:
        """Compute what is known of all values.

        Returns:
            The positions of the nodes, other than Constants, whose output is known.
        """
        nodes, positions = self._index.nodes, self._index.positions
        computed = sorted(at for each in _COMPUTED for at in positions.get(each, ()))
        self._compute(nodes[at] for at in computed)
        exact = {name for name, found in self._found.items() if found.is_exact}
        known = (
            {at for at in computed if not exact.isdisjoint(nodes[at].output)} if exact else set()
        )
        return known.difference(positions.get("Constant", ()))

    def compute_for(self, name: str) -> KnownRange | None:
        """Compute one value, and what it needs; return what is known of it."""
        producers = self._index.producers
        needed: set[int] = set()
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if self._outer is not None and each not in self._inside:
                self._outer.compute_for(each)
            at = producers.get(each)
            if at is None or at in needed or not _is_computed(self._index.nodes[at]):
                continue
            needed.add(at)
            node = self._index.nodes[at]
            waiting += [] if node.op_type in ("Shape", "Size") else node.input
        self._compute(self._index.nodes[at] for at in sorted(needed))
        return self.find(name)

    def _compute(self, nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            if not _is_computed(node) or len(node.output) != 1 or node.output[0] in self._found:
                continue
            if node.op_type == "Constant":
                stored = self._index.constant(node.output[0])
                if stored is not None:
                    self._store(node.output[0], stored)
                continue
            found = self._range_of(node)
            if found is not None and self._fits(node.output[0], found):
                self._found[node.output[0]] = found

    def _store(self, name: str, tensor: onnx.TensorProto) -> None:
        if math.prod(tensor.dims) > _LARGEST or is_external(tensor):
            return
        if tensor.data_type != onnx.TensorProto.STRING:
            try:
                array = onnx.numpy_helper.to_array(tensor)
            except Exception:  # a damaged tensor raises anything; the checker reports it
                return
            self._found[name] = _exactly(array)

    def _range_of(self, node: onnx.NodeProto) -> KnownRange | None:
        if node.op_type in ("Shape", "Size"):
            return self._of_shape(node)
        known = {}
        for name in node.input:
            found = self.find(name) if name else None
            if found is not None:
                known[name] = found
            elif name:
                return None
        try:
            if all(each.is_exact for each in known.values()):
                return self._run(node, {name: each.low for name, each in known.items()})
            return self._between(node, known)
        except Exception:  # the evaluator raises anything, as for a division by zero
            return None

    def _run(self, node: onnx.NodeProto, feeds: dict[str, _Array]) -> KnownRange | None:
        is_whole = all(each.dtype.kind in "iu" for each in feeds.values())
        if node.op_type == "Div" and is_whole and any((each < 0).any() for each in feeds.values()):
            return None  # the evaluator rounds down, ONNX towards zero
        value = run_node(node, feeds, self._index.scope.opsets)
        return _exactly(value) if value.size <= _LARGEST else None

    def _of_shape(self, node: onnx.NodeProto) -> KnownRange | None:
        axes = axis_sizes(self._types.find(self._index.scope, node.input[0]))
        if axes is None:
            return None
        sizes = [
            (size, size) if isinstance(size, int) else self._extents.get(size or "", _ANY_SIZE)
            for size in axes
        ]
        if node.op_type == "Shape":
            given = {each.name: each.i for each in node.attribute}
            sizes = sizes[given.get("start", 0) : given.get("end", len(sizes))]
        if node.op_type == "Size":
            is_known = all(low == high for low, high in sizes)
            return _exactly(np.array(math.prod(low for low, _ in sizes))) if is_known else None
        low, high = (np.array([size[end] for size in sizes], np.int64) for end in range(2))
        return _range(low, high)

    def _between(self, node: onnx.NodeProto, known: Mapping[str, KnownRange]) -> KnownRange | None:
        """Return the limits of a node's output from those of its inputs."""
        op_type, opsets = node.op_type, self._index.scope.opsets
        ranges = [known[name] for name in node.input if name]
        if any(each.low.dtype.kind not in "biu" for each in ranges):
            return None
        if op_type in _COMPARED:
            one, other = ranges
            return _range(*_COMPARED[op_type]((one.low, other.low), (one.high, other.high)))
        if op_type == "Equal":
            one, other = ranges
            is_one = (one.low == one.high) & (other.low == other.high) & (one.low == other.low)
            return _range(is_one, (one.low <= other.high) & (other.low <= one.high))
        if op_type == "Not":
            return _range(~ranges[0].high, ~ranges[0].low)
        if op_type == "Sub":
            one, other = ranges
            return _range(one.low - other.high, one.high - other.low)
        if op_type not in _RISING or (
            op_type in _FIRST_ONLY and not all(each.is_exact for each in ranges[1:])
        ):
            return None
        if op_type in _RISING_FROM_0 and any((each.low < 0).any() for each in ranges):
            return None
        if op_type in ("Mul", "ReduceProd"):
            largest = [float(np.prod(np.maximum(each.high, 1.0))) for each in ranges]
            if math.prod(largest) > _MOST:
                return None
        ends = (
            run_node(node, {name: getattr(each, end) for name, each in known.items()}, opsets)
            for end in ("low", "high")
        )
        return _range(*ends)

    def _fits(self, name: str, found: KnownRange) -> bool:
        """Whether a computed value has the type that inference gives."""
        value_type = self._types.find(self._index.scope, name)
        if value_type is None:
            return True
        elem_type = value_type.tensor_type.elem_type
        sizes = known_sizes(value_type)
        if elem_type and elem_type != onnx.helper.np_dtype_to_tensor_dtype(found.low.dtype):
            return False
        return sizes is None or (
            len(sizes) == found.low.ndim
            and all(
                known in (None, size) for known, size in zip(sizes, found.low.shape, strict=True)
            )
        )


def overridable(index: GraphIndex, ir_version: int) -> frozenset[str]:
    """Return the inputs of a graph, whose stored values are defaults from IR version 4 on."""
    graph = index.scope.graph
    is_main = index.scope.outer is None and isinstance(graph, onnx.GraphProto)
    if not is_main or ir_version < 4 or isinstance(graph, onnx.FunctionProto):
        return frozenset()
    return frozenset(value.name for value in graph.input)


def _is_computed(node: onnx.NodeProto) -> bool:
    return node.op_type in _COMPUTED and is_op(node, node.op_type)
