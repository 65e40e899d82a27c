"""Races between blocks alone, and publication without a fence."""

from __future__ import annotations

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Fill,
    Input,
    Launch,
    Output,
    Plugin,
    ceil_div,
    float32,
    int32,
)
from tests.plugincheck.planted_bugs.corpus import (
    BLOCK,
    Doubled,
    Total,
    blocks_for,
    cuda,
    line,
    planted,
    refuse_empty,
)

_BLOCK_SUM = """
__device__ float block_sum(const float* x, int n) {
    __shared__ float sums[128];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    sums[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    return sums[0];
}
"""


@planted("race")
class BlockSumsAddedWithoutAtomics(Total):
    """The first thread of each block adds to y[0]: right with one block."""

    kernel = cuda(
        _BLOCK_SUM
        + """
    __global__ void total(float* y, const float* x, int n) {
        float sum = block_sum(x, n);
        if (threadIdx.x == 0) y[0] += sum;
    }
    """
    )


@planted("race")
class LargestKeptWithoutAtomics(Total):
    """Compare and store in two steps: another block's larger value can be lost."""

    kernel = cuda("""
    __global__ void largest(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n && x[i] > y[0]) y[0] = x[i];
    }
    """)

    def check(self, x):
        refuse_empty(x)

    def reference(self, x):
        return x.max(keepdims=True)


@planted("race")
class NeighbourBlocksElementRead(Doubled):
    """Each thread reads what the next one wrote in the same launch; the last, another block's."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, float* staged, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) staged[i] = x[i];
        __syncthreads();
        if (i < n) y[i] = x[i] + staged[i + 1 < n ? i + 1 : i] - (i + 1 < n ? 1.0f : 0.0f);
    }
    """)

    def workspace_bytes(self, x):
        return x.nbytes

    def launches(self, x, y, workspace):
        args = (y, x, workspace, int32(x.size))
        return Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)


@planted("race")
class BlocksOverlapByOne(Doubled):
    """Every block writes one element more than is its own, with another value."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int begin = blockIdx.x * 128;
        for (int k = threadIdx.x; k <= 128; k += blockDim.x)
            if (begin + k < n) y[begin + k] = 2.0f * x[begin + k] + (k == 128 ? 1.0f : 0.0f);
    }
    """)


@planted("race")
class RepeatedIndicesStored(Plugin):
    """A scatter that should add stores in two steps, and indices repeat."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    indices = Input("I", ranks=(1, 1))
    y = Output("T")
    kernel = cuda("""
    __global__ void scatter_add(float* y, const float* x, const int* indices, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[indices[i]] += x[i];
    }
    """)

    def output_shapes(self, x, indices):
        return (16,)

    def launches(self, x, indices, y):
        args = (y, x, indices, int32(x.size))
        return Fill(y, 0), Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x, indices):
        sums = np.zeros(16, np.float32)
        np.add.at(sums, indices, x)
        return sums

    @classmethod
    def cases(cls):
        yield Case("repeated", [line(300), (np.arange(300) % 16).astype(np.int32)])


class LastBlock(Total, abstract=True):
    """Block sums in the workspace; the block that counts itself last adds them up."""

    def workspace_bytes(self, x):
        return 4 + 4 * blocks_for(x)

    def launches(self, x, y, workspace):
        counter, sums = workspace.first(4), workspace.at(4)
        args = (y, x, counter, sums, int32(x.size))
        return Fill(counter, 0), Launch(self.kernel, blocks_for(x), BLOCK, args)


LAST_BLOCK = (
    _BLOCK_SUM
    + """
__global__ void total(float* y, const float* x, unsigned* counter, %(sums)s float* sums, int n) {
    __shared__ bool is_last;
    float sum = block_sum(x, n);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = sum;
        %(fence)s
        is_last = %(count)s == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == 0) {
        %(fence)s
        float all = 0.0f;
        for (unsigned b = 0; b < gridDim.x; ++b) all += sums[b];
        y[0] = all;
    }
}
"""
)


@planted("race")
class LastBlockWithoutFence(LastBlock):
    """No ``__threadfence`` between a block's sum and its count: the last block may not see it."""

    kernel = cuda(LAST_BLOCK % {"sums": "", "fence": "", "count": "atomicAdd(counter, 1u)"})


