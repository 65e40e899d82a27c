// RandomNumbers: a thread makes four numbers at once, those of one counter of Philox, and stores them as a vector.
//
// With a seed, the seed is the key and a number's place the counter. Without one, a warp adds to the counter the cycle in
// which it began, and which of the GPU's places it has is added to a clock that all GPUs share, the key: no two warps have
// one place in one cycle, whichever process, stream or CUDA graph they run in.

#include "philox.cuh"

using pluginkit::Distribution, pluginkit::THREADS;  // from __init__.py

__device__ __forceinline__ unsigned long long fresh_key() {
    constexpr unsigned long long SPREAD = 0x9E3779B97F4A7C15;  // far apart in time, whichever the places
    unsigned long long nanoseconds;
    unsigned int multiprocessor, warp;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(nanoseconds));
    asm volatile("mov.u32 %0, %smid;" : "=r"(multiprocessor));
    asm volatile("mov.u32 %0, %warpid;" : "=r"(warp));
    return nanoseconds + (multiprocessor << 6 | warp) * SPREAD;
}

// Return a number from 0 to 1, without 1: a multiple of 2^-24, which float32 holds exactly.
__device__ __forceinline__ float uniform(unsigned int word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

__device__ __forceinline__ float approximate_root(float x) {
    float root;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
}

// Return two normal numbers by the transform of Box and Muller.
__device__ __forceinline__ float2 normal(unsigned int a, unsigned int b) {
    constexpr float TURN = 6.2831853f;
    const float chance = (static_cast<float>(a) + 0.5f) * 0x1p-32f;  // not 0
    const float radius = approximate_root(-2.0f * logf(chance));
    float sine, cosine;
    __sincosf(TURN * (uniform(b) - 0.5f), &sine, &cosine);  // approximate, and best from -pi to pi
    return {radius * cosine, radius * sine};
}

template <Distribution D> __device__ __forceinline__ float4 numbers(Words words) {
    if constexpr (D == Distribution::normal) {
        const float2 a = normal(words.x, words.y), b = normal(words.z, words.w);
        return {a.x, a.y, b.x, b.y};
    }
    return {uniform(words.x), uniform(words.y), uniform(words.z), uniform(words.w)};
}

// Neither operation is contracted to a fused one, so that uniform numbers are the same on every machine.
__device__ __forceinline__ float placed(float number, float scale, float offset) {
    return __fadd_rn(__fmul_rn(number, scale), offset);
}

// VECTORS: of a thread. SEEDED: whether the key is the seed.
template <Distribution D, int VECTORS, bool SEEDED>
__global__ void __launch_bounds__(THREADS)
    random_numbers(float* __restrict__ y, const float* __restrict__ affine, long long count, long long seed) {
    const unsigned long long cycle = SEEDED ? 0 : clock64(), key = SEEDED ? seed : fresh_key();
    const float scale = affine[0], offset = affine[1];
    const long long first = static_cast<long long>(blockIdx.x) * (THREADS * VECTORS) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        const long long vector = first + i * THREADS;
        if (vector * 4 >= count) return;
        const float4 drawn = numbers<D>(philox(
            {static_cast<unsigned int>(vector), static_cast<unsigned int>(vector >> 32),
             static_cast<unsigned int>(cycle), static_cast<unsigned int>(cycle >> 32)},
            key));
        const float4 made = {placed(drawn.x, scale, offset), placed(drawn.y, scale, offset),
                             placed(drawn.z, scale, offset), placed(drawn.w, scale, offset)};
        if (vector * 4 + 4 <= count) {
            reinterpret_cast<float4*>(y)[vector] = made;
        } else {
            y[vector * 4] = made.x;
            if (vector * 4 + 1 < count) y[vector * 4 + 1] = made.y;
            if (vector * 4 + 2 < count) y[vector * 4 + 2] = made.z;
        }
    }
}
