// SwiGLU: a thread takes vectors of a row's gate and up, which lie in two tensors or, as HALVES of several rows or of the
// only one, in one. A pair of tensors is one long row.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

using pluginkit::THREADS;  // from __init__.py

// Approximate instructions err by a few units of float32's last place; where exp overflows the result is 0.
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

template <typename T> __device__ __forceinline__ T gated(T gate, T up) {
    return static_cast<T>(silu(static_cast<float>(gate)) * static_cast<float>(up));
}

// BYTES: of a vector, or 0 for single elements.
template <typename T, bool HALVES, int BYTES, int VECTORS>
__global__ void __launch_bounds__(THREADS)
    swi_glu(T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, long long rows, long long size) {
    constexpr int N = BYTES ? BYTES / sizeof(T) : 1;
    using Values = Vector<T, N>;
    const long long begin = (1LL * blockIdx.x * VECTORS * THREADS + threadIdx.x) * N;
    long long row = HALVES ? blockIdx.y : 0;  // there are no more blocks than rows
    do {
        const T *const gates = gate + 2 * row * size, *const ups = HALVES || up == nullptr ? gates + size : up;
        Values first[VECTORS], second[VECTORS];
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const long long at = begin + i * THREADS * N;
            if (at + N <= size) first[i] = Values::read(gates + at), second[i] = Values::read(ups + at);
        }
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const long long at = begin + i * THREADS * N;
            T* const made = y + row * size;
            if (at + N <= size) {
#pragma unroll
                for (int n = 0; n < N; ++n) first[i].element[n] = gated(first[i].element[n], second[i].element[n]);
                first[i].write(made + at);
            } else {  // less than a vector, at the end
#pragma unroll 1
                for (long long last = at; last < size; ++last) made[last] = gated(gates[last], ups[last]);
            }
        }
    } while (HALVES && (row += gridDim.y) < rows);
}
