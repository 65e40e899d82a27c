"""Compute the interval of an operation's result from the intervals of its operands."""

from __future__ import annotations

from collections.abc import Callable

#: The least and the largest value, both included.
Interval = tuple[int, int]

#: Python's own min and max: while a method is traced, slower ones replace the builtins.
min_of, max_of = min, max

#: Shifts by more bits count as shifts by this many.
_MOST_SHIFT = 256


def product(a: Interval, b: Interval) -> Interval:
    """Return the interval of ``x * y``."""
    corners = [x * y for x in a for y in b]
    return min_of(corners), max_of(corners)


def scaled(a: Interval, factor: int) -> Interval:
    """Return the interval of ``factor * x``."""
    return (factor * a[0], factor * a[1]) if factor >= 0 else (factor * a[1], factor * a[0])


def shifted(a: Interval, by: int) -> Interval:
    """Return the interval of ``x + by``."""
    return a[0] + by, a[1] + by


def total(a: Interval, b: Interval) -> Interval:
    """Return the interval of ``x + y``."""
    return a[0] + b[0], a[1] + b[1]


def overlap(a: Interval, b: Interval) -> Interval:
    """Return the intersection; its least value is above its largest if it is empty."""
    return max_of(a[0], b[0]), min_of(a[1], b[1])


def quotient(a: Interval, b: Interval) -> Interval:
    """Return the interval of ``x // y``, for ``y`` other than 0."""
    if b[0] <= 0 <= b[1]:
        b_values = [y for y in (*b, -1, 1) if y and b[0] <= y <= b[1]] or [1]
    else:
        b_values = list(b)
    corners = [x // y for x in (*a, 0) if a[0] <= x <= a[1] for y in b_values]
    return min_of(corners), max_of(corners)


def remainder(a: Interval, b: Interval) -> Interval:
    """Return the interval of ``x % y``, which has the sign of ``y``."""
    if a[0] >= 0 and b[0] > a[1]:
        return a
    least, largest = min_of(b[0] + 1, 0), max_of(b[1] - 1, 0)
    return (least, min_of(largest, a[1])) if a[0] >= 0 and b[0] >= 0 else (least, largest)


def _absolute(a: Interval) -> Interval:
    ends = abs(a[0]), abs(a[1])
    return (0 if a[0] <= 0 <= a[1] else min_of(ends)), max_of(ends)


def _bits(a: Interval) -> Interval:
    least, largest = _absolute(a)
    return least.bit_length(), largest.bit_length()


def _shifted_left(a: Interval, b: Interval) -> Interval:
    powers = 1 << min_of(max_of(b[0], 0), _MOST_SHIFT), 1 << min_of(max_of(b[1], 0), _MOST_SHIFT)
    return product(a, powers)


def _shifted_right(a: Interval, b: Interval) -> Interval:
    corners = [x >> min_of(max_of(y, 0), _MOST_SHIFT) for x in a for y in b]
    return min_of(corners), max_of(corners)


def _bitwise(a: Interval, b: Interval) -> Interval:
    """Return an interval for ``x & y``, ``x | y`` and ``x ^ y``."""
    bits = max_of(abs(end).bit_length() for end in (*a, *b))
    return (0 if min_of(a[0], b[0]) >= 0 else -(1 << bits)), (1 << bits) - 1


def _compared(is_always: bool, is_never: bool) -> Interval:
    return int(is_always), int(not is_never)


#: For each operation, the interval of its result from those of its operands.
OPERATIONS: dict[str, Callable[..., Interval]] = {
    "add": total,
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": product,
    "floor_div": quotient,
    "ceil_div": lambda a, b: scaled(quotient(scaled(a, -1), b), -1),
    "mod": remainder,
    "neg": lambda a: scaled(a, -1),
    "abs": _absolute,
    "max": lambda a, b: (max_of(a[0], b[0]), max_of(a[1], b[1])),
    "min": lambda a, b: (min_of(a[0], b[0]), min_of(a[1], b[1])),
    "shift_left": _shifted_left,
    "shift_right": _shifted_right,
    "and": _bitwise,
    "or": _bitwise,
    "xor": _bitwise,
    "bit_length": _bits,
    "less": lambda a, b: _compared(a[1] < b[0], a[0] >= b[1]),
    "less_equal": lambda a, b: _compared(a[1] <= b[0], a[0] > b[1]),
    "equal": lambda a, b: _compared(a == b and a[0] == a[1], a[1] < b[0] or b[1] < a[0]),
    "not": lambda a: (1 - a[1], 1 - a[0]),
    "both": lambda a, b: (min_of(a[0], b[0]), min_of(a[1], b[1])),
    "either": lambda a, b: (max_of(a[0], b[0]), max_of(a[1], b[1])),
    "where": lambda condition, a, b: (min_of(a[0], b[0]), max_of(a[1], b[1])),
    "select": lambda condition, a, b: (min_of(a[0], b[0]), max_of(a[1], b[1])),
}
