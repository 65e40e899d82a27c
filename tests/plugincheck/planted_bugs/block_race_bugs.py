"""Races between the threads of one block: a barrier that is missing, or one too few."""

from __future__ import annotations

from tests.plugincheck.planted_bugs.corpus import Doubled, Rows, cuda, planted

_REVERSE = """
__global__ void reverse(float* y, const float* x, int n) {
    __shared__ float tile[128];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    tile[t] = i < n ? 2.0f * x[i] : 0.0f;
    %s
    int target = blockIdx.x * blockDim.x + 127 - t;
    if (target < n) y[target] = tile[127 - t];
}
"""


@planted("race")
class BarrierForgottenAfterLoad(Doubled):
    """The tile is read while other warps still fill it."""

    kernel = cuda(_REVERSE % "")


@planted("race")
class WarpBarrierForTheBlock(Doubled):
    """``__syncwarp`` where other warps' elements are read."""

    kernel = cuda(_REVERSE % "__syncwarp();")


@planted("race")
class FenceForABarrier(Doubled):
    """``__threadfence_block`` orders writes; it waits for nobody."""

    kernel = cuda(_REVERSE % "__threadfence_block();")


@planted("race")
class BarrierForgottenInTreeReduction(Rows):
    """The halving steps follow each other without a barrier."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        for (int half = 64; half > 0; half /= 2)
            if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        if (threadIdx.x == 0) y[blockIdx.x] = sums[0];
    }
    """)


@planted("race")
class LastWarpTrustedToBeInStep(Rows):
    """The last 32 sums are added up without ``__syncwarp``, as before Volta."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sums[128];
        float sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        sums[threadIdx.x] = sum;
        __syncthreads();
        for (int half = 64; half >= 32; half /= 2) {
            if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
            __syncthreads();
        }
        if (threadIdx.x < 16) {
            sums[threadIdx.x] += sums[threadIdx.x + 16];
            sums[threadIdx.x] += sums[threadIdx.x + 8];
            sums[threadIdx.x] += sums[threadIdx.x + 4];
            sums[threadIdx.x] += sums[threadIdx.x + 2];
            sums[threadIdx.x] += sums[threadIdx.x + 1];
        }
        if (threadIdx.x == 0) y[blockIdx.x] = sums[0];
    }
    """)


@planted("race")
class BarrierForgottenBetweenReductions(Rows):
    """The second sum goes to the scratch that some threads still read the first one from."""

    kernel = cuda("""
    __device__ float block_sum(float value) {
        __shared__ float sums[4];
        for (int d = 16; d > 0; d /= 2) value += __shfl_xor_sync(0xffffffffu, value, d);
        if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
        __syncthreads();
        return sums[0] + sums[1] + sums[2] + sums[3];
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


@planted("race")
class TileFilledWhileItIsRead(Rows):
    """A loop over tiles without the barrier at its end: the next tile overwrites this one."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float tile[128];
        float sum = 0.0f;
        for (int begin = 0; begin < columns; begin += 128) {
            int c = begin + threadIdx.x;
            tile[threadIdx.x] = c < columns ? x[blockIdx.x * columns + c] : 0.0f;
            __syncthreads();
            for (int k = 0; k < 128; ++k) sum += tile[(threadIdx.x + k) % 128];
        }
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("race")
class SharedSumWithoutAtomics(Rows):
    """Every thread adds to one shared float."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sum;
        if (threadIdx.x == 0) sum = 0.0f;
        __syncthreads();
        for (int c = threadIdx.x; c < columns; c += blockDim.x) sum += x[blockIdx.x * columns + c];
        __syncthreads();
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("race")
class ClearedByOneThreadWithoutBarrier(Rows):
    """Thread 0 clears the shared sum, and nobody waits for that before adding."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sum;
        if (threadIdx.x == 0) sum = 0.0f;
        for (int c = threadIdx.x; c < columns; c += blockDim.x)
            atomicAdd(&sum, x[blockIdx.x * columns + c]);
        __syncthreads();
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("race")
class ResultReadBeforeTheLastAdd(Rows):
    """Thread 0 takes the shared sum while others still add."""

    kernel = cuda("""
    __global__ void row_sums(float* y, const float* x, int columns) {
        __shared__ float sum;
        if (threadIdx.x == 0) sum = 0.0f;
        __syncthreads();
        for (int c = threadIdx.x; c < columns; c += blockDim.x)
            atomicAdd(&sum, x[blockIdx.x * columns + c]);
        if (threadIdx.x == 0) y[blockIdx.x] = sum;
    }
    """)


@planted("race")
class BytesOfOneWordShared(Rows):
    """Each thread sets its bit of a shared word, reading and writing the bytes of others."""

    kernel = cuda("""
    __global__ void positive(float* y, const float* x, int columns) {
        __shared__ unsigned bits[4];
        if (threadIdx.x < 4) bits[threadIdx.x] = 0;
        __syncthreads();
        if (threadIdx.x < columns && x[blockIdx.x * columns + threadIdx.x] > 0.0f)
            bits[threadIdx.x / 32] |= 1u << threadIdx.x % 32;
        __syncthreads();
        if (threadIdx.x == 0)
            y[blockIdx.x] = __popc(bits[0]) + __popc(bits[1]) + __popc(bits[2]) + __popc(bits[3]);
    }
    """)

    def reference(self, x):
        return (x[:, :128] > 0).sum(axis=1).astype(x.dtype)
