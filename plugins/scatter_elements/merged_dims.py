"""The dimensions of updates, as few as address the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pluginkit import where


@dataclass(frozen=True)
class MergedDims:
    """The updates' dimensions, innermost first, adjacent ones merged if the output allows it.

    Attributes:
        count: how many dimensions there are; the entries after them are 1 and 0.
        sizes: the size of each.
        strides: the stride of each in the output; 0 along the axis, where the index decides.
    """

    count: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The number of dimensions that the kernel is compiled for."""
        return 3 if self.count <= 3 else 8

    def geometry(self, rank: int) -> list[int]:
        """Return the kernel's Geometry: sizes, then strides, outermost first."""
        more = rank - len(self.sizes)
        sizes = [*self.sizes, *[1] * more][:rank]
        strides = [*self.strides, *[0] * more][:rank]
        return [*reversed(sizes), *reversed(strides)]


def merged_dims(data: Sequence[int], updates: Sequence[int], axis: int) -> MergedDims:
    """Return the updates' dimensions without those of size 1, adjacent ones merged.

    A ``where`` puts each dimension into its place, instead of a branch that appends it to a list:
    in an exported library eight dimensions would otherwise have thousands of paths.
    """
    sizes, strides = [1] * len(data), [0] * len(data)
    count, size, stride = 0, 1, -1  # of the last dimension; -1 is no dimension's stride
    step = 1
    for dim in reversed(range(len(data))):
        own = 0 if dim == axis else step
        is_one, is_next = updates[dim] == 1, own == size * stride
        merged = where(is_next, size * updates[dim], updates[dim])
        size, stride, count = (
            where(is_one, size, merged),
            where(is_one, stride, where(is_next, stride, own)),
            where(is_one, count, where(is_next, count, count + 1)),
        )
        for place in range(len(data) - dim):
            sizes[place] = where(count == place + 1, size, sizes[place])
            strides[place] = where(count == place + 1, stride, strides[place])
        step *= data[dim]
    return MergedDims(count, tuple(sizes), tuple(strides))
