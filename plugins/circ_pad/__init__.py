"""CircPad: wrap padding of the last axes, in numba.cuda."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pluginkit import (
    OUTPUT_TYPES,
    Case,
    Dim,
    Input,
    InputError,
    Launch,
    NumbaKernel,
    Output,
    Plugin,
    TensorDesc,
    attribute,
    ceil_div,
    dim_max,
    int64,
    product,
    where,
)

_BLOCK = 256
#: The elements that a thread writes where there are many: so many loads are on their way at once.
AT_ONCE, _MANY = 4, 2**20


def _reciprocal(size: Dim) -> Dim:
    """Return how often a size goes into 2^32 - 1; of 0, by which nothing is divided, that of 1."""
    return (2**32 - 1) // dim_max(size, 1)


def _complaint(pads: tuple[int, ...]) -> str | None:
    if not pads or len(pads) % 2:
        return "expected a begin and an end for each of the last axes, an even number of pads"
    if min(pads) < 0:
        return "expected no negative pad"
    return None


class CircPad(Plugin):
    """Pad the last axes of ``x`` with wrapped values.

    y[..., i, j] = x[..., (i - begin_i) mod H, (j - begin_j) mod W]

    A pad may exceed its axis: the values then repeat.

    Inputs:      x: rank 1 to 8, float32 | float16 | bfloat16 | int64 | int32 | int8, linear;
                 any dimension dynamic.
    Outputs:     y: x's shape, each of the last k axes larger by its begin and end; dtype of x.
    Attributes:  pads: int[2 k], >= 0, required; the begins of the last k axes, then their ends,
                 which is ONNX Pad's order.
    Workspace:   none.      Tolerance: exact.
    Errors:      PK104 pads is not int[2 k] or is negative. rank: x has fewer than k axes.
                 empty: an axis to pad is empty.
    Source:      numpy.pad(mode="wrap"); ONNX Pad-19, mode="wrap", which takes its pads as an input.
    """

    types = {"T": OUTPUT_TYPES}

    pads: tuple[int, ...] = attribute(check=_complaint, doc="begins of the last axes, then ends")

    x = Input("T", ranks=(1, 8))
    y = Output("T")

    kernel = NumbaKernel("kernel.py", "circ_pad")
    wide_kernel = NumbaKernel("kernel.py", "circ_pad_wide")

    @property
    def _axes(self) -> int:
        return len(self.pads) // 2

    @property
    def _begins(self) -> tuple[int, ...]:
        return self.pads[: self._axes]

    @property
    def _ends(self) -> tuple[int, ...]:
        return self.pads[self._axes :]

    def check(self, x: TensorDesc) -> None:
        """Check that x has an axis for every pad, and that no axis to pad is empty."""
        if x.ndim < self._axes:
            raise InputError(f"{x} has {x.ndim} axes; pads is for {self._axes}.", code="rank")
        for size, begin, end in zip(x.shape[-self._axes :], self._begins, self._ends, strict=True):
            if begin + end and isinstance(size, int) and size == 0:
                raise InputError(f"{x} has an empty axis, with nothing to wrap.", code="empty")

    def output_shapes(self, x: TensorDesc) -> tuple[Dim, ...]:
        """Return x's shape with each padded axis longer by its begin and its end."""
        padded = zip(x.shape[-self._axes :], self._begins, self._ends, strict=True)
        return *x.shape[: -self._axes], *(size + begin + end for size, begin, end in padded)

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch:
        """Return one launch, whose threads write an element of ``y`` each, or some of many."""
        x_sizes, y_sizes, shifts = self._dims(x, y)
        is_wide = 2 * y.size >= 2**32  # the kernel adds a shift before it takes the remainder
        at_once = where(y.size >= _MANY, AT_ONCE, 1)
        return Launch(
            self.wide_kernel if is_wide else self.kernel,
            grid=ceil_div(y.size, _BLOCK * at_once),
            block=_BLOCK,
            args=(
                x.reshape(x.size),
                y.reshape(y.size),
                *map(int64, (x_sizes, y_sizes, shifts)),
                *(int64(tuple(map(_reciprocal, sizes))) for sizes in (x_sizes, y_sizes)),
            ),
        )

    def _dims(self, x: TensorDesc, y: TensorDesc) -> tuple[tuple[Dim, ...], ...]:
        """Return the sizes of x and of y, and the shifts, of each dimension from the first padded.

        All before it are one dimension, whose shift is 0.
        """
        pads = list(zip(self._begins, self._ends, strict=True))
        unpadded = next((axis for axis, pad in enumerate(pads) if any(pad)), len(pads) - 1)
        axis = x.ndim - len(pads) + unpadded
        begins = zip(x.shape[axis:], self._begins[unpadded:], strict=True)
        shifts = [-begin % max(size, 1) for size, begin in begins]
        outer = product(x.shape[:axis])
        return (outer, *x.shape[axis:]), (outer, *y.shape[axis:]), (0, *shifts)

    def reference(self, x: np.ndarray) -> np.ndarray:
        """Compute the same in numpy."""
        unpadded = [(0, 0)] * (x.ndim - self._axes)
        return np.pad(x, unpadded + list(zip(self._begins, self._ends, strict=True)), mode="wrap")

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield odd sizes, one to four padded axes, pads beyond an axis, empty and size-1 axes."""
        rng = np.random.default_rng(20)
        for name, shape, pads in (
            ("image", (2, 3, 16, 20), (1, 2, 3, 4)),
            ("vector", (7,), (3, 2)),
            ("no_pads", (3, 5), (0, 0, 0, 0)),
            ("one_side", (2, 9), (4, 0)),
            ("beyond_axis", (2, 3, 5), (7, 11, 4, 23)),
            ("size_one", (1, 1, 1), (2, 3, 1, 0)),
            ("odd", (3, 17, 31), (5, 1, 0, 13)),
            ("all_axes", (2, 3, 4, 5), (1, 0, 2, 1, 0, 2, 1, 3)),
            ("rank_eight", (1, 2, 1, 3, 1, 2, 3, 5), (1, 2, 2, 1)),
            ("empty_batch", (0, 3, 4), (1, 1)),
            ("empty_axis_unpadded", (2, 0, 4), (0, 1, 0, 1)),
            ("many_blocks", (5, 67, 129), (2, 3, 4, 5)),
        ):
            yield Case(name, [(rng.normal(size=shape) * 8).astype(np.float32)], {"pads": pads})
