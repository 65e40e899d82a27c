"""Read how a model passes messages along the edges of a graph: Gather, Mul, a scatter, a mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._upstream import AxisSizes, Upstream, attribute_of
from pluginkit.onnx import FLOATS, GraphIndex, Graphs, is_op

#: The reduction that makes every element that is reduced later the least, or the largest.
_OPPOSITE = {"max": "min", "min": "max"}


@dataclass(frozen=True)
class Messages:
    """Rows that are reduced onto zeros, as names of values.

    Attributes:
        reduction: add, max or min.
        initial: a number that is reduced together with the rows; None for a sum.
        x: what is gathered, or the rows themselves.
        destinations: the row of the result for each row; a vector.
        sources: what is gathered from x, a vector; "" without a Gather.
        weights: what the rows are multiplied by; "" for nothing.
        heads: the columns of weights.
        rows: the number of rows of the result, or the name of its shape.
        is_expanded: whether each element has a copy of the index of its row.
        filled: what an earlier scatter onto zeros made, which ``initial`` stands for; "" for none.
    """

    reduction: str
    initial: float | None
    x: str
    destinations: str
    sources: str
    weights: str
    heads: int
    rows: int | str
    is_expanded: bool
    filled: str


class MessageReader:
    """Reads the messages of scatters in one scope."""

    def __init__(self, index: GraphIndex, graphs: Graphs) -> None:
        self._up = Upstream(index, graphs)

    def messages(self, node: onnx.NodeProto) -> Messages | None:
        """Return what a scatter reduces; None if it is not known to be rows onto zeros."""
        reduction = attribute_of(node, "reduction", "none")
        takes_tuples = is_op(node, "ScatterND")
        is_scatter = takes_tuples or is_op(node, "ScatterElements")
        if not is_scatter or reduction not in ("add", "max", "min"):
            return None
        data, indices, updates = node.input
        updates = self._unsliced(updates, indices)
        dims, kept = self.dims(updates), self.dims(data)
        if not dims or kept is None or len(kept) != len(dims) or dims[1:] != kept[1:]:
            return None
        is_first = attribute_of(node, "axis", 0) in (0, -len(dims))
        if None in dims[1:] or not is_first or self._up.dtype(updates) not in FLOATS:
            return None
        destinations = self._column(indices) if takes_tuples else self._vector(indices, dims)
        start = self._start(data, indices, reduction)
        if not destinations or start is None:
            return None
        shape, initial = start
        rows = kept[0] if isinstance(kept[0], int) else shape
        if rows == "":
            return None
        x, sources, weights, heads = self._gathered(updates, dims, self._up.dtype(destinations))
        return Messages(
            reduction=reduction,
            initial=initial,
            x=x,
            destinations=destinations,
            sources=sources,
            weights=weights,
            heads=heads,
            rows=rows,
            is_expanded=destinations != indices and len(dims) > 1 and not takes_tuples,
            filled="" if self._zeros(data) is not None else data,
        )

    def mean(self, node: onnx.NodeProto) -> Messages | None:
        """Return what a Div divides by its number of rows, or by 1 where there are none."""
        total = self._up.above(node.input[0], "ScatterElements")
        if total is None or self._readers(node.input[0]) != 1:
            return None
        found = self.messages(total)
        counts = self._counts(node.input[1])
        if found is None or found.reduction != "add" or counts is None:
            return None
        counted = self.messages(counts)
        if counted is None or counted.reduction != "add":
            return None
        is_same = counted.destinations == found.destinations
        sizes = [self.dims(each.output[0]) or [None] for each in (counts, total)]
        is_known = sizes[0][0] == sizes[1][0] is not None
        is_same &= is_known or self._rows(counted) == self._rows(found)
        expand = self._up.above(node.input[1], "Expand")
        is_whole = self.dims(node.output[0]) == self.dims(node.input[0])
        is_whole |= expand is not None and self._is_shape_of(expand.input[1], node.input[0])
        return found if is_same and is_whole and self._number(counts.input[2]) == 1 else None

    def _readers(self, name: str) -> int:
        """Return how many nodes read more of a value than its shape."""
        index = self._up.index
        shapes = [str(index.nodes[at].input[0]) for at in index.positions.get("Shape", ())]
        readers: int = index.readers[name]
        return readers - shapes.count(name)

    def _rows(self, found: Messages) -> int | str:
        """Return the number of rows, or the name of a value that holds it."""
        joined = self._up.above(str(found.rows), "Concat")
        return found.rows if joined is None else str(joined.input[0])

    def _counts(self, name: str) -> onnx.NodeProto | None:
        """Return the scatter that counts, below Expand, Reshape and Max(count, 1)."""
        for op_type in ("Expand", "Reshape", "Unsqueeze"):
            made = self._up.above(name, op_type)
            name = name if made is None else made.input[0]
        made = self._up.above(name, "Max") or self._up.above(name, "Clip")
        given = [] if made is None else [each for each in made.input if each]
        if made is None or len(given) != 2 or made.input[1] != given[1]:
            return None
        count, least = given if self._number(given[1]) == 1 else reversed(given)
        is_one = self._number(least) == 1 and (made.op_type == "Max" or count == given[0])
        counts = self._up.above(count, "ScatterElements") if is_one else None
        return counts if counts is not None and len(self.dims(count) or ()) == 1 else None

    def _unsliced(self, updates: str, indices: str) -> str:
        """Return what a Slice to the shape of the indices cuts, if it cuts nothing off."""
        cut = self._up.above(updates, "Slice")
        if cut is None or len(cut.input) != 3 or self._number(cut.input[1]) != 0:
            return updates
        whole: str = cut.input[0]
        expand, sizes = self._up.above(indices, "Expand"), self.dims(whole)
        is_shape = self._is_shape_of(cut.input[2], indices)
        is_equal = sizes is not None and None not in sizes and sizes == self.dims(indices)
        is_equal |= expand is not None and self._is_shape_of(expand.input[1], whole)
        return whole if is_shape and is_equal else updates

    def _is_shape_of(self, name: str, other: str) -> bool:
        shape = self._up.above(name, "Shape")
        return shape is not None and shape.input[0] == other and not attribute_of(shape, "start", 0)

    def _vector(self, indices: str, dims: AxisSizes) -> str:
        """Return the index of each row: a vector, or a column of it; "" if it differs in a row."""
        expand = self._up.above(indices, "Expand")
        column = indices if expand is None else expand.input[0]
        sizes = self.dims(column)
        if sizes is None or len(sizes) != len(dims) or any(size != 1 for size in sizes[1:]):
            return ""
        is_repeated = 1 in (sizes[0], dims[0]) and sizes[0] != dims[0]
        return "" if is_repeated else self._flat(column)

    def _column(self, tuples: str) -> str:
        """Return the index of each row, where tuples have one element; "" where they have more."""
        sizes = self.dims(tuples)
        return self._flat(tuples) if sizes is not None and sizes[1:] == [1] else ""

    def _flat(self, column: str) -> str:
        """Return the vector that a column was made of; else the column."""
        for op_type in ("Reshape", "Unsqueeze"):
            made = self._up.above(column, op_type)
            if made is not None and len(self.dims(made.input[0]) or ()) == 1:
                return str(made.input[0])
        return column

    def _start(self, data: str, indices: str, reduction: str) -> tuple[str, float | None] | None:
        """Return the shape's name, if it has one, and what reductions start with."""
        shape = self._zeros(data)
        if shape is not None:
            return shape, None if reduction == "add" else 0.0
        before = self._up.above(data, "ScatterElements")
        opposite = _OPPOSITE.get(reduction)
        if (
            before is None
            or opposite is None
            or attribute_of(before, "reduction", "none") != opposite
        ):
            return None
        shape, fill = self._zeros(before.input[0]), self._number(before.input[2])
        is_same = before.input[1] == indices and attribute_of(before, "axis", 0) in (0,)
        if shape is None or not is_same or fill is None:
            return None
        return (shape, fill) if (fill <= 0) == (reduction == "max") else None

    def _zeros(self, name: str) -> str | None:
        """Return the shape that a tensor of zeros is made of, "" if it is stored; else None."""
        if self._number(name) != 0:
            return None
        for op_type, at in (("ConstantOfShape", 0), ("Expand", 1)):
            made = self._up.above(name, op_type)
            if made is not None:
                return str(made.input[at])
        return ""

    def _number(self, name: str) -> float | None:
        """Return the number that every element of a value is, if that is known."""
        made = self._up.above(name, "Expand") or self._up.above(name, "Slice")
        name = name if made is None else made.input[0]
        stored = self._up.stored(name)
        made = self._up.above(name, "ConstantOfShape")
        if made is not None:
            values = [each.t for each in made.attribute if each.name == "value"]
            stored = onnx.numpy_helper.to_array(values[0]) if values else np.zeros(1, np.float32)
        if stored is None or not stored.size or (stored != stored.flat[0]).any():
            return None
        return float(stored.flat[0])

    def _gathered(
        self, updates: str, dims: AxisSizes, index_dtype: str
    ) -> tuple[str, str, str, int]:
        """Return x, sources, weights and its columns, as far as the rows are gathered."""
        multiply = self._up.above(updates, "Mul")
        pairs = [(updates, "")]
        if multiply is not None:
            pairs += [tuple(multiply.input), tuple(reversed(multiply.input))]
        for rows, weights in pairs:
            gather = self._up.above(rows, "Gather")
            if gather is None or self.dims(rows) != dims:
                continue
            x, sources = gather.input
            rank, at = len(self.dims(x) or ()), self.dims(sources)
            is_first = attribute_of(gather, "axis", 0) in (0, -rank)
            is_vector = at is not None and len(at) == 1 and rank == len(dims)
            heads = self._heads(weights, dims) if weights else 1
            if is_first and is_vector and heads and self._up.dtype(sources) == index_dtype:
                return x, sources, weights, heads
        return updates, "", "", 1

    def _heads(self, weights: str, dims: AxisSizes) -> int:
        """Return the columns of weights, each for equal parts of a row; 0 if they are not so."""
        sizes = self.dims(weights)
        if sizes is None or len(sizes) != len(dims) or sizes[0] != dims[0] or dims[0] in (None, 1):
            return 0
        lead = 1
        while lead < len(dims) and sizes[lead] == dims[lead]:
            lead += 1
        columns = sizes[1:lead]
        is_whole = lead == len(dims) > 2 or (lead == len(dims) == 2 and dims[1] != 1)
        if is_whole or any(size != 1 for size in sizes[lead:]) or not _are_ints(columns):
            return 0
        return prod(size for size in columns if isinstance(size, int))

    def dims(self, name: str) -> AxisSizes | None:
        """Return the sizes of a value's axes; None if its rank is unknown."""
        return self._up.known_dims(name)


def _are_ints(sizes: Sequence[int | str | None]) -> bool:
    return all(isinstance(size, int) for size in sizes)
