"""SwiGLU, the gate of Llama's and many other feed-forward layers, in CUDA C++."""

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
    Shape,
    TensorDesc,
    bfloat16,
    ceil_div,
    float16,
    float32,
    known,
    offset_type,
)
from pluginkit.plugins._cuda.division import divisor_of

_THREADS = 256
#: The vectors of a row from which on they are read where they lie, if they are not aligned.
_LONG = 16
#: The elements that a thread takes of rows of one.
_SPREAD = 8
#: The bytes of a vector. If y has fewer bytes than the last number, a GPU has threads to spare, of
#: which each takes one element.
_BYTES, _FEW = 16, 2**18


class SwiGLU(Plugin):
    """Multiply ``up`` by the SiLU of ``gate``.

    y = gate * sigmoid(gate) * up

    Without ``up`` the last axis of ``gate`` has both: its first half is the gate, the second half
    is multiplied, as one product of matrices gives them. Computed in float32 and rounded once.

    Inputs:      gate: rank 1 to 8, float32 | float16 | bfloat16, linear; any dimension dynamic.
                 up: the shape and dtype of gate; absent: the second half of gate.
    Outputs:     y: the shape of gate, or half its last axis; dtype of gate.
    Attributes:  none.      Workspace:   none.
    Tolerance:   float32 5e-6, float16 1e-3, bfloat16 8e-3, relative to max(1, y).
    Errors:      odd: the last axis has no two halves. shapes: up has another shape than gate.
    Source:      Llama's and Phi-3's MLP in transformers.
    """

    types = {"T": FLOAT_TYPES}
    tolerance = {float32: 5e-6, float16: 1e-3, bfloat16: 8e-3}

    gate = Input("T", ranks=(1, 8))
    up = Input("T", ranks=(1, 8), optional=True)
    y = Output("T")

    kernel = CudaKernel(
        "kernel.cu",
        "swi_glu<{T}, {OFFSET}, {HALVES}, {BYTES}, {ALIGNED}>",
        {
            "OFFSET": OFFSETS,
            "HALVES": (False, True),
            "BYTES": (0, 1, _BYTES),
            "ALIGNED": (False, True),
        },
        defines={"THREADS": _THREADS, "LONG": _LONG, "SPREAD": _SPREAD},
    )

    def check(self, gate: TensorDesc, up: TensorDesc | None) -> None:
        """Check that up has the shape of gate, or that gate has two halves."""
        if up is None and gate.shape[-1] % 2 == 1:
            raise InputError(f"{gate} and no up; expected a last axis of two halves.", code="odd")
        if up is not None and up.shape != gate.shape:
            raise InputError(f"{gate}, {up}; expected one shape.", code="shapes")

    def output_shapes(self, gate: TensorDesc, up: TensorDesc | None) -> Shape:
        """Return the shape of gate, or half its last axis."""
        return gate.shape if up is not None else (*gate.shape[:-1], gate.shape[-1] // 2)

    def launches(self, gate: TensorDesc, up: TensorDesc | None, y: TensorDesc) -> Launch:
        """Return one launch; a pair of tensors is one row."""
        elements = known(y.size)
        size = elements if up is not None else known(y.shape[-1])
        is_few = known(y.nbytes) < _FEW
        width, each = (1, 1) if is_few else (_BYTES, _BYTES // gate.dtype.itemsize)
        if size == 1 and elements > 1 and not is_few:
            width, each = 0, _SPREAD
        offset = offset_type(gate.size)
        return Launch(
            self.kernel,
            ceil_div(elements, _THREADS * each),
            _THREADS,
            (y, gate, up, divisor_of(size), offset(elements)),
            constants={
                "OFFSET": offset.cpp,
                "HALVES": elements > size,
                "BYTES": width,
                "ALIGNED": up is not None or size % each == 0,
            },
        )

    def reference(self, gate: np.ndarray, up: np.ndarray | None) -> np.ndarray:
        """Compute in float64."""
        first, second = np.split(gate, 2, axis=-1) if up is None else (gate, up)
        wide = first.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            y: np.ndarray = wide / (1 + np.exp(-wide)) * second.astype(np.float64)
            return y.astype(gate.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """Yield pairs and halves: whole vectors, odd widths, one row, more than a block, empty."""
        rng = np.random.default_rng(29)
        for name, shape, is_pair in (
            ("pair", (3, 5, 64), True),
            ("odd_pair", (7, 33), True),
            ("several_blocks", (2, 4099), True),
            ("halves", (3, 5, 128), False),
            ("odd_halves", (7, 66), False),
            ("one_row", (1, 9000), False),
            ("a_vector", (6,), False),
            ("no_rows", (0, 8), False),
            ("empty_rows", (3, 0), True),
        ):
            arrays = [rng.uniform(-6, 6, shape).astype(np.float32) for _ in range(1 + is_pair)]
            yield Case(name, arrays if is_pair else [*arrays, None])
