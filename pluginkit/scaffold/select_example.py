"""The example y = x[x > limit], whose output is as long as the data makes it."""

from __future__ import annotations

from string import Template

from pluginkit.scaffold.example_plugin import Example

_MODULE = Template('''"""$name, whose output's length depends on data; kernels in $language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
$imports
from pluginkit.contract.dims import Dim

_BLOCK = 256


class $name(Plugin):
    """Keep what lies above ``limit``: an example that works, to be changed into what you need.

    y = x[x > limit]

    Inputs:      x: (n), $types, linear; n may be dynamic.
    Outputs:     y: (count), dtype of x, in the order of x.
                 count: int32, the size output; at most n.
    Attributes:  limit: float, default 0.0.
    Workspace:   4 bytes for each block of 256 elements.
    Tolerance:   exact.
    """

    # The types that TensorRT may choose from; OUTPUT_TYPES are all that an output may have.
    types = {"T": $types_expression}

    limit: float = attribute(default=0.0, doc="what y lies above")

    x = Input("T", ranks=(1, 1))
    y = Output("T")
    count = SizeOutput()  # kernels write it and TensorRT reads it, which takes IPluginV3

    count_kernel = $declared("$file", "${module}_count$of_T")
    place_kernel = $declared("$file", "${module}_place")
    write_kernel = $declared("$file", "${module}_write$of_T")

    def output_shapes(self, x: TensorDesc) -> tuple[Dim]:
        """As long as the kernels say, and never longer than ``x``; ``count`` itself has none."""
        return (self.count.up_to(x.size),)

    def workspace_bytes(self, x: TensorDesc) -> Dim:
        """A place in ``y``, an int32, for each block."""
        return 4 * ceil_div(x.size, _BLOCK)

    def launches(
        self, x: TensorDesc, y: TensorDesc, count: TensorDesc, workspace: Workspace
    ) -> Sequence[Launch]:
        """Count, place, write: one after the other, each once for each shape of ``x``."""
        blocks = ceil_div(x.size, _BLOCK)
        given = (x, x.size, self.limit)
        return [
            Launch(self.count_kernel, grid=blocks, block=_BLOCK, args=(workspace, *given)),
            Launch(self.place_kernel, grid=1, block=1, args=(count, workspace, blocks)),
            Launch(self.write_kernel, grid=blocks, block=_BLOCK, args=(y, workspace, *given)),
        ]

    def reference(self, x: np.ndarray) -> np.ndarray:
        """What the kernels are compared with; count follows from it."""
        return x[x.astype(np.float32) > np.float32(self.limit)]

    @classmethod
    def cases(cls) -> Iterable[Case]:
        """What checks and benchmarks call it with: none, some and all kept, empty, many blocks."""
        rng = np.random.default_rng(0)
        for name, size, limit in (
            ("some", 35, 0.0),
            ("none", 35, 1e4),
            ("all", 35, -1e4),
            ("size_one", 1, -1e4),
            ("empty", 0, 0.0),
            ("many_blocks", 2709, 0.5),
        ):
            yield Case(name, [rng.normal(size=size).astype(np.float32)], {"limit": limit})
''')

_CUDA = Template("""#include <cuda_bf16.h>
#include <cuda_fp16.h>

// y = x[x > limit] in three launches: a block's place in y is known once those before have counted.

constexpr int MOST_THREADS = 1024;  // of a block, by CUDA's limit

template <typename T> __device__ bool is_kept(const T* x, long long i, long long n, float limit) {
    return i < n && static_cast<float>(x[i]) > limit;
}

// How many of its elements each block keeps.
template <typename T>
__global__ void ${module}_count(int* places, const T* x, long long n, float limit) {
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    const int found = __syncthreads_count(is_kept(x, i, n, limit));
    if (threadIdx.x == 0) places[blockIdx.x] = found;
}

// Where each block begins to write, and how many there are; by one thread, since it is brief.
extern "C" __global__ void ${module}_place(int* count, int* places, long long blocks) {
    int before = 0;
    for (long long block = 0; block < blocks; ++block) {
        const int found = places[block];
        places[block] = before;
        before += found;
    }
    *count = before;
}

template <typename T>
__global__ void ${module}_write(T* y, const int* places, const T* x, long long n, float limit) {
    __shared__ bool kept[MOST_THREADS];
    const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    kept[threadIdx.x] = is_kept(x, i, n, limit);
    __syncthreads();
    int place = places[blockIdx.x];
    for (int other = 0; other < threadIdx.x; ++other) place += kept[other];
    if (kept[threadIdx.x]) y[place] = x[i];
}
""")

_NUMBA = Template('''"""The kernels of $name; only this file imports numba.

y = x[x > limit] in three launches: a block's place in y is known once those before have counted.
The workspace arrives as bytes, and holds an int32 for each block.
"""

import numpy as np
from numba import cuda

_MOST_THREADS = 1024  # of a block, by CUDA's limit


def ${module}_count(workspace, x, n, limit):
    """How many of its elements each block keeps."""
    places = workspace.view(np.int32)
    i = cuda.grid(1)
    found = cuda.syncthreads_count(np.int32(i < n and np.float32(x[i]) > limit))
    if cuda.threadIdx.x == 0:
        places[cuda.blockIdx.x] = found


def ${module}_place(count, workspace, blocks):
    """Where each block begins to write, and how many there are; one thread, since it is brief."""
    places = workspace.view(np.int32)
    before = 0
    for block in range(blocks):
        found = places[block]
        places[block] = before
        before += found
    count[()] = before


def ${module}_write(y, workspace, x, n, limit):
    """Each block's elements, in their order."""
    places = workspace.view(np.int32)
    kept = cuda.shared.array(_MOST_THREADS, np.int32)
    thread = cuda.threadIdx.x
    i = cuda.grid(1)
    kept[thread] = i < n and np.float32(x[i]) > limit
    cuda.syncthreads()
    place = places[cuda.blockIdx.x]
    for other in range(thread):
        place += kept[other]
    if kept[thread]:
        y[place] = x[i]
''')

_TEST = Template('''

def test_the_numbers():
    """What the plugin computes, by hand."""
    y, _ = run_reference($name(limit=1.0), [np.array([3, -1, 1, 2], np.float32)])
    assert y.tolist() == [3, 2]
''')

SELECT = Example(
    _MODULE,
    _CUDA,
    _NUMBA,
    _TEST,
    (
        "Case",
        "Input",
        "Launch",
        "Output",
        "Plugin",
        "SizeOutput",
        "TensorDesc",
        "Workspace",
        "attribute",
        "ceil_div",
    ),
)
