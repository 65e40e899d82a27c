"""Barriers and warp operations that some threads never reach, and loops that never end."""

from __future__ import annotations

from tests.plugincheck.planted_bugs.corpus import Doubled, Rows, cuda, planted


@planted("barrier")
class BarrierInDivergentBranch(Rows):
    """Threads within the row wait at a barrier, the others go on to the next one."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        sums[threadIdx.x] = 0.0f;
        __syncthreads();
        if (threadIdx.x < columns % 128) {
            sum = x[blockIdx.x * columns + 128 + threadIdx.x];
            __syncthreads();
        }
        if (threadIdx.x < columns) sum += x[blockIdx.x * columns + threadIdx.x];
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x == 0) {
            float all = 0.0f;
            for (int k = 0; k < 128; ++k) all += sums[k];
            y[blockIdx.x] = all;
        }
    }
    """)


@planted("barrier")
class BarrierInLoopOfDifferentLengths(Rows):
    """A thread's number of turns follows from its place: the first ones take one turn more."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sum;
        if (threadIdx.x == 0) sum = 0.0f;
        __syncthreads();
        for (int c = threadIdx.x; c < columns; c += blockDim.x) {
            atomicAdd(&sum, x[blockIdx.x * columns + c]);
            __syncthreads();
        }
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("barrier")
class BarrierForHalfTheBlock(Rows):
    """A numbered barrier is told to expect the whole block, and half of it comes."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        if (threadIdx.x < 64) {
            sums[threadIdx.x] += sums[threadIdx.x + 64];
            asm volatile("bar.sync 1, 128;" ::: "memory");
            if (threadIdx.x == 0) {
                float all = 0.0f;
                for (int k = 0; k < 64; ++k) all += sums[k];
                y[blockIdx.x] = all;
            }
        }
    }
    """)


@planted("warp")
class ShuffleInDivergentCode(Rows):
    """The mask names the whole warp, and half of it is elsewhere."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        int lane = threadIdx.x;
        if (lane >= 32) return;
        float sum = 0.0f;
        for (int c = lane; c < columns; c += 32) sum += x[blockIdx.x * columns + c];
        sum += __shfl_down_sync(0xffffffffu, sum, 16);
        if (lane < 16) {
            for (int d = 8; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
            if (lane == 0) y[blockIdx.x] = sum;
        }
    }
    """)


@planted("warp")
class ShuffleAfterEarlyReturn(Rows):
    """Lanes past a short row have returned, and the others read their registers."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        int lane = threadIdx.x;
        if (lane >= 20) return;
        float sum = 0.0f;
        for (int c = lane; c < columns; c += 20) sum += x[blockIdx.x * columns + c];
        for (int d = 16; d > 0; d /= 2) sum += __shfl_down_sync(0xffffffffu, sum, d);
        if (lane == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("warp")
class ShuffleFromLaneOutsideTheMask(Rows):
    """The mask names 16 lanes, and lane 0 reads lane 20."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        int lane = threadIdx.x;
        if (lane >= 32) return;
        float sum = 0.0f;
        for (int c = lane; c < columns; c += 32) sum += x[blockIdx.x * columns + c];
        float all = sum;
        if (lane < 16) {
            all = 0.0f;
            for (int k = 0; k < 32; ++k) all += __shfl_sync(0x0000ffffu, sum, k);
        }
        if (lane == 0) y[blockIdx.x] = all;
    }
    """)


@planted("warp")
class VoteInDivergentLoop(Rows):
    """A ballot of the whole warp in a loop that some lanes have left for a shuffle."""

    kernel = cuda("""
    __global__ void positive(float* y, const float* x, int columns) {
        int lane = threadIdx.x, count = 0;
        if (lane >= 32) return;
        for (int c = lane; c < columns; c += 32)
            count += __popc(__ballot_sync(0xffffffffu, x[blockIdx.x * columns + c] > 0.0f));
        count = __shfl_sync(0xffffffffu, count, 0);
        if (lane == 0) y[blockIdx.x] = count;
    }
    """)

    def reference(self, x):
        return (x > 0).sum(axis=1).astype(x.dtype)


@planted("warp")
class SyncwarpWithoutItsCaller(Rows):
    """``__syncwarp`` of the lower half of the warp is called by all of it."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[32];
        int lane = threadIdx.x;
        if (lane >= 32) return;
        float sum = 0.0f;
        for (int c = lane; c < columns; c += 32) sum += x[blockIdx.x * columns + c];
        sums[lane] = sum;
        __syncwarp(0x0000ffffu);
        if (lane == 0) {
            float all = 0.0f;
            for (int k = 0; k < 32; ++k) all += sums[k];
            y[blockIdx.x] = all;
        }
    }
    """)


@planted("deadlock")
class WaitsForAFlagThatNobodyRaises(Doubled):
    """The block before the first one never raises its flag."""

    kernel = cuda("""
    __global__ void twice(float* y, const float* x, volatile int* flags, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (threadIdx.x == 0) {
            while (flags[blockIdx.x] == 0) {}
            __threadfence();
            flags[blockIdx.x + 1] = 1;
        }
        __syncthreads();
        if (i < n) y[i] = x[i] * 2.0f;
    }
    """)

    def workspace_bytes(self, x):
        return 4 * (x.size // 128 + 2)

    def launches(self, x, y, workspace):
        from pluginkit import Fill, Launch, ceil_div, int32

        args = (y, x, workspace, int32(x.size))
        return Fill(workspace, 0), Launch(self.kernel, ceil_div(x.size, 128), 128, args)
