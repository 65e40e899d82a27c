"""Plugins with nothing wrong that do what bugs look like: none may be flagged."""

from __future__ import annotations

import numpy as np

from pluginkit import (
    Case,
    CudaKernel,
    Fill,
    Input,
    Launch,
    NumbaKernel,
    Output,
    Plugin,
    ceil_div,
    float16,
    float32,
    int32,
)
from tests.plugincheck.planted_bugs.alias_bugs import InPlace
from tests.plugincheck.planted_bugs.corpus import BLOCK, Doubled, Rows, Total, cuda, line, sound
from tests.plugincheck.planted_bugs.grid_race_bugs import CHAIN, LAST_BLOCK, Chain, LastBlock
from tests.plugincheck.planted_bugs.numba_bugs import NumbaDoubled, NumbaRows, NumbaTotal
from tests.plugincheck.planted_bugs.publication_bugs import (
    ASM_CHAIN,
    COUNTED,
    RELAXED,
    RELEASED,
    VOLATILE_CHAIN,
    Counted,
)


@sound
class AtomicTotal(Total):
    """Every thread adds to one element with atomicAdd, after a Fill."""

    kernel = cuda("""
    __global__ void total(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) atomicAdd(y, x[i]);
    }
    """)


@sound
class TreeReductionWithBarriers(Rows):
    """Two reductions through one scratch, with a barrier wherever one is needed."""

    kernel = cuda("""
    __device__ float block_sum(float value) {
        __shared__ float sums[128];
        __syncthreads();
        sums[threadIdx.x] = value;
        __syncthreads();
        for (int half = 64; half > 0; half /= 2) {
            if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
            __syncthreads();
        }
        return sums[0];
    }
    __global__ void row_sums(float* y, const float* x, int columns) {
        float positive = 0.0f, negative = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) {
            float value = x[blockIdx.x * columns + c];
            (value > 0.0f ? positive : negative) += value;
        }
        positive = block_sum(positive);
        negative = block_sum(negative);
        if (threadIdx.x == 0) y[blockIdx.x] = positive + negative;
    }
    """)


@sound
class LastWarpInStepBySyncwarp(Rows):
    """The last 32 sums with ``__syncwarp`` between reads and writes."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x < 32) {
            for (int k = 32; k < 128; k += 32) sum += sums[threadIdx.x + k];
            for (int d = 16; d > 0; d /= 2) {
                sums[threadIdx.x] = sum;
                __syncwarp();
                if (threadIdx.x < d) sum += sums[threadIdx.x + d];
                __syncwarp();
            }
            if (threadIdx.x == 0) y[blockIdx.x] = sum;
        }
    }
    """)


@sound
class ShufflesOfWholeWarps(Rows):
    """Shuffles by every lane, past the end of the warp too, where a lane gets its own value."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[4];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
        if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
        __syncthreads();
        if (threadIdx.x == 0) y[blockIdx.x] = sums[0] + sums[1] + sums[2] + sums[3];
    }
    """)


@sound
class VotesOfTheLanesThatAreThere(Rows):
    """The mask of a divergent vote is made by a ballot while all lanes were there."""

    kernel = cuda("""
    __global__ void positive(float* y, const float* x, int columns) {
        int lane = threadIdx.x, count = 0;
        if (lane >= 32) return;
        for (int begin = 0; begin < columns; begin += 32) {
            unsigned inside = __ballot_sync(0xffffffffu, begin + lane < columns);
            if (begin + lane < columns) {
                bool is_positive = x[blockIdx.x * columns + begin + lane] > 0.0f;
                count += __popc(__ballot_sync(inside, is_positive));
            }
        }
        if (lane == 0) y[blockIdx.x] = count;
    }
    """)

    def reference(self, x):
        return (x > 0).sum(axis=1).astype(x.dtype)


