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
_MOST_NUMBERS = 20  # in the registers of a thread
#: Those of a thread if that saves the fourth radix, or with a prime radix beyond the others.
_MOST_OF_LONG = 32
_LARGE = (23, 29, 31)
#: Primes of which few butterflies would keep too few threads busy: at most one of so many.
_PRIMES, _IDLE = (11, 13, 17, 19), 3
_MOST_RADICES = 7
_MOST_LANES = 512
#: The threads of a block whose transforms have more than a warp, and of one in which they do not;
#: the latter has more where its transforms would have fewer points than these, which short ones do.
_THREADS, _WARP, _LEAST_POINTS, _LEAST_OF_SHORT = 128, 32, 128, 192
#: Up to so many threads of a transform read and write through shared memory.
STAGED = 3
#: With fewer threads than this in its only warp a block has several, which are fuller.
_FULL = 25
#: The most points of a transform for which one thread suffices, of one for which two do, and of one
#: for which seven do; the others need a sector's.
_ALONE, _BY_TWO, _BY_SEVEN = 20, 34, 49
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


def alone(points: int) -> BlockShape:
    """Return the shape for transforms that a thread makes alone."""
    return _shape(1, (points,), False)


@cache
def shape_of(
    points: int,
    is_symmetric: bool = False,
    has_most_lanes: bool = False,
    most: int = _MOST_NUMBERS,
) -> BlockShape | None:
    """Return the best shape for transforms of so many points; None if there is none.

    It has enough threads to read whole sectors of memory, if that can be; one thread, or two,
    suffices for few points. Then it has the fewest radices, then as many threads as divide the
    points, if no large prime has few butterflies, then equally many last butterflies for each,
    because results that only some threads write take long, then the fewest idle threads, then the
    smallest radices, then the fewest threads, or the most with ``has_most_lanes``, then equally
    many first butterflies, then the larger radices first, which leaves the fewest gaps in shared
    memory, but large primes last. With ``is_symmetric`` the first radix is also the last one. A
    thread has at most ``most`` numbers, or those of a large prime; with fewer than usual it is for
    few transforms, whose threads may be uneven. Unless they are as usual, radices are compared by
    their sum.
    """
    if points > SHORT:
        return None
    found, is_usual, are_few = [], most == _MOST_NUMBERS, most < _MOST_NUMBERS
    for count in range(1, _MOST_RADICES + 1):
        found += [
            (
                *(max(_least_lanes(radices) - lanes, 0), count),
                not _has_few_butterflies(radices) and points % lanes != 0,
                lanes > STAGED and not are_few and _is_uneven(radices[-1], points, lanes),
                *(_work(radices, lanes), max(radices) if is_usual else sum(radices)),
                *(
                    -lanes if has_most_lanes else lanes,
                    max(radices) not in _LARGE and points // radices[0] % lanes != 0,
                    [0 if radix in _LARGE else -radix for radix in radices],
                ),
                radices,
            )
            for radices in _radices(points, count, most)
            if not is_symmetric or radices[0] == radices[-1]
            for lanes in _lanes(radices, most)
        ]
        if found and min(found)[0] == 0:
            break
    if not found:
        return None
    *_, lanes, _, _, radices = min(found)
    if len(radices) > 3 and is_usual and not is_symmetric:
        fewer = shape_of(points, False, has_most_lanes, _MOST_OF_LONG)
        if fewer and len(fewer.radices) <= 3:
            return fewer
    return _shape(abs(lanes), radices, are_few)


def _radices(points: int, count: int, most: int) -> Iterator[tuple[int, ...]]:
    """Yield every list of so many radices with this product."""
    radices = {*range(2, most + 1), *_LARGE}
    if count == 1:
        if points == 1 or points in radices:
            yield (points,)
        return
    for radix in radices:
        if points % radix == 0:
            for others in _radices(points // radix, count - 1, most):
                yield radix, *others


def _least_lanes(radices: tuple[int, ...]) -> int:
    """Return how many threads of a transform read neighbours as fast as many do."""
    points = prod(radices)
    if _has_few_butterflies(radices):
        return min(8, points // max(radices))
    if points <= _BY_TWO:
        return 1 if points <= _ALONE else 2
    return 7 if points <= _BY_SEVEN else 8


def _has_few_butterflies(radices: tuple[int, ...]) -> bool:
    """Return whether a prime has so few butterflies that these decide how many threads work."""
    most = max(radices)
    return most in _LARGE or (most in _PRIMES and _IDLE * prod(radices) <= most**2)


def _lanes(radices: tuple[int, ...], most: int) -> Iterator[int]:
    """Yield every number of threads whose registers are enough for a transform."""
    points, most = prod(radices), _MOST_OF_LONG if max(radices) in _LARGE else most
    every = {-(-points // radix // own) for radix in radices for own in range(1, most + 1)}
    for lanes in every:
        numbers = max(-(-points // radix // lanes) * radix for radix in radices)
        if lanes <= _MOST_LANES and numbers <= most:
            yield lanes


def _work(radices: tuple[int, ...], lanes: int) -> int:
    """Return the numbers that all threads work on, idle ones too."""
    points = prod(radices)
    return sum(-(-points // radix // lanes) * radix * lanes for radix in radices)


def _is_uneven(radix: int, points: int, lanes: int) -> bool:
    """Return whether some threads take more butterflies of a radix than others do."""
    return points // radix > lanes and points // radix % lanes != 0


def _shape(lanes: int, radices: tuple[int, ...], is_few: bool) -> BlockShape:
    points = prod(radices)
    columns = _COLUMNS if points < _LONG else _LONG_COLUMNS
    while columns > 1 and (columns * points > 2 * MOST_SHARED * 8 // 9 or columns * lanes > 1024):
        columns //= 2
    rows = max(1, _WARP // lanes)
    if rows * lanes < _FULL and not is_few:
        rows = max(
            range(1, min(_THREADS // lanes, 8) + 1), key=lambda each: _fullness(each * lanes)
        )
    elif _WARP < lanes < 2 * _WARP and not is_few:
        rows = _THREADS // lanes
    least = _LEAST_OF_SHORT if points <= _ALONE else _LEAST_POINTS
    while rows * points < least and rows * lanes < _THREADS:
        rows *= 2
    return BlockShape(lanes, rows, columns, radices)


def _fullness(threads: int) -> float:
    """Return which part of their warps threads are."""
    return threads / (-(-threads // _WARP) * _WARP)
