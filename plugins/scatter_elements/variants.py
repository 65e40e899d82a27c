"""Choose the variant of ScatterElements for shapes and types.

=========  ======================================================================================
variant    when
=========  ======================================================================================
elements   no other variant applies; float sums and products run in any order. Blocks that find few
           elements among many updates combine those of one element in shared memory. Where there
           are many updates of each 16-bit element, the sums are float32
tile       the axis is the last dimension, and its sums fit into shared memory; a block takes a
           row, or several short ones. A single block takes few updates, more if they would swap
column     there are at least 32 values inside the axis, their accumulators fit into shared
           memory, and there are enough columns to fill a GPU, unless there is one row of vectors
slab       the sums of some columns fit into shared memory, and there are many updates, and half
           as many as elements, or more of each if they swap; a block takes these columns
last       the reduction is none, and otherwise it is like slab, for many updates of each element; a
           block finds the last one of each, deterministic=True or not
rows       there are at least 16 bytes inside the axis, and many updates, unless the cache holds
           data; where atomics swap it holds that of short rows, or of very many updates. The
           device finds out which rows of updates have constant indices, as all have in a graph
           network: they are combined without atomics, but for those of a row that gets very many
ordered    deterministic=True, the order of updates matters, the axis is the last dimension, and
_tile      its cells and updates fit into shared memory
ordered    deterministic=True, the order of updates matters, and rows would apply to any number:
_rows      they are sorted by the row that they go to. The elements of those whose indices are not
           constant have lists for each element of data
ordered    deterministic=True, the order of updates matters, and there are less than 16 bytes
_elements  inside the axis: single elements are sorted by the element that they go to
lists      deterministic=True, the order of updates matters, and nothing else applies
=========  ======================================================================================

The tiles, column, slab, last and both of rows need updates as large as data but for the axis.
"""

from __future__ import annotations

from typing import Literal

from pluginkit import InputError, where
from pluginkit.plugins._cuda.row_lists import MAX_LISTED, VECTOR_BYTES
from pluginkit.plugins.scatter_elements.scatter_problem import (
    COLUMNS,
    ENOUGH_BLOCKS,
    MAX_LISTED_IN_TILE,
    SHARED_BYTES,
    ScatterProblem,
)
from pluginkit.plugins.scatter_elements.slabs import MANY_UPDATES, MEETING_UPDATES

KernelVariant = Literal[
    "elements",
    "tile",
    "ordered_tile",
    "column",
    "slab",
    "last",
    "rows",
    "ordered_rows",
    "ordered_elements",
    "lists",
]

#: The most cells of a tile, if there are too few tiles to keep a GPU busy, and its most updates,
#: fewer where not many meet in an element, and where each needs no compare-and-swap in memory.
MAX_LONE_TILE, MAX_IN_LONE_TILE, SOME_IN_LONE_TILE, FEW_IN_LONE_TILE = 2**12, 2**14, 2**12, 2**9


def choose(problem: ScatterProblem) -> KernelVariant:
    """Return the variant for a problem by the table above.

    Errors:
        deterministic: the problem is too large for the lists that deterministic=True needs.
    """
    if problem.is_covering and problem.updates_size and problem.axis_size:
        if problem.inner == 1 and problem.needs_order and _fits_ordered_tile(problem):
            return "ordered_tile"
        if problem.inner == 1 and not problem.needs_order and _fits_tile(problem):
            return "tile"
        if _fits_column(problem):
            return "column"
        if problem.slabs.suit_last():
            return "last"
        if not problem.needs_order and problem.slabs.suit():
            return "slab"
        if problem.has_rows and problem.needs_order:
            return _in_order(problem, "ordered_rows")
        if problem.has_rows and problem.updates_size >= MANY_UPDATES and not problem.suits_atomics:
            return "rows"
    if not problem.needs_order:
        return "elements"
    is_wide = problem.inner * problem.itemsize >= VECTOR_BYTES
    return _in_order(problem, "lists" if is_wide else "ordered_elements")


def _in_order(problem: ScatterProblem, variant: KernelVariant) -> KernelVariant:
    if max(problem.updates_size, problem.data_size) > MAX_LISTED:
        raise InputError(
            f"deterministic=True on {problem.updates_size} updates; "
            f"expected at most {MAX_LISTED}, and no more elements of data.",
            code="deterministic",
            fix="leave deterministic out, or split the operation.",
        )
    return variant


def _fits_tile(problem: ScatterProblem) -> bool:
    do_meet = problem.count > 2 * MEETING_UPDATES * problem.axis_size
    of_swaps = where(do_meet, MAX_IN_LONE_TILE, SOME_IN_LONE_TILE)
    most = of_swaps if problem.swaps else FEW_IN_LONE_TILE
    are_few = problem.count <= most and problem.axis_size <= MAX_LONE_TILE
    are_enough = problem.outer >= ENOUGH_BLOCKS or are_few
    return problem.tile_bytes() <= SHARED_BYTES and are_enough


def _fits_ordered_tile(problem: ScatterProblem) -> bool:
    fits = problem.ordered_tile_bytes() <= SHARED_BYTES
    return fits and problem.count <= MAX_LISTED_IN_TILE


def _fits_column(problem: ScatterProblem) -> bool:
    is_wide = problem.inner >= COLUMNS and problem.column_warps >= ENOUGH_BLOCKS
    is_one = problem.axis_size * problem.count == 1 and not problem.needs_order
    is_vector = is_one and not problem.swaps and problem.row_vector_bytes > 1
    return is_wide and not is_vector and problem.column_bytes <= SHARED_BYTES