@sound
class EarlyReturnBeforeABarrier(Rows):
    """Whole warps return before a barrier that the others pass: threads that have ended count."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[64];
        if (threadIdx.x >= 64) return;
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += 64) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x > 0) return;
        float all = 0.0f;
        for (int k = 0; k < 64; ++k) all += sums[k];
        y[blockIdx.x] = all;
    }
    """)


@sound
class BarrierInUniformBranch(Rows):
    """A branch that the whole block takes alike may hold a barrier, and a loop too."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float tile[128];
        float sum = 0.0f;
        for (int begin = 0; begin < columns; begin += 128) {
            if (begin > 0) __syncthreads();
            int c = begin + threadIdx.x;
            tile[threadIdx.x] = c < columns ? x[blockIdx.x * columns + c] : 0.0f;
            __syncthreads();
            for (int k = 0; k < 128; ++k) sum += tile[(threadIdx.x + k) % 128];
        }
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@sound
class NumberedBarriers(Rows):
    """Half of the block meets at a barrier of its own, which expects 64 threads."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x < 64) {
            sums[threadIdx.x] += sums[threadIdx.x + 64];
            asm volatile("bar.sync 1, 64;" ::: "memory");
            if (threadIdx.x == 0) {
                float all = 0.0f;
                for (int k = 0; k < 64; ++k) all += sums[k];
                y[blockIdx.x] = all;
            }
        }
    }
    """)


@sound
class LastBlockWithFence(LastBlock):
    """The block that counts itself last adds up what the others have published."""

    kernel = cuda(
        LAST_BLOCK % {"sums": "", "fence": "__threadfence();", "count": "atomicAdd(counter, 1u)"}
    )


@sound
class FlagWithFences(Chain):
    """Each block waits for the flag of the one before it, with a fence on both sides."""

    kernel = cuda(
        CHAIN
        % {
            "flag": "volatile",
            "carry": "",
            "release": "__threadfence();",
            "acquire": "__threadfence();",
        }
    )


@sound
class VolatileCarryWithFences(Chain):
    """The same with a volatile carry."""

    kernel = cuda(
        CHAIN % (VOLATILE_CHAIN | {"release": "__threadfence();", "acquire": "__threadfence();"})
    )


@sound
class FlagReleasedAndAcquired(Chain):
    """Lane 1 writes the carry, meets lane 0, and that one releases the flag."""

    kernel = cuda(ASM_CHAIN % RELEASED)


@sound
class RelaxedFlagWithFences(Chain):
    """The flag's accesses are relaxed; fences of every lane publish and receive."""

    kernel = cuda(ASM_CHAIN % RELAXED)


@sound
class CountedWithFenceAndBarrier(Counted):
    """Every thread adds and fences before the block meets and is counted."""

    kernel = cuda(COUNTED % {"fence": "__threadfence();", "barrier": "__syncthreads();"})


