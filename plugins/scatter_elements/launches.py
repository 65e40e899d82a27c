"""The launches of each variant of ScatterElements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pluginkit import (
    Copy,
    Fill,
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
from pluginkit.plugins._cuda.row_lists import (
    EMPTY_BYTE,
    LIST_ITEMSIZE,
    VECTOR_BYTES,
    RowLists,
    gather,
)
from pluginkit.plugins.scatter_elements.variants import (
    COLUMNS,
    ENOUGH_BLOCKS,
    MAX_LISTED_IN_TILE,
    TILE_LINK_BYTES,
    KernelVariant,
    ScatterProblem,
    choose,
    problem_of,
)

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

_BLOCK = 256
#: The most threads of a block that loads vectors of a tile, and of a block if there are few.
_TILE_BLOCK, _LONE_TILE_BLOCK = 128, 512
_WARP = 32
#: How many rows of indices a warp of the rows variant reads at once.
_ROWS_A_WARP = 4
#: The most blocks of the elements kernel after the rows kernels, when it usually has nothing to do.
_LEFTOVER_BLOCKS = 4096

#: The constants that the kernels share with Python.
DEFINES = {
    **row_lists.DEFINES,
    "COLUMNS": COLUMNS,
    "MAX_LISTED_IN_TILE": MAX_LISTED_IN_TILE,
    "ROWS_A_WARP": _ROWS_A_WARP,
    "TILE_LINK_BYTES": TILE_LINK_BYTES,
    "WARP": _WARP,
}


@dataclass(frozen=True)
class ScatterElementsCall:
    """A call with static shapes: the plugin and its tensors."""

    plugin: ScatterElements
    data: TensorDesc
    indices: TensorDesc
    updates: TensorDesc
    output: TensorDesc
    workspace: Workspace

    @cached_property
    def problem(self) -> ScatterProblem:
        """The sizes of the call."""
        return problem_of(self.plugin, self.data, self.indices, self.updates)

    @property
    def axis(self) -> int:
        """The axis, counted from 0."""
        return self.data.axis(self.plugin.axis)

    def steps(self, variant: KernelVariant | None = None) -> Sequence[Step]:
        """Return the launches of a variant, by default of the one that is best for the sizes."""
        makers = {
            "elements": self._elements,
            "tile": self._tile,
            "column": self._column,
            "rows": self._rows,
            "lists": self._lists,
        }
        return makers[variant or choose(self.problem)]()

    def _merged_dims(self) -> MergedDims:
        data, updates = ([known(dim) for dim in desc.shape] for desc in (self.data, self.updates))
        return merged_dims(data, updates, self.axis)

    def _elements(self) -> Sequence[Step]:
        return Copy(self.output, self.data), self._scatter(None, None)

    def _scatter(self, state: Workspace | None, heads: Workspace | None) -> Launch:
        data, updates = self.data, self.updates
        offset = offset_type(*data.shape, *updates.shape, data.size, updates.size)
        dims = self._merged_dims()
        rank = dims.rank
        stride = product(data.shape[self.axis + 1 :])
        sizes = [updates.size, data.size, data.shape[self.axis], stride]
        blocks = -(-updates.size // _BLOCK)
        return Launch(
            self.plugin.elements,
            grid=blocks if state is None else min(blocks, _LEFTOVER_BLOCKS),
            block=_BLOCK,
            args=(
                self.output,
                self.indices,
                updates,
                *map(offset, sizes),
                offset(dims.geometry(rank)),
                state,
                heads,
            ),
            constants={"OFFSET": offset.cpp, "RANK": rank},
        )

    def _tile(self) -> Sequence[Step]:
        problem = self.problem
        is_vector = problem.is_vectorised_tile
        cells = VECTOR_BYTES // problem.itemsize if is_vector else 1
        updates = VECTOR_BYTES // problem.index_itemsize if is_vector else 1
        # With two vectors of data and two of indices a thread has enough loads in flight. Many
        # small blocks overlap their phases; if there are few, each needs all threads it can use.
        wanted = max(problem.axis_size // (2 * cells), problem.count // (2 * updates))
        if problem.outer < ENOUGH_BLOCKS:
            most = _LONE_TILE_BLOCK
        else:
            most = _TILE_BLOCK if is_vector else _BLOCK
        threads = min(max(-(-wanted // _WARP) * _WARP, 2 * _WARP), most)
        tile = Launch(
            self.plugin.tile,
            grid=problem.outer,
            block=threads,
            args=(*self._tensors(), int32(problem.axis_size), int32(problem.count)),
            shared_bytes=problem.tile_bytes,
            constants={"VECTOR": is_vector, "SORTED": problem.needs_order},
        )
        return (tile,)

    def _column(self) -> Sequence[Step]:
        problem = self.problem
        sizes = problem.axis_size, problem.count, problem.inner
        column = Launch(
            self.plugin.column,
            grid=problem.column_blocks,
            block=COLUMNS,
            args=(*self._tensors(), *map(int32, sizes)),
            shared_bytes=problem.column_bytes,
        )
        return (column,)

    def _tensors(self) -> tuple[TensorDesc, ...]:
        return self.output, self.data, self.indices, self.updates

    def _rows(self) -> Sequence[Step]:
        problem = self.problem
        output_rows, rows = problem.outer * problem.axis_size, problem.outer * problem.count
        lists = RowLists(self.workspace, output_rows)
        link = Launch(
            self.plugin.link_rows,
            grid=-(-rows // (_BLOCK // _WARP * _ROWS_A_WARP)),
            block=_BLOCK,
            args=(
                self.indices,
                self.workspace,
                lists.heads,
                lists.links,
                *map(int32, (rows, problem.count, problem.axis_size, problem.inner)),
            ),
            constants={"KEEP_LAST": self.plugin.reduction == "none"},
        )
        tensors = self.output, self.data, self.updates
        gathered = gather(self.plugin.gather_rows, tensors, lists, problem.inner)
        return lists.empty, link, gathered, self._scatter(self.workspace, lists.heads)

    def _lists(self) -> Sequence[Step]:
        size = known(self.data.size)
        heads, links = self.workspace, self.workspace.at(size * LIST_ITEMSIZE)
        dims = self._merged_dims()
        rank = dims.rank
        stride = product(self.data.shape[self.axis + 1 :])
        link = Launch(
            self.plugin.link_elements,
            grid=-(-self.updates.size // _BLOCK),
            block=_BLOCK,
            args=(
                self.indices,
                heads,
                links,
                *map(int32, (self.updates.size, self.data.shape[self.axis], stride)),
                int32(dims.geometry(rank)),
            ),
            constants={"RANK": rank},
        )
        gather = Launch(
            self.plugin.gather_elements,
            grid=-(-self.data.size // _BLOCK),
            block=_BLOCK,
            args=(self.output, self.data, self.updates, heads, links, int32(self.data.size)),
        )
        return Fill(self.workspace.first(size * LIST_ITEMSIZE), EMPTY_BYTE), link, gather


def list_bytes(
    plugin: ScatterElements, data: TensorDesc, indices: TensorDesc, updates: TensorDesc
) -> int:
    """Return the bytes of the lists, enough for smaller shapes too."""
    problem = problem_of(plugin, data, indices, updates)
    if problem.needs_order:
        return known(data.size + updates.size) * LIST_ITEMSIZE
    if problem.inner * problem.itemsize < VECTOR_BYTES:
        return 0
    return RowLists.nbytes(problem.outer * problem.axis_size, problem.outer * problem.count)


@dataclass(frozen=True)
class MergedDims:
    """The updates' dimensions, innermost first, adjacent ones merged if the output allows it.

    Attributes:
        count: how many dimensions there are; the entries after them are 1 and 0.
        sizes: the size of each.
        strides: the stride of each in the output; 0 along the axis, where the index decides.
    """

    count: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The number of dimensions that the kernel is compiled for."""
        return 3 if self.count <= 3 else 8

    def geometry(self, rank: int) -> list[int]:
        """Return the kernel's Geometry: sizes, then strides, outermost first."""
        more = rank - len(self.sizes)
        sizes = [*self.sizes, *[1] * more][:rank]
        strides = [*self.strides, *[0] * more][:rank]
        return [*reversed(sizes), *reversed(strides)]


def merged_dims(data: Sequence[int], updates: Sequence[int], axis: int) -> MergedDims:
    """Return the updates' dimensions without those of size 1, adjacent ones merged.

    A ``where`` puts each dimension into its place, instead of a branch that appends it to a list:
    in an exported library eight dimensions would otherwise have thousands of paths.
    """
    sizes, strides = [1] * len(data), [0] * len(data)
    count, size, stride = 0, 1, -1  # of the last dimension; -1 is no dimension's stride
    step = 1
    for dim in reversed(range(len(data))):
        own = 0 if dim == axis else step
        is_one, is_next = updates[dim] == 1, own == size * stride
        merged = where(is_next, size * updates[dim], updates[dim])
        size, stride, count = (
            where(is_one, size, merged),
            where(is_one, stride, where(is_next, stride, own)),
            where(is_one, count, where(is_next, count, count + 1)),
        )
        for place in range(len(data) - dim):
            sizes[place] = where(count == place + 1, size, sizes[place])
            strides[place] = where(count == place + 1, stride, strides[place])
        step *= data[dim]
    return MergedDims(count, tuple(sizes), tuple(strides))
