"""The steps of each variant of ScatterElements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import Copy, Fill, Launch, Step, TensorDesc, Workspace, int32, offset_type, product
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES, RowLists, gather
from pluginkit.plugins.scatter_elements.variants import COLUMNS, ENOUGH_BLOCKS, Problem, Variant

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

_BLOCK = 256
#: Threads of a block that handles a tile by vectors, and of one among few blocks.
_TILE_BLOCK, _LONE_TILE_BLOCK = 128, 512
_WARP = 32
_ROWS_A_WARP = 4
#: The grid of the elements kernel where the rows kernels have seldom left it anything.
_LEFTOVER_BLOCKS = 4096
_LIST_ITEMSIZE = 4


@dataclass(frozen=True)
class Call:
    """One concrete call: the plugin, its tensors and its sizes."""

    plugin: ScatterElements
    data: TensorDesc
    indices: TensorDesc
    updates: TensorDesc
    output: TensorDesc
    workspace: Workspace
    problem: Problem

    @property
    def axis(self) -> int:
        """The axis, from the front."""
        return self.data.axis(self.plugin.axis)

    def steps(self, variant: Variant) -> Sequence[Step]:
        """What to run."""
        makers = {
            "elements": self._elements,
            "tile": self._tile,
            "column": self._column,
            "rows": self._rows,
            "lists": self._lists,
        }
        return makers[variant]()

    def _merged_dims(self) -> list[tuple[int, int]]:
        data, updates = ([int(dim) for dim in desc.shape] for desc in (self.data, self.updates))
        return merged_dims(data, updates, self.axis)

    def _elements(self) -> Sequence[Step]:
        return Copy(self.output, self.data), self._scatter(None, None)

    def _scatter(self, state: Workspace | None, heads: Workspace | None) -> Launch:
        data, updates = self.data, self.updates
        offset = offset_type(*data.shape, *updates.shape, data.size, updates.size)
        dims = self._merged_dims()
        rank = _rank(dims)
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
                offset(_geometry(dims, rank)),
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
        # Two vectors of each kind for a thread keep enough loads in flight. Many small blocks
        # overlap their phases; where there are few blocks, each needs all the threads it can use.
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
        size = int(self.data.size)
        heads, links = self.workspace, self.workspace.at(size * _LIST_ITEMSIZE)
        dims = self._merged_dims()
        rank = _rank(dims)
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
                int32(_geometry(dims, rank)),
            ),
            constants={"RANK": rank},
        )
        gather = Launch(
            self.plugin.gather_elements,
            grid=-(-self.data.size // _BLOCK),
            block=_BLOCK,
            args=(self.output, self.data, self.updates, heads, links, int32(self.data.size)),
        )
        return Fill(self.workspace.first(size * _LIST_ITEMSIZE), 0xFF), link, gather


def workspace_bytes(problem: Problem, data: TensorDesc, updates: TensorDesc) -> int:
    """The most that any shape up to this one needs."""
    if problem.needs_order:
        return int(data.size + updates.size) * _LIST_ITEMSIZE
    if problem.inner * problem.itemsize < VECTOR_BYTES:
        return 0
    return RowLists.nbytes(problem.outer * problem.axis_size, problem.outer * problem.count)


def merged_dims(data: Sequence[int], updates: Sequence[int], axis: int) -> list[tuple[int, int]]:
    """The updates' dimensions as (size, stride in the output), outermost first, merged.

    The stride along the axis is 0: there the index alone decides.
    """
    dims: list[tuple[int, int]] = []
    step = 1
    for dim in reversed(range(len(data))):
        size, stride = updates[dim], 0 if dim == axis else step
        step *= data[dim]
        if size == 1:
            continue
        if dims and stride == dims[-1][0] * dims[-1][1]:
            dims[-1] = (size * dims[-1][0], dims[-1][1])
        else:
            dims.append((size, stride))
    return dims[::-1]


def _rank(dims: Sequence[tuple[int, int]]) -> int:
    return 3 if len(dims) <= 3 else 8


def _geometry(dims: Sequence[tuple[int, int]], rank: int) -> list[int]:
    padded = [(1, 0)] * (rank - len(dims)) + list(dims)
    return [size for size, _ in padded] + [stride for _, stride in padded]
