"""Find assignments through a mask, and select by the mask instead."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.helper

from pluginkit.onnx.inference.value_types import axis_sizes
from pluginkit.onnx.model.graphs import Scope, is_op, place_of, scopes
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs
from pluginkit.onnx.rewriting.node_attributes import axes_of
from pluginkit.onnx.rewriting.replace_nodes import replace_nodes


def select_by_masks(graphs: Graphs) -> list[Change]:
    """Replace ScatterND at all places of a mask by Where; return the changes.

    That is done only if the mask has the shape of the data, and if what is written is one number,
    a row that the mask's last axes repeat, or the values of another tensor at the same places.
    Other rows, written element by element at the places of a mask of rows, are written as rows.
    """
    return [change for scope in scopes(graphs.model) for change in _select(scope, graphs)]


def _select(scope: Scope, graphs: Graphs) -> Iterator[Change]:
    index = GraphIndex(scope)
    new: dict[int, list[onnx.NodeProto]] = {}
    for position in index.positions.get("ScatterND", ()):
        node = index.nodes[position]
        if is_op(node, "ScatterND"):
            made = _Assignment(index, graphs, node).selection()
            if made:
                yield place_of(scope, node), tuple(each.op_type for each in made)
                new[position] = made
    if new:
        replace_nodes(index, new)


class _Assignment:
    """A ScatterND that may write through a mask."""

    def __init__(self, index: GraphIndex, graphs: Graphs, node: onnx.NodeProto) -> None:
        self._index = index
        self._types = graphs.types
        self._names = graphs.names
        self._node = node

    def selection(self) -> list[onnx.NodeProto]:
        """Return the nodes that select instead; none if it writes otherwise."""
        data, indices, updates = self._node.input
        reductions = [each.s for each in self._node.attribute if each.name == "reduction"]
        found = self._made_by(self._made_by_transpose(indices), "NonZero")
        if found is None or any(each != b"none" for each in reductions):
            return []
        mask = found.input[0]
        shape = self._dims(data)
        if shape is None or not shape or not self._has_shape_of(mask, data):
            return []
        value = self._value(updates, indices, mask, data)
        if value is None:
            return self._writing_of_rows(updates, mask, data)
        nodes = []
        if self._elem_type(mask) != onnx.TensorProto.BOOL:
            as_bool = self._names.new_value(f"{mask}_bool")
            nodes.append(onnx.helper.make_node("Cast", [mask], [as_bool], to=onnx.TensorProto.BOOL))
            mask = as_bool
        where = onnx.helper.make_node("Where", [mask, value, data], self._node.output)
        return self._named([*nodes, where])

    def _writing_of_rows(self, updates: str, mask: str, data: str) -> list[onnx.NodeProto]:
        """Return nodes that write whole rows, where the elements of rows are written; or none.

        The places of the rows are those of the mask before it was expanded along the rows.
        """
        reshape, expand = self._made_by(updates, "Reshape"), self._made_by(mask, "Expand")
        shape, repeated = self._dims(data) or [], self._repeated_axes(mask)
        if reshape is None or expand is None or not repeated or None in shape:
            return []
        rows_mask = self._before_unsqueezes(expand.input[0])
        leading, row = shape[:-repeated], shape[-repeated:]
        rows = self._dims(reshape.input[0]) or []
        has_rows = len(rows) == repeated + 1 and rows[1:] == row
        has_rows = has_rows or self._is_expanded_to_rows(reshape.input[0], data, repeated)
        if self._dims(rows_mask) != leading or not has_rows:
            return []
        found, places = (self._names.new_value(f"{mask}_{each}") for each in ("found", "places"))
        write = onnx.helper.make_node(
            "ScatterND", [data, places, reshape.input[0]], self._node.output
        )
        nodes = [
            onnx.helper.make_node("NonZero", [rows_mask], [found]),
            onnx.helper.make_node("Transpose", [found], [places], perm=[1, 0]),
        ]
        return self._named([*nodes, write])

    def _is_expanded_to_rows(self, updates: str, data: str, repeated: int) -> bool:
        """Whether a value was expanded to a vector of rows: of the sizes of the data's last axes.

        torch expands what it writes to that shape, whose sizes type inference does not follow.
        """
        expand, rank = self._made_by(updates, "Expand"), len(self._dims(data) or ())
        parts = None if expand is None else self._made_by(expand.input[1], "Concat")
        if parts is None or len(parts.input) != 2 or self._dims(parts.input[0]) != [1]:
            return False
        cut = self._made_by(parts.input[1], "Slice")
        shape = None if cut is None else self._made_by(cut.input[0], "Shape")
        if cut is None or shape is None or shape.input[0] != data or len(cut.input) < 4:
            return False
        if any(each.name == "end" or each.i for each in shape.attribute):
            return False
        bounds = [self._index.array(each) for each in cut.input[1:]]
        begin, end, _, *step = (None if each is None else each.tolist() for each in bounds)
        is_to_end = end is not None and end[0] >= rank
        return begin in ([rank - repeated], [-repeated]) and is_to_end and step in ([], [[1]])

    def _named(self, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
        for node in nodes:
            node.name = self._names.new_node(f"{self._node.name}/{node.op_type}")
        return nodes

    def _value(self, updates: str, indices: str, mask: str, data: str) -> str | None:
        """Return what is written, so that it broadcasts to the data; None if it cannot."""
        reshape = self._made_by(updates, "Reshape")
        if reshape is not None:
            updates = reshape.input[0]
        gather = self._made_by(updates, "GatherND")
        if gather is not None:
            is_same = gather.input[1] == indices and self._has_shape_of(gather.input[0], data)
            is_plain = not any(each.i for each in gather.attribute)
            return gather.input[0] if is_same and is_plain else None
        expand = self._made_by(updates, "Expand")
        value = updates if expand is None else expand.input[0]
        sizes, shape = self._dims(value), self._dims(data)
        if sizes is None or shape is None or len(sizes) > len(shape):
            return None
        if all(size == 1 for size in sizes):
            return value
        repeated = self._repeated_axes(mask)
        if expand is None or len(sizes) > repeated:
            return None
        is_row = None not in sizes and sizes == shape[len(shape) - len(sizes) :]
        return value if is_row or self._is_expanded_to_rows(updates, data, repeated) else None

    def _repeated_axes(self, mask: str) -> int:
        """Return along how many of the last axes a mask was expanded."""
        expand = self._made_by(mask, "Expand")
        if expand is None:
            return 0
        dims = self._dims(self._before_unsqueezes(expand.input[0]))
        is_added = [False] * len(dims or ())
        for node in reversed(self._unsqueezes(expand.input[0]) if dims is not None else []):
            axes = axes_of(node, self._index.array) or []
            rank = len(is_added) + len(axes)
            for axis in sorted(axis % rank for axis in axes):
                is_added.insert(axis, True)
        return next((at for at, each in enumerate(reversed(is_added)) if not each), len(is_added))

    def _unsqueezes(self, name: str) -> list[onnx.NodeProto]:
        """Return the Unsqueezes that end in a value, the last one first."""
        found = []
        while (node := self._made_by(name, "Unsqueeze")) is not None:
            found.append(node)
            name = node.input[0]
        return found

    def _before_unsqueezes(self, name: str) -> str:
        nodes = self._unsqueezes(name)
        return nodes[-1].input[0] if nodes else name

    def _has_shape_of(self, name: str, other: str) -> bool:
        """Whether two values have the same shape, by their types or since one is expanded."""
        if name == other:
            return True
        mine, others = self._dims(name), self._dims(other)
        if mine is not None and mine == others and None not in mine:
            return True
        expand = self._made_by(name, "Expand")
        shape = None if expand is None else self._made_by(expand.input[1], "Shape")
        if shape is None or shape.input[0] != other:
            return False
        is_whole = all(each.name == "start" and each.i == 0 for each in shape.attribute)
        return is_whole and mine is not None and others is not None and len(mine) == len(others)

    def _dims(self, name: str) -> list[int | str | None] | None:
        """Return the sizes of a value's axes: a number, a name, or None where nothing is known."""
        found = self._types.find(self._index.scope, name)
        if found is None or not found.tensor_type.HasField("shape"):
            stored = self._index.constant(name)
            return None if stored is None else list(stored.dims)
        return axis_sizes(found)

    def _elem_type(self, name: str) -> int:
        found = self._types.find(self._index.scope, name)
        return 0 if found is None else found.tensor_type.elem_type

    def _made_by_transpose(self, name: str) -> str:
        """Return what a Transpose of a matrix reads; the name itself if it is something else."""
        transpose = self._made_by(name, "Transpose")
        return name if transpose is None else transpose.input[0]

    def _made_by(self, name: str, op_type: str) -> onnx.NodeProto | None:
        """Return the node that makes a value, if it is of this type."""
        position = self._index.producers.get(name)
        node = None if position is None else self._index.nodes[position]
        return node if node is not None and is_op(node, op_type) else None
