"""The launches of the ordered variants, and the layout of their workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluginkit import (
    CudaKernel,
    Dim,
    Fill,
    KernelArgument,
    KernelConstant,
    Launch,
    Step,
    TensorDesc,
    Workspace,
    int32,
    known,
    where,
)
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.radix_sort import (
    DIGIT_BITS,
    DIGITS,
    SWEEP_ITEMS,
    sweep_blocks,
    sweep_launch,
)
from pluginkit.plugins._cuda.row_lists import (
    LIST_ITEMSIZE,
    STATE_BYTES,
    VECTOR_BYTES,
    RowLists,
    at_least,
    at_most,
    groups_of,
    row_grid,
)
from pluginkit.plugins.scatter_elements.combined_elements import combined_bytes
from pluginkit.plugins.scatter_elements.scatter_problem import ScatterProblem, problem_of

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

_BLOCK = 256
#: The digits of a key of 32 bits.
_SORT_DIGITS = 32 // DIGIT_BITS
#: The keys of a thread of a sweep.
SWEPT_ITEMS = SWEEP_ITEMS[4]
#: The blocks that count digits; each adds its counts to the common ones at the end.
_COUNTING_BLOCKS = 1056
#: Rows of updates that are combined before their row of data is, if all go there.
_CHUNK = 128
_ALIGNMENT = 256
#: What is in the workspace besides the parts that grow with data and updates, at most.
_ORDERED_BYTES = 2**14

#: The constants that the kernels share with Python.
DEFINES = {
    **row_lists.DEFINES,
    "CHUNK": _CHUNK,
    "DIGIT_BITS": DIGIT_BITS,
    "SORT_DIGITS": _SORT_DIGITS,
}


@dataclass(frozen=True)
class OrderedRows:
    """Rows of updates in the order of the rows of data that they go to.

    Attributes:
        plugin: the plugin.
        output_rows: the rows of data.
        rows: the rows of updates.
        listed: the rows of updates whose targets link_rows writes: all, or none.
        inner: the elements of a row.
        vector: the bytes of a load.
        itemsize: the bytes of an element.
        accumulator_itemsize: the bytes of the type in which updates are combined.
        lanes: how many threads take a row; None if that follows from its size.
    """

    plugin: ScatterElements
    output_rows: int
    rows: int
    listed: int
    inner: int
    vector: int
    itemsize: int
    accumulator_itemsize: int
    lanes: int | None = None

    @classmethod
    def of_rows(
        cls, plugin: ScatterElements, problem: ScatterProblem, output_rows: int, rows: int
    ) -> OrderedRows:
        """Return the rows inside the axis, given how many there are of data and of updates."""
        sizes = problem.itemsize, problem.accumulator_itemsize
        inner, vector = problem.inner, problem.row_vector_bytes
        return cls(plugin, output_rows, rows, rows, inner, vector, *sizes)

    @classmethod
    def of_elements(
        cls, plugin: ScatterElements, problem: ScatterProblem, size: int, updates: int
    ) -> OrderedRows:
        """Return single elements as rows, given how many there are of data and of updates."""
        sizes = problem.itemsize, problem.accumulator_itemsize
        return cls(plugin, size, updates, 0, 1, 1, *sizes, lanes=1)

    @property
    def nbytes(self) -> int:
        """The bytes of the workspace."""
        return sum(self._sizes())

    def steps(
        self,
        tensors: tuple[TensorDesc, TensorDesc, TensorDesc],
        workspace: Workspace,
        make_keys: CudaKernel,
        *sources: KernelArgument,
        **constants: KernelConstant,
    ) -> Iterator[Step]:
        """Yield the launches.

        Args:
            tensors: output, data and updates.
            workspace: the workspace, whose list heads are empty.
            make_keys: the kernel that writes the keys.
            sources: its arguments: what it reads, and what follows the numbers of rows.
            constants: its constants.
        """
        plugin, rows, output_rows, inner = self.plugin, self.rows, self.output_rows, self.inner
        before, *after = sources
        _, zeroed, *pairs, combined = workspace.split(self._sizes())
        size = self._half_bytes
        (*keys,), (*orders,) = ((pair, pair.at(size)) for pair in pairs)
        starts = self.lists(workspace).heads
        digits, tickets, looked_back = zeroed.split(self._zeroed_sizes())
        yield Fill(zeroed)
        yield Launch(
            make_keys,
            at_most(_COUNTING_BLOCKS, groups_of(rows, _BLOCK)),
            _BLOCK,
            (keys[0], orders[0], digits, before, int32(rows), int32(output_rows), *after),
            constants=constants,
        )
        yield Launch(plugin.place_digits, _SORT_DIGITS, DIGITS, (digits,))
        for digit in range(_SORT_DIGITS):
            source, target = digit % 2, 1 - digit % 2
            yield sweep_launch(
                plugin.sort_by_digit,
                digit,
                where(digit < self._digits, self._sort_blocks, 0),
                pairs=(keys[target], orders[target], keys[source], orders[source]),
                shared=(digits, looked_back, tickets),
                items=rows,
                each=SWEPT_ITEMS,
            )
        key, order = (pair.at(self._digits % 2 * size) for pair in pairs)  # the last ones written
        yield Launch(
            plugin.find_row_starts,
            groups_of(rows, _BLOCK),
            _BLOCK,
            (starts, key, int32(rows), int32(output_rows)),
        )
        grid = row_grid(output_rows, inner, max(self.vector // self.itemsize, 1), self.lanes)
        chosen = {"LANES": grid.lanes, "VECTOR": self.vector}
        yield Launch(
            plugin.combine_chunks,
            (groups_of(rows // _CHUNK * grid.lanes, _BLOCK), grid.vector_pieces),
            _BLOCK,
            (combined, tensors[2], key, order, *map(int32, (rows, inner, output_rows))),
            constants=chosen,
        )
        yield Launch(
            plugin.gather_ordered_rows,
            grid.blocks,
            _BLOCK,
            (
                *(*tensors, starts, key, order, combined),
                *map(int32, (rows, output_rows, inner, grid.piece)),
            ),
            constants=chosen,
        )

    def lists(self, workspace: Workspace) -> RowLists:
        """The state, the starts, which are in place of heads, and the targets."""
        return RowLists(workspace, self.output_rows, self.listed, is_combined=False)

    @property
    def _digits(self) -> int:
        """The digits of a key."""
        return groups_of(self.output_rows.bit_length(), DIGIT_BITS)

    @property
    def _sort_blocks(self) -> int:
        return sweep_blocks(self.rows, SWEPT_ITEMS)

    @property
    def _half_bytes(self) -> int:
        """The bytes of the keys before or after a sort by one digit, and of an order."""
        return _aligned(self.rows * LIST_ITEMSIZE)

    def _zeroed_sizes(self) -> list[int]:
        looked_back = 4 * DIGITS * self._sort_blocks * _SORT_DIGITS
        return [4 * DIGITS * _SORT_DIGITS, 4 * _SORT_DIGITS, looked_back]

    def _sizes(self) -> list[int]:
        """Return the bytes of the lists, what is zeroed, keys, orders, and combined chunks."""
        lists = RowLists.target_bytes(self.output_rows, self.listed)
        combined = self.rows // _CHUNK * self.inner * self.accumulator_itemsize
        pair = 2 * self._half_bytes
        return list(map(_aligned, (lists, sum(self._zeroed_sizes()), pair, pair, combined)))


def _aligned(nbytes: int) -> int:
    return groups_of(nbytes, _ALIGNMENT) * _ALIGNMENT


def list_bound(plugin: ScatterElements, data: TensorDesc, updates: TensorDesc) -> Dim:
    """Return the most bytes of lists of rows, or of updates in order: two keys and places each."""
    if not plugin.deterministic:
        return RowLists.nbytes(data.size, updates.size)
    return 5 * data.size + 17 * updates.size + _ORDERED_BYTES


def list_bytes(
    plugin: ScatterElements, data: TensorDesc, indices: TensorDesc, updates: TensorDesc
) -> int:
    """Return the bytes of the lists, enough for smaller shapes too."""
    problem = problem_of(plugin, data, indices, updates)
    if problem.needs_order:
        lists = known(data.size + updates.size) * LIST_ITEMSIZE
        if plugin.reduction == "none":
            return STATE_BYTES + lists
        sizes = known(data.size), known(updates.size)
        elements = OrderedRows.of_elements(plugin, problem, *sizes).nbytes
        # Where updates do not cover data, there may be less elements than rows, and no rows.
        pairs = zip((problem.output_rows, problem.update_rows), sizes, strict=True)
        rows = [at_most(size, count) for count, size in pairs]
        ordered = OrderedRows.of_rows(plugin, problem, *rows).nbytes
        of_rows = at_least(RowLists.target_bytes(*rows) + lists, ordered)
        # A smaller shape may have rows of less than a vector, but then a fraction of the updates.
        row_bytes = problem.inner * problem.itemsize
        return where(row_bytes < 4 * VECTOR_BYTES, at_least(elements, of_rows), of_rows)
    combined = combined_bytes(plugin, problem)
    if problem.inner * problem.itemsize < VECTOR_BYTES:
        return combined
    return at_least(combined, RowLists.nbytes(problem.output_rows, problem.update_rows))
