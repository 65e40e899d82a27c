"""MaxUnpool, what max pooling kept put back where it was, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Input,
    InputError,
    Output,
    Plugin,
    Shape,
    Step,
    TensorDesc,
    Workspace,
    attribute,
    int64,
    known,
)
from pluginkit.plugins.max_pool.windows import check_counts, check_padding, wrong_length
from pluginkit.plugins.max_unpool.launches import DEFINES, note_bytes, steps_of, unpooled


class MaxUnpool(Plugin):
    """Put each element of X where its index says; all else is 0.

    Y.ravel()[I[n, c, i, j]] = X[n, c, i, j]

    Indices count in an output of the size that pooling with this window would make X of; where
    ``output_sizes`` are larger, zeros follow at the end of each axis. If an index occurs twice, it
    is open which element is stored. The kernels leave out an index that is out of range. It is
    quicker if each index is in its own plane, and in one above 64 KB in its own window, as those of
    MaxPool are.

    Inputs:      X: (N, C, ...) of rank 3 to 5, float32 | float16 | bfloat16, linear; any dimension
                 dynamic.
                 I: the shape of X, int64, linear.
    Outputs:     Y: (N, C, (size - 1) * stride + kernel - pads of each axis, or output_sizes), dtype
                 of X.
    Attributes:  kernel_shape: int[1 to 3], required, one for each axis but the first two.
                 strides: int[], > 0, default 1. pads: int[], >= 0, default 0: before each axis,
                 then after each.
                 output_sizes: int[] | None: of the axes but the first two.
    Workspace:   4 bytes for every 16 KB of Y, and for each plane.      Tolerance: exact.
    Errors:      PK104 an attribute is out of its range. axes: attributes are for another rank.
                 sizes: a size is less than 1, more than 2^29, or less than what indices count in.
                 index: an index is out of range (reference).
    Source:      ONNX MaxUnpool-22 with the output shape stored in the model, without double;
                 torch's max_unpool2d.
    """

    types = {"T": FLOAT_TYPES}

    kernel_shape: tuple[int, ...] = attribute(check=check_counts, doc="the elements of a window")
    pads: tuple[int, ...] | None = attribute(
        default=None, check=check_padding, doc="padding before each axis, then after each"
    )
    strides: tuple[int, ...] | None = attribute(
        default=None, check=check_counts, doc="from a window to the next"
    )
    output_sizes: tuple[int, ...] | None = attribute(
        default=None, check=check_counts, doc="sizes of Y along the axes but the first two"
    )

    X = Input("T", shape=("N", "C", "*S"), ranks=(3, 5))
    I = Input(int64, shape=("N", "C", "*S"))  # noqa: E741  # ONNX's name
    Y = Output("T")

    kernel = CudaKernel("kernel.cu", "unpool_bands<{T}>", defines=DEFINES)
    stray_kernel = CudaKernel("kernel.cu", "store_strays<{T}>", defines=DEFINES, overlaps=True)
    clear_kernel = CudaKernel("kernel.cu", "clear_pixels<{T}>", defines=DEFINES)
    whole_kernel = CudaKernel("kernel.cu", "store_all<{T}>", defines=DEFINES, overlaps=True)

    def steps(self) -> tuple[int, ...]:
        """Return the strides, 1 where they are left out."""
        return self.strides or (1,) * len(self.kernel_shape)

    def padding(self) -> tuple[int, ...]:
        """Return the pads, 0 where they are left out."""
        return self.pads or (0,) * 2 * len(self.kernel_shape)

    def check(self, X: TensorDesc, I: TensorDesc) -> None:  # noqa: E741, N803  # ONNX's names
        """Check that attributes are for this rank, and that sizes are in range."""
        problem = wrong_length(self, X, ("kernel_shape", "strides", "output_sizes", "pads"))
        if problem is not None:
            raise InputError(problem, code="axes")
        for axis, size in enumerate(unpooled(self, X.shape[2:])):
            most = self.output_sizes[axis] if self.output_sizes else 2**29
            if known(size) < 1 or known(size) > most:
                raise InputError(
                    f"axis {axis + 2} of {X} becomes {size}; expected 1 to {most}.", code="sizes"
                )

    def output_shapes(self, X: TensorDesc, I: TensorDesc) -> Shape:  # noqa: E741, N803
        """Return the wanted sizes, or those in which the indices count."""
        return (*X.shape[:2], *(self.output_sizes or unpooled(self, X.shape[2:])))

    def workspace_bytes(self, X: TensorDesc, I: TensorDesc) -> int:  # noqa: E741, N803
        """Return room for whether elements belong outside of their band of Y."""
        return note_bytes(self, X)

    def launches(
        self,
        X: TensorDesc,  # noqa: N803
        I: TensorDesc,  # noqa: E741, N803
        Y: TensorDesc,  # noqa: N803
        workspace: Workspace,
    ) -> Sequence[Step]:
        """Return a launch that writes Y, and one for elements outside of their bands."""
        return steps_of(self, X, I, Y, workspace)

    def reference(self, X: np.ndarray, I: np.ndarray) -> np.ndarray:  # noqa: E741, N803
        """Compute the same in numpy."""
        sizes = [known(size) for size in unpooled(self, X.shape[2:])]
        unpooled_y = np.zeros((*X.shape[:2], *sizes), X.dtype)
        if I.size and not 0 <= I.min() <= I.max() < unpooled_y.size:
            raise InputError(
                f"I is {I.min()} to {I.max()}; expected 0 to {unpooled_y.size - 1}.", code="index"
            )
        unpooled_y.reshape(-1)[I.reshape(-1)] = X.reshape(-1)
        after = [
            wanted - size for wanted, size in zip(self.output_sizes or sizes, sizes, strict=True)
        ]
        return np.pad(unpooled_y, [(0, 0), (0, 0), *((0, count) for count in after)])

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield lines to volumes, overlapping windows, indices of other windows, and empty."""
        rng = np.random.default_rng(22)
        halves: dict[str, Any] = {"kernel_shape": (2, 2), "strides": (2, 2)}
        cases: tuple[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...] = (
            ("halves", (2, 3, 5, 8), (10, 16), halves),
            ("larger", (1, 2, 3, 4), (6, 8), {**halves, "output_sizes": (7, 11)}),
            (
                "overlapping",
                (2, 1, 4, 5),
                (7, 9),
                {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
            ),
            ("a_line", (1, 2, 6), (18,), {"kernel_shape": (3,), "strides": (3,)}),
            (
                "a_volume",
                (1, 2, 2, 3, 2),
                (4, 6, 6),
                {"kernel_shape": (2, 2, 3), "strides": (2, 2, 3)},
            ),
            ("one", (1, 1, 1, 1), (1, 1), {"kernel_shape": (1, 1)}),
            ("no_images", (0, 2, 3, 3), (6, 6), halves),
        )
        for name, shape, sizes, attributes in cases:
            for is_stray in (False, True) if name in ("halves", "larger") else (False,):
                x = rng.normal(size=shape).astype(np.float32)
                indices = _places(rng, shape, sizes, attributes, anywhere=is_stray)
                yield Case(name + "_anywhere" * is_stray, [x, indices], attributes)


def _places(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    sizes: tuple[int, ...],
    attributes: dict[str, Any],
    *,
    anywhere: bool,
) -> np.ndarray:
    """Draw different places: one in each window's first or last corner, or all anywhere."""
    total = shape[0] * shape[1] * int(np.prod(sizes))
    if anywhere:
        return rng.permutation(total)[: int(np.prod(shape))].reshape(shape)
    strides = attributes.get("strides", (1,) * len(sizes))
    pads = attributes.get("pads", (0,) * 2 * len(sizes))
    index = np.arange(shape[0] * shape[1]).reshape(*shape[:2], *[1] * len(sizes))
    for axis, size in enumerate(sizes):
        count, pad = shape[axis + 2], pads[axis]
        at = np.arange(count) * strides[axis] - pad
        at = np.clip(at + pad + rng.integers(0, 2, count) * (pad == 0), 0, size - 1)
        index = index * size + at.reshape(-1, *[1] * (len(sizes) - axis - 1))
    return np.broadcast_to(index, shape).astype(np.int64)
