"""The launch of RotaryEmbedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import Dim, Launch, Scalar, TensorDesc, ceil_div, int32, known, offset_type
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.rotary_embedding import RotaryEmbedding

#: The threads of a block, and of one of small tensors.
_THREADS, _FEW_THREADS = 128, 256
#: The bytes of a vector: the most that divide what it is of; 1 for single elements.
BYTES = (16, 8, 4, 1)
#: If x has fewer bytes than the first number, a GPU has threads to spare: vectors have at most as
#: many bytes as the second number, or one element, and a thread takes one head.
_FEW, _FEW_BYTES = 2**20, 8
#: The threads that a GPU has at once, about. Where more would take a vector of one head each, of at
#: most so many bytes, they take two, so that fewer blocks have as many bytes in flight.
_RESIDENT, _SHORT = 2**18, 4
#: How many parts a vector has.
PARTS = (4, 2, 1)
#: The constants that the kernel shares with Python.
DEFINES = {"THREADS": _THREADS, "FEW_THREADS": _FEW_THREADS}


def launch_of(
    plugin: RotaryEmbedding, x: TensorDesc, cos: TensorDesc, sin: TensorDesc, y: TensorDesc
) -> Launch:
    """Return one launch; a thread takes a part of several heads."""
    items, heads, length, size = map(known, x.shape)
    rotated = known(cos.shape[-1]) * (1 if plugin.whole else 2)
    itemsize, is_few = x.dtype.itemsize, known(x.nbytes) < _FEW

    def widest(most: int, *lengths: int) -> int:
        """Return the bytes of the widest vectors, of at most so many, that divide all lengths."""
        for nbytes in BYTES:
            count = nbytes // itemsize
            if count > 1 and nbytes <= most and not any(length % count for length in lengths):
                return nbytes
        return 1

    most = _FEW_BYTES if is_few else BYTES[0]
    part = widest(most, rotated if plugin.interleaved else rotated // 2, size)
    most = 1 if is_few and part == 1 else min(most, PARTS[0] * max(part, itemsize))
    nbytes = widest(most, size)
    each = 1 if is_few else 2 * BYTES[0] // max(nbytes, 2 * itemsize)
    has_less = plugin.interleaved or not plugin.whole or rotated < size
    if nbytes == part == BYTES[0] and has_less:
        each = 1  # heads have less of the tables to share
    while each > max(heads, 1):
        each //= 2
    groups = ceil_div(heads, each)
    row = size // max(nbytes // itemsize, 1)
    group = length * row
    threads = items * groups * group
    block = _FEW_THREADS if is_few else _THREADS
    is_short = each == 1 and nbytes <= _SHORT
    units = 2 if is_short and threads > _RESIDENT else 1
    offset = offset_type(x.size)
    return Launch(
        plugin.kernel,
        grid=ceil_div(threads, block * units),
        block=block,
        args=(
            *(x, cos, sin, offset(threads), int32(row), divisors_of(row, group, groups * group)),
            *map(int32, (rotated, length, heads)),
            y,
        ),
        constants={
            "OFFSET": offset.cpp,
            "FEW": is_few,
            "BYTES": nbytes,
            "PARTS": max(nbytes // max(part, itemsize), 1),
            "UNITS": units,
            "HEADS": each,
            "REST": rotated < size,
        },
    )


def divisors_of(*counts: Dim) -> Scalar:
    """Return the kernel's Divisors."""
    numbers = [divisor_numbers(count)[1] for count in counts]
    shifts = sum(number // 2**32 * 2 ** (8 * at) for at, number in enumerate(numbers))
    return int32((*(number % 2**32 - 2**31 for number in numbers), shifts))
