"""The host side of add_norm_lanes.cu: rows of at most a warp of small vectors."""

from __future__ import annotations

from typing import Any

from pluginkit import CudaKernel, Launch, TensorDesc, ceil_div, int32

#: The bytes of vectors, of which rows are whole ones; others have vectors of one element.
VECTOR_BYTES = (16, 8, 4)
#: The threads of a block.
_THREADS = 128
#: The rows of a lane, which so loads as much as where vectors are large.
_ROWS = 2
#: How many lanes a row may have.
_LANES = (2, 4, 8, 16, 32)


def vector_bytes_of(inner: int, itemsize: int) -> int:
    """Return the bytes of the largest vectors of which rows are whole ones."""
    return next((size for size in VECTOR_BYTES if inner * itemsize % size == 0), itemsize)


def have_lanes(rows: int, inner: int, itemsize: int) -> bool:
    """Whether a lane can have each vector of a row, and the vectors are smaller than the largest.

    The kernel counts elements in 32 bits. Lanes of the largest vectors were no faster than threads
    whose number a launch tells.
    """
    nbytes = vector_bytes_of(inner, itemsize)
    vectors = inner * itemsize // nbytes
    return nbytes < VECTOR_BYTES[0] and vectors <= _LANES[-1] and rows * inner < 2**31


def lane_kernel_of(flag: str, defines: dict[str, int]) -> CudaKernel:
    """Return the kernel; the flag says in C++ whether rows are less their mean."""
    return CudaKernel(
        "../_cuda/add_norm_lanes.cu",
        f"add_norm_lanes<{flag}, {{T}}, {{W}}, {{LANES}}, {{BYTES}}>",
        {"LANES": _LANES, "BYTES": (*VECTOR_BYTES[1:], 2)},
        defines={**defines, "LANE_ROWS": _ROWS, "LANE_THREADS": _THREADS},
    )


def lane_launch_of(
    plugin: Any, inputs: tuple[TensorDesc | None, ...], y: TensorDesc, total: TensorDesc, inner: int
) -> Launch:
    """Return the launch for rows that ``have_lanes``, of ``inner`` elements."""
    rows, itemsize = y.size // inner, y.dtype.itemsize
    nbytes = vector_bytes_of(inner, itemsize)
    vectors = inner * itemsize // nbytes
    lanes = next(each for each in _LANES if vectors <= each)
    return Launch(
        plugin.lane_kernel,
        grid=ceil_div(rows, _THREADS // lanes * _ROWS),
        block=_THREADS,
        args=(*inputs, int32(rows), int32(vectors), plugin.epsilon, total, y),
        constants={"LANES": lanes, "BYTES": nbytes},
    )
