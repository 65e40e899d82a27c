"""NonZero, whose output's shape depends on data, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Fill,
    Input,
    Launch,
    OnnxOp,
    Output,
    Plugin,
    SizeOutput,
    Step,
    TensorDesc,
    Workspace,
    bool_,
    ceil_div,
    int64,
)

_THREADS = 512
#: Bytes of x that a thread takes, and that it takes of a type of one byte.
_THREAD_BYTES = 64
_BYTE_THREAD_BYTES = 32
_MAX_RANK = 8
#: What the kernels share with Python.
_DEFINES = {
    "THREADS": _THREADS,
    "THREAD_BYTES": _THREAD_BYTES,
    "BYTE_THREAD_BYTES": _BYTE_THREAD_BYTES,
    "MAX_RANK": _MAX_RANK,
}
_OPTIONS = ("-ftz=false",)  # denormals are not zero


class NonZero(Plugin):
    """Return the coordinates of the elements of ``x`` that are not zero, in row-major order.

    indices[:, j] = the coordinates of the j-th element that is not zero

    NaN and denormals are not zero; -0.0 is.

    Inputs:      x: rank 1 to 8, every type that a plugin can read (uint8 is none), linear; any
                 dimension dynamic.
    Outputs:     indices: (rank, count) int64.
                 count: int32, the size output; at most the number of elements of x.
    Attributes:  none.
    Workspace:   8 bytes for each 32 KiB of x.      Tolerance: exact.
    Errors:      PK118 x has more than 2^31 - 1 elements.
    Source:      ONNX NonZero-13, without scalars.
    """

    onnx_op = OnnxOp("NonZero", since=13)
    types = {"T": (*OUTPUT_TYPES, bool_)}

    x = Input("T", ranks=(1, _MAX_RANK))
    indices = Output(int64)
    count = SizeOutput()

    count_kernel = CudaKernel(
        "kernel.cu", "count_non_zero<{T}>", options=_OPTIONS, defines=_DEFINES
    )
    place_kernel = CudaKernel("kernel.cu", "place_tiles<int>", options=_OPTIONS, defines=_DEFINES)
    write_kernel = CudaKernel(
        "kernel.cu",
        "write_indices<{T}, int, unsigned int, {RANK}>",
        constants={"RANK": range(1, _MAX_RANK + 1)},
        options=_OPTIONS,
        defines=_DEFINES,
    )

    def output_shapes(self, x: TensorDesc) -> tuple[Dim, Dim]:
        """Return a row for each dimension, and a column for each element that is not zero."""
        return x.ndim, self.count.up_to(x.size)

    def _tiles(self, x: TensorDesc) -> Dim:
        nbytes = _BYTE_THREAD_BYTES if x.dtype.itemsize == 1 else _THREAD_BYTES
        return ceil_div(x.nbytes, _THREADS * nbytes)

    def workspace_bytes(self, x: TensorDesc) -> Dim:
        """Return 8 bytes for each tile: first its count, then its position."""
        return 8 * self._tiles(x)

    def launches(
        self, x: TensorDesc, indices: TensorDesc, count: TensorDesc, workspace: Workspace
    ) -> Sequence[Step]:
        """Return three launches: count, place, write."""
        tiles = self._tiles(x)
        if not tiles:
            return [Fill(count)]
        shape = int64((*x.shape, *[1] * (_MAX_RANK - x.ndim)))
        return [
            Launch(self.count_kernel, tiles, _THREADS, (workspace, x, x.size)),
            Launch(self.place_kernel, 1, _THREADS, (workspace, count, tiles)),
            Launch(
                self.write_kernel,
                tiles,
                _THREADS,
                (indices, x, workspace, count, x.size, shape),
                constants={"RANK": x.ndim},
            ),
        ]

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        return np.array(np.nonzero(x), np.int64).reshape(x.ndim, -1)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield ranks 1 to 8; no, some and only zeros; whole and partial tiles; empty."""
        rng = np.random.default_rng(13)
        for name, shape, share in (
            ("vector", (13,), 0.5),
            ("matrix", (7, 11), 0.3),
            ("none", (5, 6), 0.0),
            ("all", (3, 4, 5), 1.0),
            ("size_one", (1, 1), 1.0),
            ("empty", (0, 4), 0.5),
            ("one_tile", (8192,), 0.5),
            ("many_tiles", (67, 19, 131), 0.1),
            ("rank_eight", (2, 1, 3, 2, 2, 1, 5, 3), 0.4),
        ):
            yield Case(name, [np.where(rng.random(shape) < share, 3, 0).astype(np.float32)])
