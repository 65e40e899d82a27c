"""How a block makes short transforms: the radices, the threads of a transform, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Literal

Arrangement = Literal["ROWS", "COLUMNS", "ROWS_TO_COLUMNS"]

#: The most points of a short transform.
SHORT = 8192
#: The numbers that a block exchanges at most; beyond that, real and imaginary parts take turns.
MOST_SHARED = 4736
_MOST_RADIX = _MOST_NUMBERS = 20  # in the registers of a thread
_MOST_RADICES = 7
_LEAST_LANES, _MOST_LANES = 8, 512
#: The threads of a block; from so many lanes on it makes one transform, and waits for no other.
_THREADS, _ALONE = 128, 64
#: The neighbouring transforms of a block whose elements are apart in memory, for whole sectors;
#: those of a long transform, where more would take turns in shared memory.
_COLUMNS, _LONG_COLUMNS, _LONG = 16, 4, 1024


@dataclass(frozen=True)
class BlockShape:
    """The shape of a block's transforms.

    Attributes:
        lanes: the threads of each transform.
        rows: the transforms of a block that lie one after the other in memory.
        columns: the transforms of a block that lie side by side.
        radices: whose product is the number of points.
    """

    lanes: int
    rows: int
    columns: int
    radices: tuple[int, ...]

    @property
    def points(self) -> int:
        """The points of a transform."""
        return prod(self.radices)

    @property
    def is_busy(self) -> bool:
        """Whether no thread idles in any radix."""
        return all(self.points // radix % self.lanes == 0 for radix in self.radices)

    @property
    def arguments(self) -> tuple[int, ...]:
        """The kernel's last template arguments."""
        return (self.lanes, self.rows, self.columns, *self.radices)

    def per_block(self, arrangement: Arrangement) -> int:
        """Return the transforms of a block."""
        return self.rows if arrangement == "ROWS" else self.columns


@cache
def shape_of(
    points: int, is_symmetric: bool = False, has_most_lanes: bool = False
) -> BlockShape | None:
    """Return the best shape for transforms of so many points; None if there is none.

    It has enough threads to read whole sectors of memory, if that can be. Then it has the fewest
    radices, then as many threads as divide the points, then the fewest idle threads, then the
    smallest radices (of more than three, their sum), then the fewest threads, or the most with
    ``has_most_lanes``, then the larger radices first, which leaves the fewest gaps in shared
    memory. With ``is_symmetric`` the first radix is also the last one.
    """
    if points > SHORT:
        return None
    found = []
    for count in range(1, _MOST_RADICES + 1):
        found += [
            (
                *(max(_LEAST_LANES - lanes, 0), count, points % lanes != 0),
                *(_work(radices, lanes), sum(radices) if count > 3 else max(radices)),
                *(-lanes if has_most_lanes else lanes, [-radix for radix in radices]),
            )
            for radices in _radices(points, count)
            if not is_symmetric or radices[0] == radices[-1]
            for lanes in _lanes(radices)
        ]
        if found and min(found)[0] == 0:
            break
    if not found:
        return None
    *_, lanes, negated = min(found)
    return _shape(abs(lanes), tuple(-radix for radix in negated))


def _radices(points: int, count: int) -> Iterator[tuple[int, ...]]:
    """Yield every list of so many radices with this product."""
    if count == 1:
        if points <= _MOST_RADIX:
            yield (points,)
        return
    for radix in range(2, _MOST_RADIX + 1):
        if points % radix == 0:
            for others in _radices(points // radix, count - 1):
                yield radix, *others


def _lanes(radices: tuple[int, ...]) -> Iterator[int]:
    """Yield every number of threads whose registers are enough for a transform."""
    points = prod(radices)
    for butterflies in range(1, _MOST_NUMBERS + 1):
        lanes = -(-points // radices[0] // butterflies)
        numbers = max(-(-points // radix // lanes) * radix for radix in radices)
        if lanes <= _MOST_LANES and numbers <= _MOST_NUMBERS:
            yield lanes


def _work(radices: tuple[int, ...], lanes: int) -> int:
    """Return the numbers that all threads work on, idle ones too."""
    points = prod(radices)
    return sum(-(-points // radix // lanes) * radix * lanes for radix in radices)


def _shape(lanes: int, radices: tuple[int, ...]) -> BlockShape:
    points = prod(radices)
    columns = _COLUMNS if points < _LONG else _LONG_COLUMNS
    while columns > 1 and (columns * points > 2 * MOST_SHARED * 8 // 9 or columns * lanes > 1024):
        columns //= 2
    rows = 1 if lanes >= _ALONE else max(1, _THREADS // lanes)
    return BlockShape(lanes, rows, columns, radices)
