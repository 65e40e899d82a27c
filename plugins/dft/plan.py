"""The passes that make a discrete Fourier transform of any length out of short ones.

A pass is a launch: many transforms of at most SHORT points, each of which some threads keep in
registers. A longer transform of n1 * n2 points takes two: n2 transforms of n1 points that lie n2
apart, multiplied by roots of unity, then n1 transforms of n2 points. Real numbers are transformed
in pairs, as half as many complex ones, if that takes one pass; of two passes the second one makes
half of its transforms, whose results are the conjugates of the others'.

A length with large prime factors becomes a convolution with a chirp (Bluestein), whose length has
none. The chirp and its spectrum are constants of one pass. A long one leaves the results of its
first transform in the order of the second pass, which multiplies them by the chirp's spectrum and
begins to transform them back at once; the first pass does its part of the chirp's transform, too,
and each block of the second one the rest of what it needs.

If such a length has small factors, too, those are the columns of two passes, and only the rows
become convolutions, which work on fewer points, unless a short one takes one pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

from pluginkit.plugins.dft.shapes import SHORT, STAGED, Arrangement, BlockShape, alone, shape_of

Load = Literal["COMPLEX", "REAL", "PAIRS", "MIRRORED", "FOLDED", "WORKSPACE"]
Store = Literal["COMPLEX", "REAL", "PAIRS", "UNFOLDED", "MIRRORED", "WORKSPACE", "HALF"]
Mark = Literal["X_CHIRPED", "CONVOLVED", "TWISTED", "Y_CHIRPED"]
ShapeName = Literal["whole", "few", "halves", "first", "second"]

#: The most points of any transform.
LONGEST = 2**21
#: Few transforms of so many points have more threads, with so many numbers each; those that have a
#: thread or a few each are in blocks of so many.
_FEW_POINTS, _FEW_NUMBERS, _FEW_ROWS, _FEW_ELEMENTS = range(101, 1025), 10, 8, 128
#: The most points of a half that one thread transforms.
_ALONE = 32
#: The most points of a row's convolution, and of one that needs no columns to be shorter.
_MOST_CONVOLVED = 4096
#: The most points of columns, of which a block reads several, where rows have large prime factors.
_LONG_COLUMN = 1024
#: The neighbouring transforms of a block in one of two passes.
_PAIR_COLUMNS = 8
#: The threads of a block that transforms short columns.
_COLUMN_THREADS = 128


@dataclass(frozen=True)
class Plan:
    """The shapes that a length's passes have.

    Attributes:
        points: of the transform, or of the convolution that it becomes.
        is_convolution: whether it becomes one.
        whole: of a single pass; None if there are two.
        halves: of a single pass for real numbers in pairs; None if there is none.
        pair: of two passes, over columns and over rows; None if there is one.
        rows: the length of the second pass's transforms, if these become convolutions; or 0.
    """

    points: int
    is_convolution: bool
    whole: BlockShape | None = None
    halves: BlockShape | None = None
    pair: tuple[BlockShape, BlockShape] | None = None
    rows: int = 0

    @property
    def few(self) -> BlockShape | None:
        """The shape of a single pass for so few transforms that all their threads run at once."""
        if self.whole is None or self.is_convolution:
            return self.whole
        rows = max(_FEW_ROWS, _FEW_ELEMENTS // self.points)
        fewer = replace(self.whole, rows=rows) if self.whole.lanes <= STAGED else self.whole
        if self.points not in _FEW_POINTS and self.whole.lanes not in (2, STAGED):
            return fewer
        return shape_of(self.points, most=_FEW_NUMBERS) or fewer

    @property
    def convolved(self) -> int:
        """The points of the convolutions, by which results are divided; 1 if there are none."""
        if self.rows and self.pair:
            return self.pair[1].points
        return self.points if self.is_convolution else 1

    def shape(self, name: ShapeName) -> BlockShape | None:
        """Return one of the shapes by its name."""
        first, second = self.pair or (None, None)
        shapes = {"whole": self.whole, "few": self.few, "halves": self.halves}
        return {**shapes, "first": first, "second": second}[name]


@cache
def plan_of(length: int) -> Plan:
    """Return the plan of a length."""
    halves = _half_of(length // 2) if length % 2 == 0 else None
    whole = shape_of(length)
    if whole is not None:
        return Plan(length, False, whole, halves)
    for first in range(int(length**0.5), 0, -1):
        if length % first == 0 and (pair := _pair_of(first, length // first)):
            return Plan(length, False, None, halves, pair)
    convolution = _convolution_of(length, halves)
    rows = _rows_of(length, halves) if convolution.points > _MOST_CONVOLVED else None
    return rows or convolution


def _half_of(points: int) -> BlockShape | None:
    """Return the shape for real numbers in so many pairs."""
    return alone(points) if points <= _ALONE else shape_of(points, has_most_lanes=True)


def _pair_of(
    first: int, second: int, is_symmetric: bool = False
) -> tuple[BlockShape, BlockShape] | None:
    """Return the shapes of two passes, the second one perhaps symmetric; None if one has none."""
    one, two = shape_of(first), shape_of(second, is_symmetric)
    return (_of_pair(one), _of_pair(two)) if one and two else None


def _of_pair(shape: BlockShape) -> BlockShape:
    """Return a shape with fewer columns, of which there are many: blocks are on more processors."""
    return replace(shape, columns=min(shape.columns, _PAIR_COLUMNS))


def _rows_of(length: int, halves: BlockShape | None) -> Plan | None:
    """Return the plan of a length whose large prime factors are in the rows; None if it has none.

    The rows are as short as the columns that a block reads as neighbours allow.
    """
    for first in range(_LONG_COLUMN, 1, -1):
        rows, rest = divmod(length, first)
        if rest == 0 and 2 * rows <= _MOST_CONVOLVED and (one := shape_of(first)):
            for points in _products_of_2_and_3(2 * rows - 1):
                two = shape_of(points, is_symmetric=True)
                if two is not None and two.is_busy:
                    pair = _of_threads(one), _of_pair(two)
                    return Plan(length, False, None, halves, pair, rows)
    return None


def _of_threads(shape: BlockShape) -> BlockShape:
    """Return a shape of columns whose blocks have enough threads, however short the columns are."""
    columns = min(shape.columns, _PAIR_COLUMNS)
    while columns * shape.lanes < _COLUMN_THREADS:
        columns *= 2
    return replace(shape, columns=columns)


def _convolution_of(length: int, halves: BlockShape | None) -> Plan:
    """Return the plan of a length by the shortest convolution that keeps all threads busy.

    Its length has no prime factors but 2 and 3, whose butterflies round less than that of 5.
    """
    for points in _products_of_2_and_3(2 * length - 1):
        whole = shape_of(points, is_symmetric=True)
        if whole is not None and whole.is_busy:
            return Plan(points, True, whole, halves)
        for second in range(int(points**0.5), SHORT + 1) if points > SHORT else ():
            if points % second == 0:
                pair = _pair_of(points // second, second, is_symmetric=True)
                if pair and all(each.is_busy for each in pair):
                    return Plan(points, True, None, halves, pair)
    raise AssertionError(length)  # there are powers of four


def _products_of_2_and_3(least: int) -> list[int]:
    """Return those from ``least`` to four times as many, the smallest first."""
    threes = [3**power for power in range(16)]
    found = {three << power for three in threes for power in range(26)}
    return sorted(number for number in found if least <= number <= 4 * least)


@dataclass(frozen=True)
class Pass:
    """One launch.

    Element e of transform s is element ``e * step + s * sub`` of the whole transform.

    Attributes:
        kernel: the plugin's kernel.
        shape: of its blocks.
        path: what is read, what is done to it and what is written; see :func:`path`.
        subs: how many transforms make one whole.
        in_step, in_sub: where the elements of a transform are.
        out_step, out_sub: where its results belong.
        arrangement: None for that of x and y. Where axes follow the transformed one it is COLUMNS.
        has_chirp: whether it transforms the chirp, too, behind the batch.
    """

    kernel: ShapeName
    shape: BlockShape
    path: str
    subs: int = 1
    in_step: int = 1
    in_sub: int = 0
    out_step: int = 1
    out_sub: int = 0
    arrangement: Arrangement | None = None
    has_chirp: bool = False


def path(load: Load, store: Store, *marks: Mark) -> str:
    """Return the kernel's template arguments from LOAD to IS_Y_CHIRPED."""
    flags = {
        mark: "true" if mark in marks else "false"
        for mark in ("X_CHIRPED", "CONVOLVED", "TWISTED", "Y_CHIRPED")
    }
    y_is_chirped = flags.pop("Y_CHIRPED")
    return ", ".join((f"Load::{load}", *flags.values(), f"Store::{store}", y_is_chirped))


