// Device functions and types for the kernels of several plugins.

#pragma once

// The unsigned integer type with this many bytes.
template <int BYTES> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = unsigned char; };
template <> struct UnsignedOf<2> { using type = unsigned short; };
template <> struct UnsignedOf<4> { using type = unsigned int; };
template <> struct UnsignedOf<8> { using type = unsigned long long; };
template <typename T> using Bits = typename UnsignedOf<sizeof(T)>::type;

// Return the sum of `value` over the lanes of the warp, to each of them: one instruction, from Ampere on.
__device__ __forceinline__ int sum_over_warp(int value) {
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(~0u, value);
#else
#pragma unroll
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(~0u, value, step);
    return value;
#endif
}

// Return the sum of `value` over the lanes of the warp from lane 0 to this one.
template <typename Sum> __device__ __forceinline__ Sum inclusive_sum_over_warp(Sum value) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const Sum other = __shfl_up_sync(~0u, value, step);
        if (lane >= step) value += other;
    }
    return value;
}
