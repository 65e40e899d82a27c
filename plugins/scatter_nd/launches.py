"""The launches of ScatterND, and when each of the methods of kernel.cu is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pluginkit import (
    Dim,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    int32,
    known,
    offset_type,
    product,
    where,
)
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.copy import copy_step
from pluginkit.plugins._cuda.row_lists import (
    LIST_ITEMSIZE,
    MAX_LISTED,
    MAX_ROW,
    VECTOR_BYTES,
    WARP_LANES,
    RowLists,
    all_hold,
    at_least,
    at_most,
    finish,
    gather,
    groups_of,
    unit_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_nd import ScatterND

#: How many dimensions a tuple of indices can name.
_MAX_DEPTH = 8
#: The most rows of updates that a thread links.
_LINKED = 4
#: The constants that the kernels share with Python.
DEFINES = {**row_lists.DEFINES, "LINKED": _LINKED, "MAX_DEPTH": _MAX_DEPTH}

_BLOCK, _FEW_BLOCK = 256, 128
#: With fewer blocks that link rows of updates a thread links one.
_LINKING_BLOCKS = 1056
#: With at most so many vectors of data one launch is faster than a copy and another.
_FEW_VECTORS = 2**18
#: With this many elements of updates three launches are faster than two.
_MANY_UPDATES = 2**17


@dataclass(frozen=True)
class ScatteredRows:
    """The rows of a call: a row is all the elements of ``data`` that one tuple names.

    Attributes:
        sizes: the dimensions of data that a tuple indexes.
        updates: the rows of updates.
        inner: the elements of a row.
        itemsize: the bytes of an element.
    """

    sizes: tuple[int, ...]
    updates: int
    inner: int
    itemsize: int

    @property
    def count(self) -> int:
        """The number of rows of data."""
        return prod(self.sizes)

    @property
    def nbytes(self) -> int:
        """The bytes of a row."""
        return self.inner * self.itemsize

    @property
    def may_suit_lists(self) -> bool:
        """Whether lists are worth it for this shape or a smaller one."""
        return self.nbytes >= VECTOR_BYTES

    @property
    def are_for_one_launch(self) -> bool:
        """Whether each thread may look at all tuples, which spares a separate copy of data."""
        vectors = self.count * self.inner // max(self.vector_bytes // self.itemsize, 1)
        return all_hold(
            vectors > 0, vectors <= _FEW_VECTORS, self.updates > 0, self.updates <= WARP_LANES
        )

    @property
    def suit_lists(self) -> bool:
        """Whether lists save more memory traffic than they cost, and are short on average.

        A list head and a link are each written once and read once. In return, lists save the second
        read and write of output elements by atomics.
        """
        return all_hold(
            self.may_suit_lists,
            self.updates * self.inner >= _MANY_UPDATES,
            self.updates * self.nbytes >= LIST_ITEMSIZE * (self.count + self.updates),
            self.updates <= row_lists.LONGEST_AVERAGE * self.count,
            self.count + 2 * self.updates <= MAX_LISTED,
            self.inner <= MAX_ROW,
        )

    @property
    def vector_bytes(self) -> int:
        """The bytes of a load: a vector or a word if a row is a multiple of it, otherwise 1."""
        return unit_of(self.nbytes)


def depth_of(data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> int:
    """Return how many dimensions of data a tuple names, which follows from the ranks."""
    return data.ndim + indices.ndim - 1 - updates.ndim


def shapes_fit(data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> bool:
    """Whether tuples name dimensions of data, and there is an update for each tuple."""
    depth = depth_of(data, indices, updates)
    return (
        0 <= depth <= data.ndim
        and indices.shape[-1] == depth
        and updates.shape == (*indices.shape[:-1], *data.shape[depth:])
    )


def list_bound(data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> Dim:
    """Return the bytes of the lists of updates; dimensions may be symbolic."""
    depth = depth_of(data, indices, updates)
    return RowLists.nbytes(product(data.shape[:depth]), product(indices.shape[:-1]))


def rows_of(data: TensorDesc, indices: TensorDesc, updates: TensorDesc) -> ScatteredRows:
    """Return the rows of a call with static shapes."""
    depth = depth_of(data, indices, updates)
    shape = tuple(map(known, data.shape))
    listed = prod(map(known, indices.shape[:-1]))
    return ScatteredRows(shape[:depth], listed, prod(shape[depth:]), data.dtype.itemsize)


@dataclass(frozen=True)
class ScatterNDCall:
    """A call with static shapes: the plugin, its tensors and its rows."""

    plugin: ScatterND
    data: TensorDesc
    indices: TensorDesc
    updates: TensorDesc
    output: TensorDesc
    workspace: Workspace
    rows: ScatteredRows

    def steps(self) -> Sequence[Step]:
        """Return the launches, by lists if they are worth it."""
        if self.rows.are_for_one_launch:
            return self._few()
        return self._by_lists() if self._has_lists else self._in_place()

    @property
    def _has_lists(self) -> bool:
        """Whether lists are worth it; less often where a vector is reduced or written at once."""
        rows, reduction = self.rows, self.plugin.reduction
        are_few = 0
        if reduction == "none" or (reduction == "add" and self.data.dtype.is_floating):
            is_vector = where(rows.nbytes % VECTOR_BYTES == 0, 1, 0)
            are_few = where(row_lists.are_few(rows.updates, rows.count, rows.nbytes), is_vector, 0)
        return all_hold(rows.suit_lists, are_few == 0)

    def _few(self) -> Sequence[Step]:
        rows, vector = self.rows, self.rows.vector_bytes
        elements = max(vector // rows.itemsize, 1)
        vectors = known(self.data.size) // elements
        few = Launch(
            self.plugin.combine_few,
            grid=groups_of(vectors, _FEW_BLOCK),
            block=_FEW_BLOCK,
            args=(
                *(self.output, self.data, self.indices, self.updates),
                *map(int32, (rows.updates, len(rows.sizes))),
                int32(self._padded_sizes),
                *map(int32, (vectors, rows.inner // elements)),
            ),
            constants={"VECTOR": vector},
        )
        return (few,)

    def _in_place(self) -> Sequence[Step]:
        rows, vector = self.rows, self.rows.vector_bytes
        offset = offset_type(*self.data.shape, self.data.size, self.updates.size)
        packs = known(self.updates.size) // max(vector // rows.itemsize, 1)
        reduce = Launch(
            self.plugin.in_place,
            grid=groups_of(packs, _BLOCK),
            block=_BLOCK,
            args=(
                self.output,
                self.indices,
                self.updates,
                *map(offset, (rows.updates, rows.inner, self.data.size)),
                int32(len(rows.sizes)),
                offset(self._padded_sizes),
            ),
            constants={"OFFSET": offset.cpp, "VECTOR": vector},
        )
        return copy_step(self.plugin.copy_data, self.output, self.data), reduce

    def _by_lists(self) -> Sequence[Step]:
        rows, plugin, is_plain = self.rows, self.plugin, self.plugin.reduction == "none"
        lists = RowLists(self.workspace, rows.count, rows.updates, is_combined=not is_plain)
        link = Launch(
            plugin.link_tuples,
            grid=at_least(
                groups_of(rows.updates, _BLOCK * _LINKED),
                at_most(_LINKING_BLOCKS, groups_of(rows.updates, _BLOCK)),
            ),
            block=_BLOCK,
            args=(
                self.indices,
                lists.heads,
                lists.links,
                lists.targets,
                int32(rows.updates),
                int32(len(rows.sizes)),
                int32(self._padded_sizes),
            ),
            constants={"KEEP_LAST": is_plain},
        )
        tensors, vector = (self.output, self.data, self.updates), rows.vector_bytes
        gathered = gather(plugin.gather_rows, tensors, lists, rows.inner, vector, VECTOR=vector)
        if is_plain:  # one update of each row is kept, so no list is long
            return lists.empty, link, gathered
        finished = finish(
            plugin.finish_long_lists, self.output, self.updates, lists, rows.inner, vector
        )
        return lists.empty, link, gathered, finished

    @property
    def _padded_sizes(self) -> list[int]:
        return [*self.rows.sizes, *[1] * (_MAX_DEPTH - len(self.rows.sizes))]
