// SwiGLU: a thread takes vectors of y, whose gate and up lie in two tensors or, as halves of each row, in one. A pair of
// tensors is one long row; with HALVES there are several rows.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::THREADS;  // from __init__.py

// Approximate instructions err by a few units of float32's last place; where exp overflows the result is 0.
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

template <typename T> __device__ __forceinline__ T gated(T gate, T up) {
    return static_cast<T>(silu(static_cast<float>(gate)) * static_cast<float>(up));
}

// BYTES: of a vector, or 0 for single elements. The elements of y, in rows of as many; a vector lies within a row of HALVES.
template <typename T, typename Offset, bool HALVES, int BYTES, int VECTORS>
__global__ void __launch_bounds__(THREADS)
    swi_glu(T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, Divisor row, Offset elements) {
    constexpr int N = BYTES ? BYTES / sizeof(T) : 1;
    using Values = Vector<T, N>;
    const Offset begin = (static_cast<Offset>(blockIdx.x) * VECTORS * THREADS + threadIdx.x) * N;
    Values first[VECTORS], second[VECTORS];
    const T *gates[VECTORS], *ups[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const Offset at = begin + i * THREADS * N;
        Offset rows = at;  // that end before it
        if (HALVES) row.split(rows);
        gates[i] = gate + at + (HALVES ? rows * row.count : 0);
        ups[i] = HALVES || up == nullptr ? gates[i] + row.count : up + at;
        if (at + N <= elements) first[i] = Values::read(gates[i]), second[i] = Values::read(ups[i]);
    }
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const Offset at = begin + i * THREADS * N;
        if (at + N <= elements) {
#pragma unroll
            for (int n = 0; n < N; ++n) first[i].element[n] = gated(first[i].element[n], second[i].element[n]);
            first[i].write(y + at);
        } else if (!HALVES) {  // less than a vector, at the end
#pragma unroll 1
            for (int n = 0; at + n < elements; ++n) y[at + n] = gated(gates[i][n], ups[i][n]);
        }
    }
}