@sound
class WaitsByTheClock(Doubled):
    """What is written does not follow from the time that passes."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        long long start = clock64();
        while (clock64() - start < 1000) {}
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)


@sound
class EqualValuesWrittenByMany(Plugin):
    """Many threads, of several blocks, write one and the same value to one place."""

    types = {"T": (float32,), "I": (int32,)}
    x = Input("T", ranks=(1, 1))
    y = Output("I")
    kernel = cuda("""
    __global__ void any_negative(int* y, const float* x, int n) {
        __shared__ int found;
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        found = 0;
        __syncthreads();
        if (i < n && x[i] < 0.0f) found = 1;
        __syncthreads();
        if (found) y[0] = 1;
    }
    """)

    def output_shapes(self, x):
        return (1,)

    def launches(self, x, y):
        launch = Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (y, x, int32(x.size)))
        return Fill(y, 0), launch

    def reference(self, x):
        return np.array([(x < 0).any()], np.int32)

    @classmethod
    def cases(cls):
        yield Case("negative", [line(600)])
        yield Case("positive", [np.abs(line(600))])


@sound
class VectorsWithATail(Doubled):
    """float4 where four elements are left, single floats after that."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
        if (first + 4 <= n) {
            float4 v = *reinterpret_cast<const float4*>(x + first);
            *reinterpret_cast<float4*>(y + first) =
                make_float4(v.x * 2.0f, v.y * 2.0f, v.z * 2.0f, v.w * 2.0f);
        } else {
            for (int k = first; k < n; ++k) y[k] = x[k] * 2.0f;
        }
    }
    """)

    @classmethod
    def cases(cls):
        yield Case("odd", [line(1001)])


@sound
class CompareAndSwapOfHalves(Plugin):
    """The largest half, by compare-and-swap on the word around it, at the very end of y."""

    types = {"T": (float16,)}
    x = Input("T", ranks=(1, 1))
    y = Output("T")
    kernel = CudaKernel(
        """
    #include <cuda_fp16.h>
    __global__ void largest(unsigned short* y, const __half* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        unsigned short* place = y + i % 3;
        unsigned short was = *reinterpret_cast<volatile unsigned short*>(place);
        while (__half2float(__ushort_as_half(was)) < __half2float(x[i])) {
            unsigned short seen = atomicCAS(place, was, __half_as_ushort(x[i]));
            if (seen == was) break;
            was = seen;
        }
    }
    """,
        "largest",
    )

    def output_shapes(self, x):
        return (3,)

    def launches(self, x, y):
        launch = Launch(self.kernel, ceil_div(x.size, BLOCK), BLOCK, (y, x, int32(x.size)))
        return Fill(y, 0), launch

    def reference(self, x):
        return np.array([x[k::3].max(initial=0) for k in range(3)], x.dtype)

    @classmethod
    def cases(cls):
        yield Case("line", [line(300).astype(np.float16)])


@sound
class ElementwiseInPlace(InPlace):
    """Each thread reads its element before it writes it."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)


@sound
class TileReusedAsAnotherType(Rows):
    """One dynamic shared array holds floats first and, after a barrier, integers."""

    kernel = cuda("""
    extern __shared__ float scratch[];
    __global__ void row_sums(float* y, const float* x, int columns) {
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        scratch[threadIdx.x] = sum;
        __syncthreads();
        float mirrored = scratch[127 - threadIdx.x];
        __syncthreads();
        int* counts = reinterpret_cast<int*>(scratch);
        counts[threadIdx.x] = static_cast<int>(mirrored);
        __syncthreads();
        if (threadIdx.x > 0) return;
        int all = 0;
        for (int k = 0; k < 128; ++k) all += counts[k];
        y[blockIdx.x] = static_cast<float>(all);
    }
    """)

    def launches(self, x, y):
        args = (y, x, int32(x.shape[1]))
        return Launch(self.kernel, x.shape[0], BLOCK, args, shared_bytes=4 * BLOCK)


@sound
class WorkspaceAcrossLaunches(Doubled):
    """What one launch writes to the workspace the next one reads, in other threads."""

    kernel = cuda("""
    __global__ void stage(float* staged, const float* x, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) staged[n - 1 - i] = x[i];
    }
    """)
    finish = cuda("""
    __global__ void finish(float* y, const float* staged, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = staged[n - 1 - i] * 2.0f;
    }
    """)

    def workspace_bytes(self, x):
        return x.nbytes

    def launches(self, x, y, workspace):
        grid, n = ceil_div(x.size, BLOCK), int32(x.size)
        return (
            Launch(self.kernel, grid, BLOCK, (workspace, x, n)),
            Launch(self.finish, grid, BLOCK, (y, workspace, n)),
        )


@sound
class NumbaTile(NumbaDoubled):
    """A tile in shared memory, with its barrier."""

    kernel = NumbaKernel("numba_kernels.py", "reversed_tile")


@sound
class NumbaAtomicTotal(NumbaTotal):
    """cuda.atomic.add, after a Fill."""

    kernel = NumbaKernel("numba_kernels.py", "total")


@sound
class NumbaSharedSum(NumbaRows):
    """A shared sum that is cleared before the barrier."""

    kernel = NumbaKernel("numba_kernels.py", "row_sums")
