"""ResizedArgMax, the largest pixels of maps that are each resized to a size of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Dim,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    Workspace,
    attribute,
    float32,
    int32,
    int64,
    known,
)
from pluginkit.plugins._cuda.division import divisor_of
from pluginkit.plugins.resized_arg_max.cases import resized_arg_max_cases
from pluginkit.plugins.resized_arg_max.parts import PARTS_BYTES, parts_of
from pluginkit.plugins.resized_arg_max.reference import LARGEST, resized_arg_max

_THREADS = 256
#: The columns that a thread goes down at the same time.
_COLUMNS = 4
#: The most pixels of a map that a block keeps in shared memory; larger maps are read from global.
_KEPT = 4096
#: The pixels of the map that a thread reads at once.
_AT_ONCE = 8
_WARP = 32
_DEFINES = {
    "THREADS": _THREADS,
    "AT_ONCE": _AT_ONCE,
    "COLUMNS": _COLUMNS,
    "KEPT": _KEPT,
    "LARGEST": LARGEST,
    "WARP": _WARP,
}


class ResizedArgMax(Plugin):
    """Find the largest pixel of each map, resized by cubic interpolation to a size of its own.

    row[n, k], column[n, k] = argmax of Resize(maps[n, k], (heights[n], widths[n]))

    The resized maps are never written. Pixels are at the same positions as in ONNX's Resize with
    half_pixel; taps outside a map read its edge. Of equal pixels the first in row-major order
    counts; NaN is below all numbers.

    Inputs:      maps: (N, K, H, W) float32, linear; any dimension dynamic.
                 heights: (N,) int64, linear. widths: (N,) int64, linear. Below 1 is 1, above 65536
                 is 65536.
    Outputs:     rows: (N, K) int64. columns: (N, K) int64. largest: (N, K) float32, the pixel.
    Attributes:  cubic_coeff_a: float, default -0.75.
    Workspace:   4 KiB, for what is found in parts of maps.
    Tolerance:   float32 1e-5, relative to max(1, largest); places exact.
    Errors:      PK124 maps, heights and widths differ in N. size: a map has no pixel, or 2^24.
    Source:      ONNX Resize-19 with mode cubic, then ArgMax-13: keypoints of torchvision.
    """

    tolerance = {float32: 1e-5}

    cubic_coeff_a: float = attribute(default=-0.75, doc="Keys' parameter of cubic convolution")

    maps = Input(float32, shape=("N", "K", "H", "W"))
    heights = Input(int64, shape=("N",))
    widths = Input(int64, shape=("N",))
    rows = Output(int64, shape=("N", "K"))
    columns = Output(int64, shape=("N", "K"))
    largest = Output(float32, shape=("N", "K"))

    kernel = CudaKernel(
        "kernel.cu", "resized_arg_max<{IN_PARTS}>", {"IN_PARTS": (False, True)}, defines=_DEFINES
    )
    compare = CudaKernel("kernel.cu", "largest_of_parts", defines=_DEFINES, overlaps=True)

    def check(self, maps: TensorDesc, heights: TensorDesc, widths: TensorDesc) -> None:
        """Check that maps have pixels, and fewer than float32 counts."""
        if not 0 < known(maps.shape[2]) * known(maps.shape[3]) < 2**24:
            raise InputError(f"{maps}; expected maps of 1 to 2^24 - 1 pixels.", code="size")

    def workspace_bytes(self, maps: TensorDesc, heights: TensorDesc, widths: TensorDesc) -> Dim:
        """Return room for the parts of as many maps as are divided."""
        return PARTS_BYTES

    def launches(
        self,
        maps: TensorDesc,
        heights: TensorDesc,
        widths: TensorDesc,
        rows: TensorDesc,
        columns: TensorDesc,
        largest: TensorDesc,
        workspace: Workspace,
    ) -> Sequence[Launch]:
        """Return one launch, with a block for each map; two with blocks for parts of few maps."""
        parts, found = parts_of(maps), (rows, columns, largest)
        count, height, width = divisor_of(maps.shape[1]), *map(int32, maps.shape[2:])
        search = Launch(
            self.kernel,
            (rows.size, parts),
            _THREADS,
            (
                *(workspace, *found, maps, heights, widths),
                *(count, height, width, self.cubic_coeff_a),
            ),
            constants={"IN_PARTS": parts > 1},
        )
        if parts == 1:
            return (search,)
        compared = (*found, workspace, int32(parts))
        return search, Launch(self.compare, rows.size, _WARP, compared)

    def reference(
        self, maps: np.ndarray, heights: np.ndarray, widths: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Compute the same in numpy; see reference.py."""
        return resized_arg_max(maps, heights, widths, self.cubic_coeff_a)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield maps that grow and shrink, ties, sizes out of range, large maps and empty."""
        return resized_arg_max_cases()
