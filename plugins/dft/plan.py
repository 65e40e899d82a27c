"""The passes that make a discrete Fourier transform of any length out of short ones.

A pass is a launch: many transforms of at most SHORT points, whose only prime factors are 2, 3, 5
and 7. A longer transform of n1 * n2 points takes two: n2 transforms of n1 points that lie n2 apart,
multiplied by roots of unity, then n1 transforms of n2 points. A length with other factors becomes a
convolution with a chirp (Bluestein), whose length is a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

Load = Literal["INPUT", "CHIRPED_INPUT", "CHIRP", "WORKSPACE", "PRODUCT"]
Store = Literal["OUTPUT", "CHIRPED_OUTPUT", "WORKSPACE"]

#: The most points of a transform in shared memory, three times 8 bytes each, and of any transform.
SHORT, LONGEST = 2048, 2**21
_RADICES = (8, 4, 2, 3, 5, 7)
#: The most radices of a short transform: those of 2 * 3**6.
MOST_RADICES = 7


@dataclass(frozen=True)
class Pass:
    """One launch.

    Element e of transform s is element ``e * step + s * sub`` of the whole transform.

    Attributes:
        points: of each transform.
        subs: how many transforms make one whole.
        whole: the points of the whole transform.
        in_step, in_sub: where the elements of a transform are.
        out_step, out_sub: where its results belong.
        is_twiddled: whether the results are multiplied by roots of unity.
        load, store: what is read, and what is written.
        is_inverse: the direction.
        is_of_chirp: whether it transforms the one chirp, not a batch.
    """

    points: int
    subs: int
    whole: int
    in_step: int
    in_sub: int
    out_step: int
    out_sub: int
    is_twiddled: bool
    load: Load
    store: Store
    is_inverse: bool
    is_of_chirp: bool = False


@cache
def radices_of(points: int) -> tuple[int, ...] | None:
    """Return the radices whose product is the number of points; None if it has other factors."""
    found = []
    for radix in _RADICES:
        while points % radix == 0:
            found.append(radix)
            points //= radix
    return tuple(found) if points == 1 else None


@cache
def convolution_of(length: int) -> int | None:
    """Return the points of the convolution that a transform needs; None if it needs none."""
    if radices_of(length) is not None and _split(length) is not None:
        return None
    return 1 << (2 * length - 2).bit_length()


def _split(length: int) -> tuple[int, int] | None:
    """Return two short lengths with this product, the first one 1 if the length is short itself."""
    if length <= SHORT:
        return 1, length
    for first in range(int(length**0.5), 0, -1):
        if length % first == 0:
            return (first, length // first) if length // first <= SHORT else None
    return None


@cache
def passes_of(length: int, is_inverse: bool) -> tuple[Pass, ...]:
    """Return the passes of a transform, in order."""
    convolution = convolution_of(length)
    if convolution is None:
        return _transform(length, "INPUT", "OUTPUT", is_inverse)
    return (
        *_transform(convolution, "CHIRPED_INPUT", "WORKSPACE", False),
        *_transform(convolution, "CHIRP", "WORKSPACE", False, is_of_chirp=True),
        *_transform(convolution, "PRODUCT", "CHIRPED_OUTPUT", True),
    )


def _transform(
    whole: int, load: Load, store: Store, is_inverse: bool, is_of_chirp: bool = False
) -> tuple[Pass, ...]:
    split = _split(whole)
    assert split is not None  # noqa: S101  # convolution_of has seen to it
    first, second = split
    if first == 1:
        one = Pass(whole, 1, whole, 1, 0, 1, 0, False, load, store, is_inverse, is_of_chirp)
        return (one,)
    return (
        Pass(
            *(first, second, whole, second, 1, second, 1, True),
            *(load, "WORKSPACE", is_inverse, is_of_chirp),
        ),
        Pass(
            *(second, first, whole, 1, second, first, 1, False),
            *("WORKSPACE", store, is_inverse, is_of_chirp),
        ),
    )
