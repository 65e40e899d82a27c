"""Col2Im, images summed from overlapping blocks, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    Case,
    CudaKernel,
    Dim,
    Input,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    bfloat16,
    ceil_div,
    float16,
    float32,
    int64,
    product,
)
from pluginkit.plugins.col2im.blocks import axes_of, blocks_of, check_blocks, padding, sizes

_THREADS = 256


class Col2Im(Plugin):
    """Sum overlapping blocks into an image, which torch calls fold.

    y[n, c, i, j] = sum of the elements of all blocks of x[n] that lie on pixel (i, j) of channel c

    Blocks begin every ``strides`` pixels of the padded image, as many as fit, row by row. Sums are
    computed in float32, in the order of the elements of a block.

    Inputs:      x: (N, C * block_shape[0] * block_shape[1], L), float32 | float16 | bfloat16,
                 linear; any dimension dynamic; L is the number of blocks.
    Outputs:     y: (N, C, *image_shape), dtype of x.
    Attributes:  image_shape, block_shape: int[2], 1 to 2^24, required.
                 dilations, strides: int[2], 1 to 2^24, default 1.
                 pads: int[4], 0 to 2^24, default 0; the begins of both axes, then their ends.
    Workspace:   none.
    Tolerance:   float32 1e-5, float16 2e-3, bfloat16 1.6e-2, relative to max(1, y).
    Errors:      PK104 an attribute is out of its range. blocks: no block fits into the image, or L
                 is another number. channels: x's rows are no whole number of blocks.
    Source:      ONNX Col2Im-18 with two spatial axes, whose shapes are stored in the model.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 1e-5, float16: 2e-3, bfloat16: 1.6e-2}

    image_shape: tuple[int, ...] = attribute(check=sizes, doc="the sizes of the image")
    block_shape: tuple[int, ...] = attribute(check=sizes, doc="the sizes of a block")
    dilations: tuple[int, ...] = attribute(
        default=(1, 1), check=sizes, doc="pixels from an element of a block to the next"
    )
    strides: tuple[int, ...] = attribute(
        default=(1, 1), check=sizes, doc="pixels from a block to the next"
    )
    pads: tuple[int, ...] = attribute(
        default=(0, 0, 0, 0), check=padding, doc="pixels around the image: both begins, both ends"
    )

    x = Input("T", ranks=(3, 3))
    y = Output("T")

    kernel = CudaKernel("kernel.cu", "col2im<{T}>", defines={"THREADS": _THREADS})

    def check(self, x: TensorDesc) -> None:
        """Check that blocks fit into the image, and that x has that many."""
        check_blocks(self, x)

    def output_shapes(self, x: TensorDesc) -> tuple[Dim, ...]:
        """Return the batch, the channels and the image's sizes."""
        return x.shape[0], x.shape[1] // product(self.block_shape), *self.image_shape

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch with a thread for each pixel."""
        grid = ceil_div(y.size, _THREADS)
        return Launch(self.kernel, grid, _THREADS, (y, x, axes_of(self), int64(y.size)))

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        (high, wide), (top, left, bottom, right) = self.image_shape, self.pads
        counts = blocks_of(self)
        channels = x.shape[1] // product(self.block_shape)
        blocks = x.astype(np.float32).reshape(len(x), channels, *self.block_shape, *counts)
        padded = np.zeros((len(x), channels, high + top + bottom, wide + left + right), np.float32)
        for i, j in np.ndindex(*self.block_shape):
            rows, columns = (
                slice(at * self.dilations[axis], None, self.strides[axis])
                for axis, at in enumerate((i, j))
            )
            padded[:, :, rows, columns][:, :, : counts[0], : counts[1]] += blocks[:, :, i, j]
        return padded[:, :, top : top + high, left : left + wide].astype(x.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield overlapping, separate and dilated blocks, padding, and what is empty."""
        rng = np.random.default_rng(18)
        for name, shape, attributes in (
            ("overlapping", (2, 27, 80), {"image_shape": (10, 12), "block_shape": (3, 3)}),
            (
                "apart",
                (1, 8, 12),
                {"image_shape": (7, 8), "block_shape": (2, 2), "strides": (2, 2)},
            ),
            (
                "dilated_and_padded",
                (2, 12, 30),
                {
                    **{"image_shape": (6, 7), "block_shape": (2, 3), "dilations": (2, 1)},
                    **{"strides": (1, 2), "pads": (1, 2, 1, 3)},
                },
            ),
            ("many_pixels", (1, 4, 899), {"image_shape": (30, 32), "block_shape": (2, 2)}),
            ("one_pixel", (3, 1, 1), {"image_shape": (1, 1), "block_shape": (1, 1)}),
            ("no_images", (0, 4, 4), {"image_shape": (3, 3), "block_shape": (2, 2)}),
            ("no_channels", (2, 0, 4), {"image_shape": (3, 3), "block_shape": (2, 2)}),
        ):
            yield Case(name, [rng.normal(size=shape).astype(np.float32)], attributes)
