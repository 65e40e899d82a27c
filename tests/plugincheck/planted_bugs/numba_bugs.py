"""The same sorts of bugs in numba kernels."""

from __future__ import annotations

import numpy as np

from pluginkit import Case, Fill, Launch, NumbaKernel, Output, ceil_div
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Doubled,
    Gathered,
    Rows,
    Total,
    blocks_for,
    line,
    planted,
    planted_in_results,
)

_FILE = "numba_kernels.py"


class NumbaDoubled(Doubled, abstract=True):
    """``kernel(y, x)``, one thread an element."""

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (y, x))


class NumbaTotal(Total, abstract=True):
    """``kernel(y, x)``, into an output that begins at 0."""

    def launches(self, x, y):
        return Fill(y, 0), Launch(self.kernel, blocks_for(x), BLOCK, (y, x))


class NumbaRows(Rows, abstract=True):
    """``kernel(y, x)``, one block a row."""

    def launches(self, x, y):
        return Launch(self.kernel, x.shape[0], BLOCK, (y, x))


@planted("out_of_bounds")
class NumbaTailWrittenOneTooFar(NumbaDoubled):
    """``<=`` in place of ``<``."""

    kernel = NumbaKernel(_FILE, "twice_one_too_far")


@planted("out_of_bounds")
class NumbaNeighbourReadPastTheEnd(NumbaDoubled):
    """The last thread reads x[n]."""

    kernel = NumbaKernel(_FILE, "twice_with_the_next")


@planted("unwritten")
class NumbaLastElementLeftOut(NumbaDoubled):
    """``x.size - 1`` in place of ``x.size``."""

    kernel = NumbaKernel(_FILE, "twice_without_the_last")


@planted("unwritten")
class NumbaGridOneBlockShort(NumbaDoubled):
    """The grid is rounded down."""

    kernel = NumbaKernel(_FILE, "twice")

    def launches(self, x, y):
        return Launch(self.kernel, x.size // BLOCK, BLOCK, (y, x))


@planted("input_written")
class NumbaArgumentsSwapped(NumbaDoubled):
    """Input and output have changed places in the launch."""

    kernel = NumbaKernel(_FILE, "twice")

    def launches(self, x, y):
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (x, y))


@planted("race")
class NumbaBarrierForgotten(NumbaDoubled):
    """The tile is read while other warps still fill it."""

    kernel = NumbaKernel(_FILE, "reversed_tile_without_barrier")


@planted("barrier")
class NumbaBarrierInDivergentBranch(NumbaDoubled):
    """Half of the block waits at a barrier of its own."""

    kernel = NumbaKernel(_FILE, "barrier_in_a_branch")


@planted("race")
class NumbaSumWithoutAtomics(NumbaTotal):
    """Every thread adds to y[0]."""

    kernel = NumbaKernel(_FILE, "total_without_atomics")


@planted("uninitialised", "unwritten")
class NumbaOutputAddedToBeforeItIsWritten(NumbaTotal):
    """The Fill is missing."""

    kernel = NumbaKernel(_FILE, "total")

    def launches(self, x, y):
        return Launch(self.kernel, blocks_for(x), BLOCK, (y, x))


@planted("uninitialised")
class NumbaSharedSumNotCleared(NumbaRows):
    """The shared sum has no first value."""

    kernel = NumbaKernel(_FILE, "row_sums_unset")


@planted("race")
class NumbaReversedInPlace(NumbaDoubled):
    """Tiles are mirrored in place, and each thread writes what another one has yet to read."""

    y = Output("T", aliases="x")
    kernel = NumbaKernel(_FILE, "reversed_in_place")

    def reference(self, x):
        return x[::-1].copy()


@planted_in_results("kernel_types")
class NumbaGatherOffByOne(Gathered):
    """numba counts -1 from the end: indices -50 to -2 stay inside, and give the next element."""

    kernel = NumbaKernel(_FILE, "gather_wrapped")

    def launches(self, x, indices, y):
        return Launch(self.kernel, ceil_div(indices.size, BLOCK), BLOCK, (y, x, indices))

    @classmethod
    def cases(cls):
        yield Case("negative", [line(50), np.arange(-50, -1, dtype=np.int32)])
