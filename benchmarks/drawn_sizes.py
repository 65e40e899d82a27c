"""Sizes that nobody chose, for the shapes that benchmarks/hostile_shapes.py draws."""

from __future__ import annotations

from itertools import pairwise
from math import log2
from random import Random


def size(rng: Random, least: int, most: int) -> int:
    """Return a size in these bounds, as likely between 10 and 20 as between 1000 and 2000.

    Of four sizes two are any, one is a power of two and one a multiple of 8, where there are some.
    """
    drawn = _between(2 ** rng.uniform(log2(least + 1), log2(most + 2)) - 1, least, most)
    kind = rng.randrange(4)
    if kind == 0:
        return _between(2 ** (drawn.bit_length() - 1), least, most)
    return _between(drawn // 8 * 8, least, most) if kind == 1 else drawn


def sizes(rng: Random, rank: int, most: int) -> tuple[int, ...]:
    """Return the sizes of a shape that has at most so many elements, and rarely few."""
    logarithm = log2(most) - 12 * rng.random() ** 2
    cuts = [0.0, *sorted(rng.random() for _ in range(rank - 1)), 1.0]
    shares = [after - before for before, after in pairwise(cuts)]
    highest = [max(1, int(2 ** (share * logarithm))) for share in shares]
    return tuple(size(rng, max(1, high // 2), high) for high in highest)


def _between(number: float, least: int, most: int) -> int:
    return min(max(int(number), least), most)
