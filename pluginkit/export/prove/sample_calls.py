"""Sample calls for the comparison: corners of the ranges, both sides of each branch, random shapes.

``check`` refuses most random shapes, since their dimensions do not fit together. So shapes are
drawn for the paths through ``check`` and ``launches``: dimensions that a path requires to be equal
are drawn as one. For a condition with different answers at two shapes, a bisection between them
finds neighbouring shapes where the answer changes.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pluginkit.contract import calls
from pluginkit.export.prove.call import VariantCall
from pluginkit.export.trace.methods import TracedPlugin, symbol_of_dim, symbol_of_value
from pluginkit.export.trace.tree import Leaf, Tree
from pluginkit.export.variant import DimRange
from pluginkit.tracing.expressions import Expr

#: The size in bytes of the largest tensor.
_MOST_BYTES = 2**44
#: Sizes at which launches are likely to change.
_NOTABLE = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 255, 256),
    *(257, 511, 512, 1000, 1023, 1024, 4096, 16384, 65535, 65536, 131072, 2**20, 2**24),
)
#: The most attempts to draw a shape for one path.
_ATTEMPTS = 12
#: The most corners, for any number of dimensions.
_MOST_CORNERS = 64

Point = dict[str, int]
_Question = tuple[Expr, bool]
_Path = tuple[_Question, ...]


class CallSampler:
    """Samples calls of one traced variant.

    Args:
        traced: the variant.
        seed: the seed of the random numbers.
    """

    def __init__(self, traced: TracedPlugin, seed: str) -> None:
        self._traced = traced
        self._random = random.Random(seed)  # noqa: S311  # shapes are no secrets
        self._ranges = dict(_symbols(traced))
        check, *others = [list(_paths(tree)) for tree in traced.paths]
        self._accepted = [path for path, refusal in check if refusal is None]
        self._refused = [path for path, refusal in check if refusal is not None]
        self._others = [path for paths in others for path, _ in paths]
        every = (*self._accepted, *self._refused, *self._others)
        self._conditions = list(dict.fromkeys(condition for path in every for condition, _ in path))

    def calls(self, count: int) -> Iterator[VariantCall]:
        """Yield about ``count`` different calls, up to a quarter of them corners."""
        seen: set[VariantCall] = set()
        points: list[Point] = []
        for point in itertools.islice(self._points(points, count // 4), 4 * count):
            call = self._call(point)
            if call not in seen and self._fits(call):
                seen.add(call)
                points.append(point)
                yield call
            if len(seen) >= count:
                return

    def _points(self, earlier: Sequence[Point], corners: int) -> Iterator[Point]:
        every = list(self._corners())
        yield from self._random.sample(every, min(len(every), max(corners, 1)))
        waiting: list[_Path] = []
        for number in itertools.count():
            if not self._ranges:
                return
            if not waiting:
                waiting = self._random.sample(self._others, len(self._others))
            yield from self._along((*self._random.choice(self._accepted), *waiting.pop()))
            if self._refused and number % 8 == 0:
                yield from self._along(self._random.choice(self._refused))
            if self._conditions and number % 2 == 0:
                yield from self._around(self._random.choice(self._conditions), earlier)

    def _corners(self) -> Iterator[Point]:
        ends = [sorted(set(one)) for one in self._ranges.values()]
        for corner in itertools.islice(itertools.product(*ends), _MOST_CORNERS):
            yield dict(zip(self._ranges, corner, strict=True))

    def _along(self, path: Sequence[_Question]) -> Iterator[Point]:
        """Yield a point on a path, or the closest that was found."""
        groups = _Groups(self._ranges, path)
        best: tuple[int, Point] | None = None
        for _ in range(_ATTEMPTS):
            point = groups.point(self._size)
            known: dict[Expr, int] = {}
            wrong = sum(_answer(condition, point, known) != answer for condition, answer in path)
            if best is None or wrong < best[0]:
                best = wrong, point
            if not wrong:
                break
        if best is not None:
            yield best[1]

    def _size(self, one: DimRange) -> int:
        least, largest = one
        kind = self._random.random()
        if kind < 0.1:
            return self._random.choice(one)
        if kind < 0.45:
            notable = [size for size in _NOTABLE if least <= size <= largest]
            if notable:
                return self._random.choice(notable)
        bits = self._random.randint(0, max((largest - least).bit_length(), 1))
        size = least + self._random.getrandbits(bits) if bits else least
        if kind > 0.8:
            size -= size % 16
        return min(max(size, least), largest)

    def _around(self, condition: Expr, points: Sequence[Point]) -> Iterator[Point]:
        """Yield two neighbouring points at which a condition has different answers."""
        sides: dict[bool, list[Point]] = {True: [], False: []}
        for point in self._random.sample(points, min(len(points), 40)):
            answer = _answer(condition, point)
            if answer is not None:
                sides[answer].append(point)
        if not sides[True] or not sides[False]:
            return
        inside = self._random.choice(sides[True])
        outside = self._random.choice(sides[False])
        for name in self._ranges:  # moves one dimension at a time
            moved = {**inside, name: outside[name]}
            if _answer(condition, moved) is False:
                yield from _neighbours(condition, inside, name, outside[name])
                return
            inside = moved

    def _call(self, point: Mapping[str, int]) -> VariantCall:
        dims = []
        variant = self._traced.variant
        ports = calls.present_ports(variant.plugin)
        for port, ranges in zip(ports, variant.ranges, strict=True):
            name_of = symbol_of_dim if port.is_on_device else symbol_of_value
            dims.append(
                tuple(
                    point.get(name_of(port.name, index), one[0]) for index, one in enumerate(ranges)
                )
            )
        return VariantCall(variant, tuple(dims))

    def _fits(self, call: VariantCall) -> bool:
        """Whether a call is one of the variant's, and no tensor of it too large.

        What a path requires of a dimension may be outside its range.
        """
        variant = call.variant
        ports = calls.present_ports(variant.plugin)
        given = zip(ports, call.dims, variant.ranges, variant.dtypes, strict=True)
        for port, dims, ranges, dtype in given:
            if any(not low <= dim <= high for dim, (low, high) in zip(dims, ranges, strict=True)):
                return False
            size = dtype.itemsize
            for dim in dims if port.is_on_device else ():
                size *= max(dim, 1)
            if size > _MOST_BYTES:
                return False
        return True


class _Groups:
    """Groups the dimensions that a path found equal, so that they are drawn as one."""

    def __init__(self, ranges: Mapping[str, DimRange], path: Iterable[_Question]) -> None:
        self._ranges = dict(ranges)
        self._of = {name: name for name in ranges}
        for condition, answer in path:
            if condition.op == "not":
                condition, answer = condition.operands[0], not answer
            if condition.op == "equal" and answer:
                self._join(*condition.operands)

    def _join(self, left: Expr, right: Expr) -> None:
        if left.op == right.op == "symbol":
            first, second = self._root(left.name), self._root(right.name)
            if first != second:
                self._of[second] = first
                a, b = self._ranges[first], self._ranges[second]
                if max(a[0], b[0]) <= min(a[1], b[1]):
                    self._ranges[first] = max(a[0], b[0]), min(a[1], b[1])
        for one, other in ((left, right), (right, left)):
            if one.op == "symbol" and other.is_constant:
                self._ranges[self._root(one.name)] = other.value, other.value

    def _root(self, name: str) -> str:
        while self._of[name] != name:
            name = self._of[name]
        return name

    def point(self, size: Any) -> Point:
        """Return a size for every dimension."""
        drawn = {
            root: size(self._ranges[root]) for root in dict.fromkeys(map(self._root, self._of))
        }
        return {name: drawn[self._root(name)] for name in self._of}


def _symbols(traced: TracedPlugin) -> Iterator[tuple[str, DimRange]]:
    """Yield every dimension that can vary, with its range."""
    variant = traced.variant
    ports = calls.present_ports(variant.plugin)
    for port, ranges in zip(ports, variant.ranges, strict=True):
        name_of = symbol_of_dim if port.is_on_device else symbol_of_value
        for index, one in enumerate(ranges):
            if one[0] != one[1]:
                yield name_of(port.name, index), one


def _paths(tree: Tree[Any]) -> Iterator[tuple[_Path, Any]]:
    """Yield each leaf with the conditions and answers on the path to it."""
    if isinstance(tree, Leaf):
        yield (), tree.result
        return
    for answer, side in ((True, tree.if_true), (False, tree.if_false)):
        for rest, result in _paths(side):
            yield ((tree.condition, answer), *rest), result


def _answer(
    condition: Expr, point: Mapping[str, int], known: dict[Expr, int] | None = None
) -> bool | None:
    """Evaluate a condition at a point; None if it divides by 0 there."""
    try:
        return bool(condition.evaluate(point, known))
    except (ZeroDivisionError, KeyError, ValueError):
        return None


def _neighbours(condition: Expr, inside: Point, name: str, outside: int) -> Iterator[Point]:
    """Bisect along one dimension down to neighbouring points with different answers."""
    near, far = inside[name], outside
    while abs(far - near) > 1:
        middle = (near + far) // 2
        if _answer(condition, {**inside, name: middle}):
            near = middle
        else:
            far = middle
    yield {**inside, name: near}
    yield {**inside, name: far}
