"""RandomNumbers, uniform and normal, from a seed or new in every run, in CUDA C++."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Input,
    InputError,
    Launch,
    Output,
    Plugin,
    Shape,
    ShapeInput,
    TensorDesc,
    attribute,
    ceil_div,
    float32,
    int64,
    known,
)
from pluginkit.plugins.random_numbers.reference import Distribution, random_numbers

_THREADS = 128
#: How many vectors of four numbers a thread makes: of fewer numbers than the last one, one.
_VECTORS, _FEW = 4, 2**19


class RandomNumbers(Plugin):
    """Draw random numbers with the counter-based generator Philox 4x32-10.

    y[i] = number[i] * affine[0] + affine[1]

    Uniform numbers are the multiples of 2^-24 from 0 to 1, without 1; normal ones have mean 0 and
    standard deviation 1. With a seed the key is the seed, and words 4i to 4i + 3 are Philox of the
    counter (i, 0, 0, 0): every run gives the same numbers, on every GPU. Without a seed each run
    gives other numbers, also when a CUDA graph is launched again: counter and key have the cycle in
    which a warp begins, the place on the GPU that it has then, and the time.

    Inputs:      affine: (2,) float32, what numbers are multiplied by, and what is added then.
                 count: int64[1], a shape input, how many numbers.
    Outputs:     y: (count,) float32.
    Attributes:  seed: int | None, default None: other numbers in every run.
                 distribution: "uniform" | "normal", default "uniform".
    Workspace:   none.
    Tolerance:   1e-5, relative to max(1, y); uniform numbers are exact.
    Errors:      count: it is negative.
    Source:      ONNX RandomUniform-22 and RandomNormal-22, of float32; Random123's philox4x32.
    """

    tolerance = {float32: 1e-5}

    seed: int | None = attribute(default=None, doc="the key; without one, runs differ")
    distribution: Distribution = attribute(default="uniform", doc="how numbers are distributed")

    affine = Input(float32, shape=(2,))
    count = ShapeInput()
    y = Output(float32)

    kernel = CudaKernel(
        "kernel.cu",
        "random_numbers<Distribution::{distribution}, {VECTORS}, {SEEDED}>",
        {"VECTORS": (1, _VECTORS), "SEEDED": (False, True)},
        defines={"Distribution": Distribution, "THREADS": _THREADS},
    )

    def check(self, affine: TensorDesc, count: TensorDesc) -> None:
        """Check that the count is none or more."""
        if count.values[0] < 0:
            raise InputError(f"count is {count.values[0]}; expected 0 or more.", code="count")

    def output_shapes(self, affine: TensorDesc, count: TensorDesc) -> Shape:
        """Return the count."""
        return count.values

    def launches(self, affine: TensorDesc, count: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch; each thread makes a few vectors of four numbers."""
        numbers = known(y.size)
        vectors = 1 if numbers < _FEW else _VECTORS
        seed = 0 if self.seed is None else self.seed
        return Launch(
            self.kernel,
            grid=ceil_div(numbers, _THREADS * vectors * 4),
            block=_THREADS,
            args=(y, affine, int64(numbers), int64(seed)),
            constants={"VECTORS": vectors, "SEEDED": self.seed is not None},
        )

    def reference(self, affine: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Compute the same in numpy; without a seed as with the seed 0."""
        drawn = random_numbers(int(count.item()), self.seed or 0, self.distribution)
        with np.errstate(all="ignore"):
            y: np.ndarray = drawn * affine[0] + affine[1]
            return y

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield seeded numbers: both distributions, whole and cut vectors, several blocks, none."""
        for name, count, affine, attributes in (
            ("uniform", 1000, (1, 0), {"seed": 7}),
            ("normal", 1001, (1, 0), {"seed": 7, "distribution": "normal"}),
            ("placed", 4098, (4, -1.5), {"seed": -3}),
            ("placed_normal", 5003, (0.25, 2), {"seed": 2**40 + 1, "distribution": "normal"}),
            ("one", 1, (1, 0), {"seed": 0}),
            ("none", 0, (1, 0), {"seed": 1}),
        ):
            yield Case(name, [np.array(affine, np.float32), np.array([count])], attributes)
