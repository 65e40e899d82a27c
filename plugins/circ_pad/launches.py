"""The launch of CircPad: a thread takes an element, or a vector of many elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import (
    Copy,
    Dim,
    Launch,
    TensorDesc,
    ceil_div,
    dim_max,
    int64,
    known,
    offset_type,
    product,
)
from pluginkit.plugins._cuda.division import divisor_numbers

if TYPE_CHECKING:
    from pluginkit.plugins.circ_pad import CircPad

#: The threads of a block that have an element, and that have a vector.
_THREADS = 256, 128
#: The constants that the kernel shares with Python.
DEFINES = {"MOST_THREADS": max(_THREADS)}
#: The bytes of a thread, 1 for one element, and from how many elements on it has more.
BYTES, _MANY = (1, 16), 2**18


def joined(pads: list[tuple[int, int]]) -> list[list[int]]:
    """Return which axes are one to the kernel: from one that is padded up to the next.

    Those before the first padded axis are left out.
    """
    groups: list[list[int]] = []
    for axis, pad in enumerate(pads):
        if any(pad) or (groups == [] and axis == len(pads) - 1):
            groups.append([axis])
        elif groups:
            groups[-1].append(axis)
    return groups


def launch_of(plugin: CircPad, x: TensorDesc, y: TensorDesc) -> Launch | Copy:
    """Return one launch. Axes after a padded one that are not padded make its elements longer."""
    if not any(plugin.pads):
        return Copy(y, x)
    numbers: list[Dim] = []
    for first, *others in joined(plugin.each_pads):
        begin, _ = plugin.each_pads[first]
        sizes = [tensor.shape[-plugin.axes :] for tensor in (x, y)]
        length = product([sizes[0][other] for other in others])
        of_x, of_y = (known(size[first] * length) for size in sizes)
        shift = known(-begin * length % dim_max(of_x, 1))
        numbers += [*divisor_numbers(of_y), *divisor_numbers(of_x), shift]
    count = known(y.size)
    offset = offset_type(known(x.size) + count)  # the kernel adds places in both
    nbytes, threads = BYTES[count >= _MANY], _THREADS[count >= _MANY]
    each = max(nbytes // y.dtype.itemsize, 1)
    return Launch(
        plugin.kernel,
        ceil_div(ceil_div(count, each), threads),
        threads,
        (y, x, int64(numbers), offset(count)),
        constants={"OFFSET": offset.cpp, "BYTES": nbytes},
    )
