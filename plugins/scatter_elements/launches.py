"""The launches of each variant of ScatterElements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pluginkit import (
    KernelConstant,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    dim_max,
    int32,
    known,
    offset_type,
    product,
)
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.copy import copy_step
from pluginkit.plugins._cuda.row_lists import (
    LIST_ITEMSIZE,
    WARP_LANES,
    RowLists,
    at_most,
    finish,
    gather,
    groups_of,
    leftover_blocks,
    listed_row_grid,
)
from pluginkit.plugins.scatter_elements.combined_elements import combined_elements
from pluginkit.plugins.scatter_elements.merged_dims import MergedDims, merged_dims
from pluginkit.plugins.scatter_elements.ordered_rows import OrderedRows
from pluginkit.plugins.scatter_elements.scatter_problem import (
    COLUMNS,
    MAX_LISTED_IN_TILE,
    TILE_LINK_BYTES,
    ScatterProblem,
    problem_of,
)
from pluginkit.plugins.scatter_elements.slabs import SLAB_DEFINES
from pluginkit.plugins.scatter_elements.tiles import LONE_TILE_BLOCK, tiles
from pluginkit.plugins.scatter_elements.variants import KernelVariant, choose

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

_BLOCK = 256
#: How many rows of indices a warp of the rows variant reads at once.
_ROWS_A_WARP = 4
#: The loads of a thread of the column variant in flight, where there are very few, few and many
#: along the axis, and the warps of a block where there are few.
DEPTHS, COLUMN_WARPS = (2, 8, 32), 4
#: With so many warps of many loads a large GPU is busy.
_MANY_COLUMN_WARPS = 1584
#: The most blocks that work on lists of elements; after the rows they usually have nothing to do.
_LIST_BLOCKS = 2112
#: The bytes of output that stay in the L2 cache while indices and updates stream past.
_SLICE_BYTES = 2**25

#: The constants that the kernels share with Python.
DEFINES = {
    **row_lists.DEFINES,
    **SLAB_DEFINES,
    "LONE_TILE_BLOCK": LONE_TILE_BLOCK,
    "COLUMNS": COLUMNS,
    "COLUMN_WARPS": COLUMN_WARPS,
    "MAX_LISTED_IN_TILE": MAX_LISTED_IN_TILE,
    "ROWS_A_WARP": _ROWS_A_WARP,
    "TILE_LINK_BYTES": TILE_LINK_BYTES,
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
            "ordered_tile": self._ordered_tile,
            "column": self._column,
            "slab": self._slab,
            "last": self._last,
            "rows": self._rows,
            "ordered_rows": self._ordered_rows,
            "ordered_elements": self._ordered_elements,
            "lists": self._lists,
        }
        return makers[variant or choose(self.problem)]()

    def _merged_dims(self) -> MergedDims:
        data, updates = ([known(dim) for dim in desc.shape] for desc in (self.data, self.updates))
        return merged_dims(data, updates, self.axis)

    def _elements(self) -> Sequence[Step]:
        data, updates = self.data, self.updates
        offset = offset_type(*data.shape, *updates.shape, data.size, updates.size)
        dims = self._merged_dims()
        rank = dims.rank
        stride = product(data.shape[self.axis + 1 :])
        numbers = updates.size, data.size, data.shape[self.axis], stride
        sizes, geometry = [*map(offset, numbers)], offset(dims.geometry(rank))
        constants: dict[str, KernelConstant] = {"OFFSET": offset.cpp, "RANK": rank}
        is_vector = self.problem.is_covering and self.problem.takes_vectors
        vector = self.problem.row_vector_bytes if is_vector else 1
        is_alone = self.plugin.reduction != "none" and vector == 1
        if self.problem.has_few_cells or (is_alone and self.problem.has_many_elements):
            call = self.plugin, self.problem, self._tensors(), self.workspace
            return [*combined_elements(*call, sizes, geometry, constants)]
        each = max(vector // self.problem.itemsize, 1)
        scatter = Launch(
            self.plugin.elements,
            grid=groups_of(known(updates.size), _BLOCK * each),
            block=_BLOCK,
            args=(self.output, self.indices, updates, *sizes, geometry),
            constants={**constants, "VECTOR": vector},
        )
        return copy_step(self.plugin.copy_data, self.output, data), scatter

    def _tile(self) -> Sequence[Step]:
        return (tiles(self.plugin.tile, self.problem, self._tensors(), self.problem.tile_bytes),)

    def _ordered_tile(self) -> Sequence[Step]:
        kernel, problem = self.plugin.ordered_tile, self.problem
        return (tiles(kernel, problem, self._tensors(), problem.ordered_tile_bytes),)

    def _column(self) -> Sequence[Step]:
        problem = self.problem
        warps = problem.column_warps
        sizes = problem.axis_size, problem.count, problem.inner, warps
        fewest, few, many = DEPTHS
        longest = dim_max(problem.axis_size, problem.count)
        is_short = longest <= few
        has_few_loads = is_short or warps >= _MANY_COLUMN_WARPS
        loads = few if has_few_loads else many
        of_block = COLUMN_WARPS if is_short else 1
        column = Launch(
            self.plugin.column,
            grid=groups_of(warps, of_block),
            block=of_block * COLUMNS,
            args=(*self._tensors(), *map(int32, sizes)),
            shared_bytes=of_block * problem.column_bytes,
            constants={"DEPTH": fewest if longest <= fewest else loads},
        )
        return (column,)

    def _slab(self) -> Sequence[Step]:
        return (self.problem.slabs.launch(self.plugin.slab, self._tensors()),)

    def _last(self) -> Sequence[Step]:
        return (self.problem.slabs.launch_last(self.plugin.last, self._tensors()),)

    def _tensors(self) -> tuple[TensorDesc, ...]:
        return self.output, self.data, self.indices, self.updates

    def _rows(self) -> Sequence[Step]:
        problem, plugin = self.problem, self.plugin
        inner, vector, rows = problem.inner, problem.row_vector_bytes, problem.update_rows
        is_combined = plugin.reduction != "none"
        lists = RowLists(self.workspace, problem.output_rows, rows, is_combined)
        grid = listed_row_grid(rows, inner, problem.itemsize, vector)
        slices = groups_of(problem.slab_bytes, _SLICE_BYTES)
        irregular = Launch(
            plugin.finish_irregular_rows,
            grid=leftover_blocks(rows, grid),
            block=_BLOCK,
            args=(
                *(self.output, self.indices, self.updates),
                *(lists.workspace, lists.targets),
                *map(int32, (rows, problem.count, problem.axis_size, inner)),
                int32(groups_of(problem.axis_size, slices)),
            ),
            constants={"LANES": grid.lanes, "VECTOR": vector},
        )
        steps = lists.empty, self._link_rows(lists), self._gather_rows(lists)
        if not is_combined:
            return *steps, irregular
        tensors = self.output, self.updates
        return *steps, finish(plugin.finish_long_lists, *tensors, lists, inner, vector), irregular

    def _link_rows(self, lists: RowLists, *, is_linked: bool = True) -> Launch:
        problem = self.problem
        sizes = problem.update_rows, problem.count, problem.axis_size, problem.inner
        heads = lists.heads if is_linked else None
        return Launch(
            self.plugin.link_rows,
            grid=groups_of(problem.update_rows, WARP_LANES),
            block=WARP_LANES // _ROWS_A_WARP * WARP_LANES,
            args=(
                *(self.indices, lists.workspace, heads, lists.links, lists.targets),
                *map(int32, sizes),
            ),
            constants={
                "KEEP_LAST": self.plugin.reduction == "none",
                "VECTOR": problem.row_vector_bytes,
            },
        )

    def _gather_rows(self, lists: RowLists) -> Launch:
        tensors, vector = (self.output, self.data, self.updates), self.problem.row_vector_bytes
        kernel = self.plugin.gather_rows
        return gather(kernel, tensors, lists, self.problem.inner, vector, VECTOR=vector)

    def _ordered_rows(self) -> Sequence[Step]:
        problem = self.problem
        rows = problem.output_rows, problem.update_rows
        ordered = OrderedRows.of_rows(self.plugin, problem, *rows)
        lists = ordered.lists(self.workspace)
        combined: Sequence[Step]
        if is_plain := self.plugin.reduction == "none":  # the last one of each row is kept
            combined = (self._gather_rows(lists),)
        else:
            tensors, make_keys = (self.output, self.data, self.updates), self.plugin.make_row_keys
            combined = tuple(ordered.steps(tensors, self.workspace, make_keys, lists.targets))
        link = self._link_rows(lists, is_linked=is_plain)
        return lists.empty, link, *combined, *self._lists(lists)

    def _ordered_elements(self) -> Sequence[Step]:
        data, updates, dims = self.data, self.updates, self._merged_dims()
        if self.plugin.reduction == "none":  # the last one of each element is kept
            return self._lists()
        problem, plugin = self.problem, self.plugin
        ordered = OrderedRows.of_elements(plugin, problem, known(data.size), known(updates.size))
        sources = self.indices, int32(problem.axis_size), int32(problem.inner)
        combined = ordered.steps(
            (self.output, data, updates),
            self.workspace,
            plugin.make_element_keys,
            *sources,
            int32(dims.geometry(dims.rank)),
            RANK=dims.rank,
        )
        return ordered.lists(self.workspace).empty, *combined

    def _lists(self, rows: RowLists | None = None) -> Sequence[Step]:
        """Return the launches of all elements, or after the rows those of irregular rows.

        With "none", where the last update wins, these are all elements again.
        """
        size, stride = known(self.data.size), product(self.data.shape[self.axis + 1 :])
        is_plain, dims = self.plugin.reduction == "none", self._merged_dims()
        state = targets = None
        heads, data = self.workspace, self.data
        if rows is not None:
            state, heads = rows.workspace, rows.heads
            if not is_plain:
                # Lists of elements take the place of those of rows from the links on.
                targets, heads, data = rows.targets, rows.links, self.output
        links = heads.at(size * LIST_ITEMSIZE)
        blocks, update_blocks = (
            at_most(_LIST_BLOCKS, groups_of(known(desc.size), _BLOCK))
            for desc in (self.data, self.updates)
        )
        empty = Launch(self.plugin.empty_heads, blocks, _BLOCK, (heads, int32(size), state))
        link = Launch(
            self.plugin.link_elements,
            grid=update_blocks,
            block=_BLOCK,
            args=(
                self.indices,
                heads,
                links,
                *map(int32, (self.updates.size, self.data.shape[self.axis], stride)),
                int32(dims.geometry(dims.rank)),
                state,
                targets,
            ),
            constants={"RANK": dims.rank, "KEEP_LAST": is_plain},
        )
        gather = Launch(
            self.plugin.gather_elements,
            grid=blocks,
            block=_BLOCK,
            args=(self.output, data, self.updates, heads, links, int32(size), state),
        )
        return empty, link, gather