@planted("race")
class LastBlockCountedWithoutAtomics(LastBlock):
    """The counter is read and written in two steps."""

    kernel = cuda(LAST_BLOCK % {"sums": "", "fence": "__threadfence();", "count": "(*counter)++"})


@planted("race")
class LastBlockWithFenceOfTheBlock(LastBlock):
    """``__threadfence_block`` publishes to the block alone."""

    kernel = cuda(
        LAST_BLOCK
        % {"sums": "", "fence": "__threadfence_block();", "count": "atomicAdd(counter, 1u)"}
    )


class Chain(Doubled, abstract=True):
    """Each block waits for the flag of the one before it, and adds to its carry."""

    def workspace_bytes(self, x):
        return 8 * ceil_div(x.size, BLOCK)

    def launches(self, x, y, workspace):
        blocks = ceil_div(x.size, BLOCK)
        flags, carries = workspace.split((4 * blocks, 4 * blocks))
        args = (y, x, flags, carries, int32(x.size))
        return Fill(flags, 0), Launch(self.kernel, blocks, BLOCK, args)

    def reference(self, x):
        starts = np.arange(x.size) // BLOCK
        return (x + starts).astype(np.float32)


CHAIN = """
__global__ void chain(float* y, const float* x, %(flag)s int* flags, %(carry)s float* carries,
                      int n) {
    __shared__ float carry;
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (threadIdx.x == 0) {
        carry = 0.0f;
        if (blockIdx.x > 0) {
            while (flags[blockIdx.x - 1] == 0) {}
            %(acquire)s
            carry = carries[blockIdx.x - 1] + 1.0f;
        }
        carries[blockIdx.x] = carry;
        %(release)s
        flags[blockIdx.x] = 1;
    }
    __syncthreads();
    if (i < n) y[i] = x[i] + carry;
}
"""


@planted("race")
class FlagRaisedWithoutFence(Chain):
    """The flag may be seen before the carry that it announces."""

    kernel = cuda(
        CHAIN % {"flag": "volatile", "carry": "", "release": "", "acquire": "__threadfence();"}
    )


@planted("race")
class FlagReadWithoutFence(Chain):
    """The carry may be read before the flag that announces it."""

    kernel = cuda(
        CHAIN % {"flag": "volatile", "carry": "", "release": "__threadfence();", "acquire": ""}
    )


@planted("race")
class PlainReadBesideAtomics(Plugin):
    """Blocks fill a list through a counter, and stop by a plain read of it."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    count = Output("I")
    kernel = cuda("""
    __global__ void count_positive(int* count, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n && x[i] > 0.0f && *count < 100000) atomicAdd(count, 1);
    }
    """)

    def output_shapes(self, x):
        return (1,)

    def launches(self, x, count):
        args = (count, x, int32(x.size))
        return Fill(count, 0), Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, args)

    def reference(self, x):
        return (x > 0).sum(keepdims=True).astype(np.int32)

    @classmethod
    def cases(cls):
        yield Case("line", [line(600)])


# Before compute capability 9.0 no launch overlaps another, and ptxas knows none of this.
_EARLY = """
__device__ void let_next_launch_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
__device__ void wait_for_earlier_launches() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
"""


@planted("race")
class EarlierLaunchReadBeforeTheWait(Doubled):
    """The second launch may begin before the first has ended, and loads before it waits."""

    kernel = cuda(
        _EARLY
        + """
    __global__ void stage(float* staged, const float* x, int n) {
        let_next_launch_begin();
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) staged[n - 1 - i] = x[i];
    }
    """
    )
    finish = CudaKernel(
        _EARLY
        + """
    __global__ void finish(float* y, const float* staged, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        float value = i < n ? staged[n - 1 - i] : 0.0f;
        wait_for_earlier_launches();
        if (i < n) y[i] = value * 2.0f;
    }
    """,
        "finish",
        overlaps=True,
    )

    def workspace_bytes(self, x):
        return x.nbytes

    def launches(self, x, y, workspace):
        grid, n = ceil_div(x.size, BLOCK), int32(x.size)
        return (
            Launch(self.kernel, grid, BLOCK, (workspace, x, n)),
            Launch(self.finish, grid, BLOCK, (y, workspace, n)),
        )
