"""The threads of a wave: their thread blocks, warps, lanes and indices."""

from __future__ import annotations

import numpy as np

from pluginkit.ptx.code.special_registers import MULTIPROCESSORS
from pluginkit.ptx.types import U32, U64, Array, Three


class Threads:
    """The threads of one wave, in the order in which its blocks and their warps run.

    Args:
        grid: the launch's grid.
        block: the launch's block.
        blocks: the indices in the grid of the wave's blocks, in the order in which they run.
        warps: the warps of each block, in the order in which they run.

    Attributes:
        count: the number of threads.
        block: for each thread the position of its block in the wave.
        inner: for each position in a block the linear thread index in the block.
        lane: for each thread its lane.
        warp: for each thread the position of its warp in the wave.
    """

    def __init__(self, grid: Three, block: Three, blocks: Array, warps: Array) -> None:
        self.grid, self.shape = grid, block
        self.per_block = block[0] * block[1] * block[2]
        self.blocks = blocks
        self.count = self.per_block * len(blocks)
        place = np.arange(self.per_block)
        inner = np.minimum(warps[place >> 5] * 32 + (place & 31), self.per_block - 1)
        self.inner: Array = inner
        self.warps_per_block = len(warps)
        self.block = np.repeat(np.arange(len(blocks)), self.per_block)
        self.lane = np.tile(place & 31, len(blocks))
        warp = np.tile(place >> 5, len(blocks))
        self.warp = self.block * self.warps_per_block + warp

    def values(self, name: str) -> Array:
        """Return a special register of every thread."""
        x, y, _ = self.shape
        inner, axis = self.inner, name[-1]
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
        if name == "%smid":
            return (self.block % MULTIPROCESSORS).astype(U32)
        if name == "%warpid":
            return np.tile((inner >> 5).astype(U32), len(self.blocks))
        one: Array = np.left_shift(U64.type(1), self.lane.astype(U64))
        below: Array = one - U64.type(1)
        masks: dict[str, Array] = {
            "eq": one, "lt": below, "le": below | one, "gt": ~(below | one), "ge": ~below,
        }  # fmt: skip
        return masks[name[-2:]].astype(U32)

    def warp_masks(self) -> Array:
        """Return the mask of each warp's lanes; a block's last warp may have fewer than 32."""
        masks = np.zeros(len(self.blocks) * self.warps_per_block, U32)
        np.bitwise_or.at(masks, self.warp, np.left_shift(np.uint32(1), self.lane.astype(U32)))
        return masks

    def indices_of(self, thread: int) -> tuple[Three, Three]:
        """Return ``blockIdx`` and ``threadIdx`` of a thread of the wave."""
        position, inner = divmod(thread, self.per_block)
        block, index = int(self.blocks[position]), int(self.inner[inner])
        (x, y, _), (gx, gy, _) = self.shape, self.grid
        return (
            (block % gx, block // gx % gy, block // (gx * gy)),
            (index % x, index // x % y, index // (x * y)),
        )
