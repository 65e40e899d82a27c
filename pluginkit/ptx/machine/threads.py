"""Special registers: where a thread is in its launch, and what the launch is."""

from __future__ import annotations

from typing import Any

import numpy as np

from pluginkit.ptx.types import U32, U64, Array

_VARYING = {
    **{f"%tid.{axis}": "u32" for axis in "xyz"},
    **{f"%ctaid.{axis}": "u32" for axis in "xyz"},
    **{f"%lanemask_{which}": "u32" for which in ("eq", "le", "lt", "ge", "gt")},
    "%laneid": "u32",
    "%warpid": "u32",
}
#: The special registers that are the same in all threads.
UNIFORM = {
    **{f"%ntid.{axis}": "u32" for axis in "xyz"},
    **{f"%nctaid.{axis}": "u32" for axis in "xyz"},
    "%nwarpid": "u32",
    "%smid": "u32",
    "%nsmid": "u32",
    "%gridid": "u64",
    "%clock": "u32",
    "%clock_hi": "u32",
    "%clock64": "u64",
    "%globaltimer": "u64",
    "%globaltimer_lo": "u32",
    "%globaltimer_hi": "u32",
    "%dynamic_smem_size": "u32",
    "%total_smem_size": "u32",
    "WARP_SZ": "u32",
}
#: The type of every special register that the machine has.
SPECIAL = {**_VARYING, **UNIFORM}

Three = tuple[int, int, int]


class Threads:
    """The threads of one wave: consecutive blocks of a launch, in the order of a schedule.

    Args:
        grid: the launch's grid.
        block: the launch's block.
        blocks: the numbers of the wave's blocks in the grid.
        warps: for each place of a warp in a block the warp that is there.

    Attributes:
        count: how many they are.
        block: the place of each thread's block in the wave.
        lane: each thread's lane.
        warp: the place of each thread's warp in the wave.
    """

    def __init__(self, grid: Three, block: Three, blocks: Array, warps: Array) -> None:
        self.grid, self.shape = grid, block
        self.per_block = block[0] * block[1] * block[2]
        self.blocks = blocks
        self.count = self.per_block * len(blocks)
        place = np.arange(self.per_block)
        inner = np.minimum(warps[place >> 5] * 32 + (place & 31), self.per_block - 1)
        self._inner = inner
        self.warps_per_block = len(warps)
        self.block = np.repeat(np.arange(len(blocks)), self.per_block)
        self.lane = np.tile(place & 31, len(blocks))
        warp = np.tile(place >> 5, len(blocks))
        self.warp = self.block * self.warps_per_block + warp

    def values(self, name: str) -> Array:
        """A special register of every thread."""
        x, y, _ = self.shape
        inner, axis = self._inner, name[-1]
        if name.startswith("%tid"):
            found = {"x": inner % x, "y": inner // x % y, "z": inner // (x * y)}[axis]
            return np.tile(found.astype(U32), len(self.blocks))
        if name.startswith("%ctaid"):
            gx, gy, _ = self.grid
            at = self.blocks
            found = {"x": at % gx, "y": at // gx % gy, "z": at // (gx * gy)}[axis]
            return np.repeat(found.astype(U32), self.per_block)
        if name == "%laneid":
            return self.lane.astype(U32)
        if name == "%warpid":
            return np.tile((inner >> 5).astype(U32), len(self.blocks))
        one = np.uint64(1) << self.lane.astype(U64)
        below = one - np.uint64(1)
        masks = {
            "eq": one,
            "lt": below,
            "le": below | one,
            "gt": ~(below | one),
            "ge": ~below,
        }
        return (masks[name[-2:]] & np.uint64(0xFFFFFFFF)).astype(U32)

    def place_of(self, thread: int) -> tuple[Three, Three]:
        """``blockIdx`` and ``threadIdx`` of a thread of the wave."""
        position, inner = divmod(thread, self.per_block)
        block, index = int(self.blocks[position]), int(self._inner[inner])
        (x, y, _), (gx, gy, _) = self.shape, self.grid
        return (
            (block % gx, block // gx % gy, block // (gx * gy)),
            (index % x, index // x % y, index // (x * y)),
        )


def uniform_values(
    grid: Three, block: Three, dynamic_bytes: int, shared_bytes: int
) -> dict[str, Any]:
    """The special registers that all threads share, but for clocks."""
    values = {
        name: np.zeros((), U64 if kind == "u64" else U32)[()] for name, kind in UNIFORM.items()
    }
    for axis, extent, blocks in zip("xyz", block, grid, strict=True):
        values[f"%ntid.{axis}"] = U32.type(extent)
        values[f"%nctaid.{axis}"] = U32.type(blocks)
    values["%nwarpid"] = U32.type(64)
    values["%nsmid"] = U32.type(1)
    values["WARP_SZ"] = U32.type(32)
    values["%dynamic_smem_size"] = U32.type(dynamic_bytes)
    values["%total_smem_size"] = U32.type(dynamic_bytes + shared_bytes)
    return values
