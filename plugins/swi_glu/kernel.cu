// SwiGLU: a thread takes vectors of a row's gate and up, which lie in two tensors or beside each other in one. A pair of
// tensors is one long row.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/vectors.cuh"

using pluginkit::THREADS, pluginkit::VECTOR_BYTES;  // from __init__.py

// Approximate instructions err by a few units of float32's last place; where exp overflows the result is 0.
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

template <typename T> __device__ __forceinline__ T gated(T gate, T up) {
    return static_cast<T>(silu(static_cast<float>(gate)) * static_cast<float>(up));
}

template <typename T, bool WIDE, int VECTORS>
__global__ void __launch_bounds__(THREADS)
    swi_glu(T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, long long rows, long long size,
            long long stride) {
    constexpr int N = WIDE ? VECTOR_BYTES / sizeof(T) : 1, TILE = THREADS * VECTORS * N;
    using Values = Vector<T, N>;
    const long long begin = 1LL * blockIdx.x * TILE;
    const int count = static_cast<int>(min(size - begin, 1LL * TILE)), last = count - count % N + threadIdx.x;
    if (up == nullptr) up = gate + size;
    for (long long row = blockIdx.y; row < rows; row += gridDim.y) {
        T* const made = y + row * size + begin;
        const T *const gates = gate + row * stride + begin, *const ups = up + row * stride + begin;
        Values first[VECTORS], second[VECTORS];
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int at = (i * THREADS + threadIdx.x) * N;
            if (at + N <= count) first[i] = Values::read(gates + at), second[i] = Values::read(ups + at);
        }
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) {
            const int at = (i * THREADS + threadIdx.x) * N;
            if (at + N > count) continue;
#pragma unroll
            for (int n = 0; n < N; ++n) first[i].element[n] = gated(first[i].element[n], second[i].element[n]);
            first[i].write(made + at);
        }
        if (N > 1 && last < count) made[last] = gated(gates[last], ups[last]);  // what is less than a vector, at the end
    }
}
