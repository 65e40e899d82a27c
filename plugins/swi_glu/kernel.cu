// SwiGLU: a thread takes vectors of a row's gate and up, which lie in two tensors or beside each other in one. A pair of
// tensors is one long row.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::THREADS, pluginkit::VECTORS;  // from __init__.py

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T value[N]; };

// Approximate instructions err by a few units of float32's last place; where exp overflows the result is 0.
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

// Store a vector of 16 bytes as such, which nothing reads soon: of some arrays the compiler makes four stores.
template <typename T, int N> __device__ __forceinline__ void store(T* target, const Pack<T, N>& values) {
    if constexpr (sizeof(values) == sizeof(uint4)) {
        __stcs(reinterpret_cast<uint4*>(target), *reinterpret_cast<const uint4*>(&values));
    } else {
        *reinterpret_cast<Pack<T, N>*>(target) = values;
    }
}

template <typename T> __device__ __forceinline__ T gated(T gate, T up) {
    return static_cast<T>(silu(static_cast<float>(gate)) * static_cast<float>(up));
}

template <typename T, int N>
__global__ void __launch_bounds__(THREADS)
    swi_glu(T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, long long size, long long stride,
            int blocks) {
    using Values = Pack<T, N>;
    const long long row = blockIdx.x / blocks;
    y += row * size, gate += row * stride;
    if (up == nullptr) up = gate + size;
    const long long first = (blockIdx.x % blocks * (1LL * VECTORS * THREADS) + threadIdx.x) * N;
    Values gates[VECTORS], ups[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const long long at = first + i * (N * THREADS);
        if (at + N > size) continue;
        gates[i] = *reinterpret_cast<const Values*>(gate + at), ups[i] = *reinterpret_cast<const Values*>(up + at);
    }
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const long long at = first + i * (N * THREADS);
        if (at + N > size) continue;
        Values made;
#pragma unroll
        for (int n = 0; n < N; ++n) made.value[n] = gated(gates[i].value[n], ups[i].value[n]);
        store(y + at, made);
    }
    // What is less than a vector, at the end.
    const long long last = size - size % N + threadIdx.x;
    if (N > 1 && blockIdx.x % blocks == blocks - 1 && last < size) y[last] = gated(gate[last], up[last]);
}
