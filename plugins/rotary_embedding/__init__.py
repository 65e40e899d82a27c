"""RotaryEmbedding, the rotations by which transformers tell positions, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
    OFFSETS,
    Case,
    CudaKernel,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    bfloat16,
    float16,
    float32,
)
from pluginkit.plugins.rotary_embedding.launches import BYTES, DEFINES, PARTS, launch_of


class RotaryEmbedding(Plugin):
    """Rotate pairs of elements of each head by the angles of its position.

    y[i] = x[i] * cos[i] - x[j] * sin[i];  y[j] = x[j] * cos[j] + x[i] * sin[j]

    The first ``R`` elements of the last axis are rotated, where the tables have R or R / 2 columns;
    others are copied. The pairs (i, j) are (k, R / 2 + k) or, ``interleaved``, (2 k, 2 k + 1); k is
    the column of a table of R / 2. Computed in float32 and rounded once.

    Inputs:      x: (N, H, S, D), float32 | float16 | bfloat16, linear; any dimension dynamic: H
                 heads of S positions.
                 cos: (N, S, W), dtype of x. sin: the same. Where all items share one table,
                 x is (1, N * H, S, D).
    Outputs:     y: the shape and dtype of x.
    Attributes:  interleaved: bool, default false.
                 whole: bool, default true: whether W is R, else R / 2.
    Workspace:   none.
    Tolerance:   float32 2e-6, float16 1e-3, bfloat16 8e-3, relative to max(1, y).
    Errors:      PK124 cos and sin differ, or have other positions. shapes: they do not fit x. size:
                 there are 2^31 rows or more.
    Source:      ONNX RotaryEmbedding-23 with tables of each position; rotate_half of transformers.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 2e-6, float16: 1e-3, bfloat16: 8e-3}

    interleaved: bool = attribute(default=False, doc="whether the elements of pairs are adjacent")
    whole: bool = attribute(default=True, doc="whether tables have a column for each element")

    x = Input("T", shape=("N", "H", "S", "D"))
    cos = Input("T", shape=("N", "S", "W"))
    sin = Input("T", shape=("N", "S", "W"))
    y = Output("T", like="x")

    kernel = CudaKernel(
        "kernel.cu",
        "rotate<{T}, {OFFSET}, {FEW}, {BYTES}, {PARTS}, {UNITS}, {HEADS}, {REST}, {interleaved}, "
        "{whole}>",
        {
            "OFFSET": OFFSETS,
            "FEW": (False, True),
            "BYTES": BYTES,
            "PARTS": PARTS,
            "UNITS": (1, 2),
            "HEADS": (1, 2, 4, 8),
            "REST": (False, True),
        },
        defines=DEFINES,
    )

    def check(self, x: TensorDesc, cos: TensorDesc, sin: TensorDesc) -> None:
        """Check that tables fit x, and that rows are counted in 32 bits."""
        columns = cos.shape[-1] if self.whole else 2 * cos.shape[-1]
        if columns % 2 == 1 or columns > x.shape[3]:
            raise InputError(f"{x}, {cos}; expected columns for pairs of a row.", code="shapes")
        if x.shape[0] * x.shape[1] * x.shape[2] >= 2**31:
            raise InputError(f"{x}; expected fewer than 2^31 rows.", code="size")

    def launches(self, x: TensorDesc, cos: TensorDesc, sin: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch; a thread takes a part of several heads."""
        return launch_of(self, x, cos, sin, y)

    def reference(self, x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Compute in float64."""
        rotated = cos.shape[-1] * (1 if self.whole else 2)
        pairs = np.arange(rotated).reshape(2, -1)
        first, second = pairs.reshape(-1, 2).T if self.interleaved else pairs
        wide = x.astype(np.float64)
        of_first, of_second = (first, second) if self.whole else (slice(None), slice(None))
        c, s = (each.astype(np.float64)[:, None] for each in (cos, sin))
        y = wide.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            real, imaginary = wide[..., first], wide[..., second]
            y[..., first] = real * c[..., of_first] - imaginary * s[..., of_first]
            y[..., second] = imaginary * c[..., of_second] + real * s[..., of_second]
            return y.astype(x.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield both kinds of pairs and tables, parts of a row, odd sizes, and empty."""
        rng = np.random.default_rng(31)
        for name, shape, tables, attributes in (
            ("llama", (1, 10, 7, 64), (1, 7, 64), {}),
            ("halves", (2, 7, 3, 32), (2, 3, 16), {"whole": False}),
            ("interleaved", (1, 6, 5, 32), (1, 5, 16), {"whole": False, "interleaved": True}),
            ("interleaved_whole", (2, 3, 5, 16), (2, 5, 16), {"interleaved": True}),
            ("partial", (2, 4, 5, 80), (2, 5, 32), {}),
            ("odd", (1, 9, 3, 7), (1, 3, 3), {"whole": False}),
            ("one_row", (1, 1, 1, 2), (1, 1, 2), {}),
            ("heads_of_a_pair", (1, 130, 1, 2), (1, 1, 2), {}),
            ("long_rows", (1, 2, 2, 1100), (1, 2, 1100), {}),
            ("no_rows", (2, 0, 4, 8), (2, 4, 8), {}),
        ):
            arrays = [rng.uniform(-2, 2, shape), *rng.uniform(-1, 1, (2, *tables))]
            yield Case(name, [each.astype(np.float32) for each in arrays], attributes)
