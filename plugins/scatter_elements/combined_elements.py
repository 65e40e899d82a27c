"""The launches of the elements variant for many updates; see combined_elements.cu."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pluginkit import (
    KernelConstant,
    Launch,
    Scalar,
    Step,
    TensorDesc,
    Workspace,
    int64,
    where,
)
from pluginkit.plugins._cuda import row_lists
from pluginkit.plugins._cuda.row_lists import VECTOR_BYTES, all_hold, at_least, at_most, groups_of
from pluginkit.plugins.scatter_elements.scatter_problem import COMBINED_CELLS, ScatterProblem

if TYPE_CHECKING:
    from pluginkit.plugins.scatter_elements import ScatterElements

#: The threads of a block that does so, and how many updates each of them loads together.
_COMBINING_BLOCK, _COMBINED_BATCH = 512, 4
#: So many batches in which few updates meet do not end the combining.
_PATIENCE = 4
#: The most such blocks: so many run at once on an H200.
_COMBINING_BLOCKS = 528
#: The threads of a block that takes data, or sums.
_DATA_BLOCK = 256
#: The most bytes of float32 sums of 16-bit elements, which the L2 cache holds while updates stream
#: past, and how many updates of an element pay for its sum.
_WIDE_BYTES, _WIDE_UPDATES = 2**25, 4
_SUM_BYTES = 4
#: The bytes of the number of batches that blocks have taken; the sums that follow are aligned.
_TAKEN_BYTES = 2 * VECTOR_BYTES

#: The constants that the kernels share with Python.
DEFINES = {
    **row_lists.DEFINES,
    "COMBINED_BATCH": _COMBINED_BATCH,
    "COMBINED_CELLS": COMBINED_CELLS,
    "COMBINING_BLOCK": _COMBINING_BLOCK,
    "DATA_BLOCK": _DATA_BLOCK,
    "PATIENCE": _PATIENCE,
}


def combined_bytes(plugin: ScatterElements, problem: ScatterProblem) -> int:
    """Return the bytes of the workspace, enough for smaller shapes too."""
    sums = 0
    if plugin.reduction != "none" and problem.accumulator_itemsize > problem.itemsize:
        elements = at_most(problem.data_size, problem.updates_size // _WIDE_UPDATES)
        sums = at_most(_WIDE_BYTES, elements * _SUM_BYTES)
    return where(problem.may_combine, _TAKEN_BYTES + sums, 0)


def combined_elements(
    plugin: ScatterElements,
    problem: ScatterProblem,
    tensors: tuple[TensorDesc, ...],
    workspace: Workspace,
    sizes: Sequence[Scalar],
    geometry: Scalar,
    constants: Mapping[str, KernelConstant],
) -> Iterator[Step]:
    """Yield the launches.

    Args:
        plugin: the plugin.
        problem: the sizes of the call.
        tensors: output, data, indices and updates.
        workspace: the workspace.
        sizes: how many updates and elements there are, the axis' size, and its stride in elements.
        geometry: the kernel's Geometry.
        constants: OFFSET and RANK.
    """
    output, data, *updates = tensors
    size = problem.data_size
    is_wide = all_hold(
        plugin.reduction != "none",
        problem.accumulator_itemsize > problem.itemsize,
        size * _SUM_BYTES <= _WIDE_BYTES,
        problem.updates_size >= _WIDE_UPDATES * size,
    )
    taken = workspace.first(_TAKEN_BYTES)
    sums = workspace.at(_TAKEN_BYTES) if is_wide else output
    data_blocks = groups_of(size * problem.itemsize, _DATA_BLOCK * VECTOR_BYTES)
    batches = groups_of(problem.updates_size, _COMBINED_BATCH * _COMBINING_BLOCK)
    yield Launch(
        plugin.begin_sums,
        grid=at_least(1, data_blocks),
        block=_DATA_BLOCK,
        args=(sums, data, taken, int64(size)),
        constants={"WIDE": is_wide},
    )
    place_bytes = geometry.dtype.itemsize
    cell_bytes = place_bytes + problem.sum_itemsize
    yield Launch(
        plugin.combined_elements,
        grid=at_most(_COMBINING_BLOCKS, batches),
        block=_COMBINING_BLOCK,
        args=(sums, *updates, taken, *sizes, geometry),
        shared_bytes=COMBINED_CELLS * cell_bytes + 2 * place_bytes,
        constants={**constants, "WIDE": is_wide},
    )
    if is_wide:
        yield Launch(
            plugin.round_sums,
            grid=data_blocks,
            block=_DATA_BLOCK,
            args=(output, sums, int64(size)),
        )
