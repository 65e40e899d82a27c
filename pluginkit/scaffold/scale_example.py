"""The example y = factor * x."""

from __future__ import annotations

from string import Template

from pluginkit.scaffold.example_plugin import Example

_MODULE = Template('''"""$name, with its kernel in $language."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
$imports

_BLOCK = 256


class $name(Plugin):
    """Multiply ``x`` by ``factor``: an example that works, to be changed into what you need.

    y = factor * x

    Inputs:      x: $types, linear; any dimension dynamic.
    Outputs:     y: the shape and dtype of x.
    Attributes:  factor: float, default 1.0.
    Workspace:   none.
    Tolerance:   $tolerances.
    """

    # The types that TensorRT may choose from; OUTPUT_TYPES are all that an output may have.
    types = {"T": $types_expression}
    # The largest error against the reference, relative to max(1, y); without an entry it is 0.
    tolerance = {$tolerance}

    factor: float = attribute(default=1.0, doc="what x is multiplied by")

    x = Input("T")
    y = Output("T", like="x")  # for another shape, leave like out and define output_shapes

    kernel = $declared("$file", "${module}_kernel$of_T")

    def launches(self, x: TensorDesc, y: TensorDesc) -> Launch:
        """One thread for each element; called once for each shape."""
        args = ($args, self.factor)
        return Launch(self.kernel, grid=ceil_div(x.size, _BLOCK), block=_BLOCK, args=args)

    def reference(self, x: np.ndarray) -> np.ndarray:
        """What the kernel is compared with: in float32, rounded once."""
        return (x.astype(np.float32) * np.float32(self.factor)).astype(x.dtype)

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """What checks and benchmarks call it with: odd, empty and size-1 shapes, many blocks."""
        rng = np.random.default_rng(0)
        for name, shape in (
            ("matrix", (5, 7)),
            ("scalar", ()),
            ("size_one", (1, 1, 1)),
            ("empty", (0, 3)),
            ("many_blocks", (3, 7, 129)),
        ):
            yield Case(name, [rng.normal(size=shape).astype(np.float32)], {"factor": 2.5})
''')

_CUDA = Template("""#include <cuda_bf16.h>
#include <cuda_fp16.h>

// y = factor * x, one thread for each of n elements.
template <typename T>
__global__ void ${module}_kernel(T* y, const T* x, long long n, float factor) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    if (i < n) y[i] = static_cast<T>(static_cast<float>(x[i]) * factor);
}
""")

_NUMBA = Template('''"""The kernel of $name; only this file imports numba."""

import numpy as np
from numba import cuda


def ${module}_kernel(y, x, factor):
    """Y = factor * x, one thread for each element; arrays have the shapes that launches gives."""
    i = cuda.grid(1)
    if i < x.size:
        y[i] = np.float32(x[i]) * factor
''')

_TEST = Template('''

def test_the_numbers():
    """What the plugin computes, by hand."""
    (y,) = run_reference($name(factor=2.0), [np.array([1, -2], np.float32)])
    assert y.tolist() == [2, -4]
''')

SCALE = Example(
    _MODULE,
    _CUDA,
    _NUMBA,
    _TEST,
    ("Case", "Input", "Launch", "Output", "Plugin", "TensorDesc", "attribute", "ceil_div"),
    words={
        "cuda": {
            "tolerances": "float32 1e-6, float16 1e-3, bfloat16 8e-3",
            "tolerance": "float32: 1e-6, float16: 1e-3, bfloat16: 8e-3",
            "args": "y, x, x.size",
        },
        "numba": {
            "tolerances": "float32 1e-6, float16 1e-3",
            "tolerance": "float32: 1e-6, float16: 1e-3",
            "args": "y.reshape(y.size), x.reshape(x.size)",
        },
    },
    also_imported={"cuda": ("bfloat16", "float16", "float32")},
)
