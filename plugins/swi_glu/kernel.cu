// SwiGLU: a thread takes a vector of y, whose gate and up lie in two tensors or, as halves of each row, in one. A pair of
// tensors is one long row; with HALVES there are several rows.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::LONG, pluginkit::SPREAD, pluginkit::THREADS;  // from __init__.py

// Approximate instructions err by a few units of float32's last place; where exp overflows the result is 0.
__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

template <typename T> __device__ __forceinline__ T gated(T gate, T up) {
    return static_cast<T>(silu(static_cast<float>(gate)) * static_cast<float>(up));
}

// Read a vector of 16 bytes from any address at which elements may lie, and of 16 bytes behind it.
template <typename T> __device__ __forceinline__ Vector<T, 16 / sizeof(T)> unaligned_vector(const T* source) {
    const unsigned shift = reinterpret_cast<unsigned long long>(source) % 16;
    const T* const aligned = source - shift / sizeof(T);
    const auto one = Vector<unsigned, 4>::read(reinterpret_cast<const unsigned*>(aligned));
    const auto two = Vector<unsigned, 4>::read(reinterpret_cast<const unsigned*>(aligned) + 4);
    unsigned words[8];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = one.element[i], words[i + 4] = two.element[i];
#pragma unroll
    for (int i = 0; i < 6; ++i) words[i] = shift & 8 ? words[i + 2] : words[i];
#pragma unroll
    for (int i = 0; i < 5; ++i) words[i] = shift & 4 ? words[i + 1] : words[i];
    Vector<unsigned, 4> found;
#pragma unroll
    for (int i = 0; i < 4; ++i) found.element[i] = __funnelshift_r(words[i], words[i + 1], 8 * (shift % 4));
    return reinterpret_cast<const Vector<T, 16 / sizeof(T)>&>(found);
}

// BYTES: of a vector, 1 for single elements, or 0 for rows of one, of which a thread takes SPREAD, each beside its neighbour's.
// `elements` of y, in rows of as many. ALIGNED: whether each vector lies within a row, and in gate and up where vectors do.
template <typename T, typename Offset, bool HALVES, int BYTES, bool ALIGNED>
__global__ void __launch_bounds__(THREADS)
    swi_glu(T* __restrict__ y, const T* __restrict__ gate, const T* __restrict__ up, Divisor row, Offset elements) {
    if constexpr (BYTES == 0) {
        const Offset begin = static_cast<Offset>(blockIdx.x) * SPREAD * THREADS + threadIdx.x;
        T gates[SPREAD], ups[SPREAD];
#pragma unroll
        for (int i = 0; i < SPREAD; ++i) {
            const Offset at = begin + i * THREADS;
            if (at < elements) gates[i] = gate[2 * at], ups[i] = gate[2 * at + 1];
        }
#pragma unroll
        for (int i = 0; i < SPREAD; ++i) {
            if (begin + i * THREADS < elements) y[begin + i * THREADS] = gated(gates[i], ups[i]);
        }
        return;
    }
    constexpr int N = BYTES == 16 ? BYTES / sizeof(T) : 1;
    using Values = Vector<T, N>;
    const Offset at = (static_cast<Offset>(blockIdx.x) * THREADS + threadIdx.x) * N;
    if (at >= elements) return;
    const Offset count = static_cast<Offset>(row.count);
    const T* const other = up == nullptr ? gate + row.count : up;
    Offset rows = at;  // that end before it
    const Offset column = HALVES ? row.split(rows) : 0;
    Offset from = at + (HALVES ? rows * count : 0);
    const bool is_whole = N == 1 || (ALIGNED && HALVES) || at + N <= elements;
    Values first, second;
    if (ALIGNED && is_whole) {
        first = Values::read(gate + from), second = Values::read(other + from);
    } else if (!ALIGNED && BYTES == 16 && count >= LONG * N && column + N <= count && from + count + 2 * N <= 2 * elements) {
        if constexpr (BYTES == 16) first = unaligned_vector(gate + from), second = unaligned_vector(other + from);
    } else {
        Offset end = count - column;  // of the row
#pragma unroll
        for (int n = 0; n < N; ++n) {
            if (at + n >= elements) break;
            if (HALVES && n == end) end += count, from += count;
            first.element[n] = gate[from + n], second.element[n] = other[from + n];
        }
    }
#pragma unroll
    for (int n = 0; n < N; ++n) first.element[n] = gated(first.element[n], second.element[n]);
    if (is_whole) {
        first.write(y + at);
        return;
    }
#pragma unroll
    for (int n = 0; n < N - 1; ++n) {
        if (at + n < elements) y[at + n] = first.element[n];
    }
}
