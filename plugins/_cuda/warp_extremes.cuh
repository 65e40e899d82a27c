// The extremes of a warp's numbers: one instruction from compute capability 8.0.

#pragma once

// Return the greatest number of all threads of a warp.
__device__ __forceinline__ int greatest_in_warp(int number) {
#if __CUDA_ARCH__ >= 800
    return __reduce_max_sync(~0u, number);
#else
#pragma unroll
    for (int step = 16; step > 0; step /= 2) number = max(number, __shfl_xor_sync(~0u, number, step));
    return number;
#endif
}

// Return the least one.
__device__ __forceinline__ unsigned int least_in_warp(unsigned int number) {
#if __CUDA_ARCH__ >= 800
    return __reduce_min_sync(~0u, number);
#else
#pragma unroll
    for (int step = 16; step > 0; step /= 2) number = min(number, __shfl_xor_sync(~0u, number, step));
    return number;
#endif
}
