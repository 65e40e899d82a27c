"""Place a graph's cells in rows: ranks by longest path, order by barycentre, long edges in lanes.

Coordinates are left to the page, since they change when a body is opened; rows and order do not.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: A wire that crosses more rows than this is not drawn; both ends name the value instead. The first
#: limit that keeps the lanes within their budget applies.
_REACHES = (400, 200, 100, 50, 25, 12, 6)
_SWEEPS = 8


@dataclass(frozen=True)
class DrawnValue:
    """A value that one cell produces and others read.

    Attributes:
        source: the cell that produces it.
        readers: the cells that read it, each once.
    """

    source: int
    readers: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """The positions of a graph's cells.

    Attributes:
        rows: the cells of each row from left to right; a number from the count of cells upwards is
            a lane, through which a wire passes.
        wires: for each row the wires to the next one: (upper cell or lane, lower one, value).
        far: the reads over too many rows for a wire: (value, reading cell).
    """

    rows: list[list[int]]
    wires: list[list[tuple[int, int, int]]]
    far: list[tuple[int, int]]


def layout_graph(cells: int, values: Sequence[DrawnValue], floating: Iterable[int] = ()) -> Layout:
    """Place the cells of an acyclic graph.

    Args:
        cells: the number of cells; a cell is a number below it.
        values: the values between them.
        floating: cells without an input that are placed just above their first reader, as graph
            inputs do, instead of in the first row.
    """
    ranks = _ranks(cells, values, set(floating))
    reach = _reach(cells, values, ranks)
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for cell in _depth_first(cells, values, ranks):
        rows[ranks[cell]].append(cell)
    wires: list[list[tuple[int, int, int]]] = [[] for _ in rows]
    far: list[tuple[int, int]] = []
    lane = cells
    for number, value in enumerate(values):
        row, upper = ranks[value.source], value.source
        near = sorted((ranks[cell], cell) for cell in value.readers)
        far += [(number, cell) for rank, cell in near if rank - row > reach]
        for rank, cell in near:
            if rank - ranks[value.source] > reach:
                break
            while row < rank - 1:
                row += 1
                wires[row - 1].append((upper, lane, number))
                rows[row].append(lane)
                upper, lane = lane, lane + 1
            wires[row].append((upper, cell, number))
    return Layout(_ordered(rows, wires, lane), wires, far)


def _ranks(cells: int, values: Sequence[DrawnValue], floating: set[int]) -> list[int]:
    """Return the row of each cell, below everything that it reads."""
    below: list[list[int]] = [[] for _ in range(cells)]
    missing = [0] * cells
    for value in values:
        for reader in value.readers:
            below[value.source].append(reader)
            missing[reader] += 1
    ranks = [0] * cells
    ready = [cell for cell in range(cells) if missing[cell] == 0]
    floats = [cell in floating and not missing[cell] for cell in range(cells)]
    above: list[list[int]] = [[] for _ in range(cells)]
    order = []
    while ready:
        cell = ready.pop()
        order.append(cell)
        for reader in below[cell]:
            ranks[reader] = max(ranks[reader], ranks[cell] + 1)
            above[reader].append(cell)
            missing[reader] -= 1
            if missing[reader] == 0:
                ready.append(reader)
    for cell in reversed(order):
        if floats[cell] and below[cell]:
            ranks[cell] = min(ranks[reader] for reader in below[cell]) - 1
    return ranks


def _reach(cells: int, values: Sequence[DrawnValue], ranks: Sequence[int]) -> int:
    budget = 4 * cells + 2000
    spans = [[ranks[reader] - ranks[value.source] for reader in value.readers] for value in values]
    for reach in _REACHES:
        lanes = sum(max((s for s in span if s <= reach), default=1) - 1 for span in spans)
        if lanes <= budget:
            return reach
    return _REACHES[-1]


def _depth_first(cells: int, values: Sequence[DrawnValue], ranks: Sequence[int]) -> Iterable[int]:
    """Return the cells in depth-first order, which keeps branches together."""
    below: list[list[int]] = [[] for _ in range(cells)]
    for value in values:
        below[value.source] += value.readers
    seen = [False] * cells
    for root in sorted(range(cells), key=lambda cell: ranks[cell]):
        stack = [root]
        while stack:
            cell = stack.pop()
            if not seen[cell]:
                seen[cell] = True
                yield cell
                stack += reversed(below[cell])


def _ordered(
    rows: list[list[int]], wires: list[list[tuple[int, int, int]]], count: int
) -> list[list[int]]:
    """Return the rows with each cell near the mean of its neighbours, after several sweeps."""
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for gap in wires:
        for upper, lower, _ in gap:
            above[lower].append(upper)
            below[upper].append(lower)
    at = [0.0] * count
    for row in rows:
        _number(row, at)
    best, fewest = [list(row) for row in rows], _crossings(rows, wires, at)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        is_down = sweep % 2 == 0
        neighbours = above if is_down else below
        for row in rows if is_down else reversed(rows):
            for cell in row:
                near = neighbours[cell]
                if near:
                    at[cell] = sum([at[one] for one in near]) / len(near)
            row.sort(key=at.__getitem__)
            _number(row, at)
        crossings = _crossings(rows, wires, at)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best


def _number(row: list[int], at: list[float]) -> None:
    """Return positions from 0 to 1, so that rows of different lengths can be compared."""
    for position, cell in enumerate(row):
        at[cell] = (position + 0.5) / len(row)


def _crossings(
    rows: list[list[int]], wires: list[list[tuple[int, int, int]]], at: Sequence[float]
) -> int:
    total = 0
    for gap in wires:
        ends: list[float] = []
        for _, lower in sorted([(at[upper], at[lower]) for upper, lower, _ in gap]):
            total += len(ends) - bisect_right(ends, lower)
            insort(ends, lower)
    return total
