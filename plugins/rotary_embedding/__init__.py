"""RotaryEmbedding, the rotations by which transformers tell positions, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    FLOAT_TYPES,
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
    ceil_div,
    float16,
    float32,
    int32,
    known,
)

#: The threads of a block, and how many blocks of them the registers must suffice for.
_THREADS, _BLOCKS = 128, 7
#: The bytes of a vector: the most that divide the parts of a row. If x has fewer bytes than the
#: last number, a GPU has threads to spare: vectors have at most as many elements as the second
#: number, and a thread takes one head.
_BYTES, _FEW_ELEMENTS, _FEW = (16, 8, 4), 2, 2**20
#: The most blocks in the second and third dimension of a grid, and threads in the third of a block.
_MOST_BLOCKS, _MOST_LAYERS = 65535, 64


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
        "rotate<{T}, {BYTES}, {HEADS}, {ONCE}, {interleaved}, {whole}>",
        {"BYTES": (*_BYTES, 0), "HEADS": (1, 2, 4, 8), "ONCE": (False, True)},
        defines={"THREADS": _THREADS, "BLOCKS": _BLOCKS},
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
        items, heads, length, size = map(known, x.shape)
        width = known(cos.shape[-1])
        rotated = width if self.whole else 2 * width
        is_few, vectors = known(x.nbytes) < _FEW, 1 if self.interleaved else 2
        itemsize = x.dtype.itemsize

        def divides(nbytes: int) -> bool:
            count = nbytes // itemsize
            is_offered = count > 1 and not (is_few and count > _FEW_ELEMENTS)
            return is_offered and rotated % (vectors * count) == 0 and size % count == 0

        width_bytes = next(filter(divides, _BYTES), 0)
        elements, each = width_bytes // itemsize, vectors * _BYTES[0] // max(width_bytes, 1)
        if width_bytes == 0:
            elements, vectors, each = 1, 2, _BYTES[0] // itemsize
        turned = rotated // (vectors * elements)
        units = turned + (size - rotated) // elements
        if is_few:
            each = 1
        lanes = max(min(units, _THREADS), 1)
        places = max(min(_THREADS // lanes, length), 1)
        layers = min(_THREADS // (lanes * places), ceil_div(heads, each), _MOST_LAYERS)
        layers = max(layers, 1)
        blocks = ceil_div(heads, each * layers)
        once = units <= lanes and max(blocks, items) <= _MOST_BLOCKS
        return Launch(
            self.kernel,
            grid=(ceil_div(length, places), *(min(n, _MOST_BLOCKS) for n in (blocks, items))),
            block=(lanes, places, layers),
            args=(y, x, cos, sin, *map(int32, (*x.shape, rotated, turned, units))),
            constants={"BYTES": width_bytes, "HEADS": each, "ONCE": once},
        )

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
