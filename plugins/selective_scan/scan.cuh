// What both kernels of SelectiveScan share.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

constexpr float LOG2_E = 1.44269504f, SOFTPLUS_THRESHOLD = 20.0f;

struct Sizes {
    int channels, length, heads, groups, states, decays;
};

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

__device__ __forceinline__ float exp2_of(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

__device__ __forceinline__ float softplus(float x) { return x > SOFTPLUS_THRESHOLD ? x : log1pf(expf(x)); }
