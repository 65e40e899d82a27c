// What both kernels of SelectiveScan share.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"

constexpr float LOG2_E = 1.44269504f, SOFTPLUS_THRESHOLD = 20.0f;

struct Sizes {
    int channels, length, heads, groups, states, decays;
};

// How many channels an item, a head and a group have.
struct Widths {
    Divisor item, head, group;
};

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

// Load elements that follow each other, zeros where there are fewer. `is_wide` says that all such packs are aligned.
template <int N, typename T>
__device__ __forceinline__ Pack<T, N> load_pack(const T* __restrict__ from, int count, bool is_wide) {
    Pack<T, N> pack = {};
    if (is_wide && count >= N) return *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (i < count) pack.value[i] = from[i];
    }
    return pack;
}

template <typename T, int N>
__device__ __forceinline__ void store_pack(T* __restrict__ to, const Pack<T, N>& pack, int count, bool is_wide) {
    if (is_wide && count >= N) {
        *reinterpret_cast<Pack<T, N>*>(to) = pack;
        return;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
        if (i < count) to[i] = pack.value[i];
    }
}

__device__ __forceinline__ float exp2_of(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

// Return how much remains after several steps. It is never 0 unless one step leaves nothing, so that an infinite state
// stays infinite as it would step by step.
constexpr float LEAST = 1.17549435e-38f;
__device__ __forceinline__ float decay_over(float exponent) {
    const float kept = exp2_of(exponent);
    return isinf(exponent) ? kept : fmaxf(kept, LEAST);
}

__device__ __forceinline__ float softplus(float x) { return x > SOFTPLUS_THRESHOLD ? x : log1pf(__expf(x)); }

// Return y * silu(gate).
__device__ __forceinline__ float gated(float y, float gate) { return y * __fdividef(gate, 1.0f + __expf(-gate)); }