def passes_of(length: int, load: Load, store: Store, are_few: bool = False) -> tuple[Pass, ...]:
    """Return the passes from x to y, in order."""
    plan = plan_of(length)
    if plan.halves is not None and store in ("PAIRS", "UNFOLDED"):
        return (Pass("halves", plan.halves, path(load, store)),)
    if plan.whole is not None:
        marks = ("X_CHIRPED", "CONVOLVED", "Y_CHIRPED") if plan.is_convolution else ()
        if are_few and plan.few:
            return (Pass("few", plan.few, path(load, store, *marks)),)
        return (Pass("whole", plan.whole, path(load, store, *marks)),)
    assert plan.pair is not None  # noqa: S101  # without a whole there is one
    first, second = plan.pair
    step = plan.rows or second.points
    columns, rows = partial(_columns, first, step), partial(_rows, first.points, second, step)
    if not plan.is_convolution:
        marks = ("X_CHIRPED", "CONVOLVED", "Y_CHIRPED") if plan.rows else ()
        if load == "REAL":
            last = rows(path("WORKSPACE", "MIRRORED", *marks), "ROWS_TO_COLUMNS")
            last = replace(last, subs=first.points // 2 + 1)
            return columns(path(load, "HALF", "TWISTED")), last
        return (
            columns(path(load, "WORKSPACE", "TWISTED")),
            rows(path("WORKSPACE", store, *marks), "ROWS_TO_COLUMNS"),
        )
    return (
        columns(path(load, "WORKSPACE", "X_CHIRPED", "TWISTED"), has_chirp=True),
        rows(path("WORKSPACE", "WORKSPACE", "CONVOLVED", "TWISTED"), "ROWS"),
        columns(path("WORKSPACE", store, "Y_CHIRPED")),
    )


def _columns(shape: BlockShape, step: int, path: str, has_chirp: bool = False) -> Pass:
    """Return a pass over the columns of the elements, which writes where it reads."""
    return Pass("first", shape, path, step, step, 1, step, 1, "COLUMNS", has_chirp)


def _rows(one: int, shape: BlockShape, two: int, path: str, arrangement: Arrangement) -> Pass:
    """Return a pass over the rows of the elements; it writes where it reads, or else columns."""
    out = (1, two) if arrangement == "ROWS" else (one, 1)
    return Pass("second", shape, path, one, 1, two, *out, arrangement)
