// The extremes of integers of a warp's threads: of all of them one instruction from compute capability 8.0.

#pragma once

// Return the highest, or the least, number of LANES adjacent threads.
template <int LANES, typename Number> __device__ __forceinline__ Number highest_of(Number number) {
#if __CUDA_ARCH__ >= 800
    if constexpr (LANES == 32 && sizeof(Number) <= sizeof(int)) return static_cast<Number>(__reduce_max_sync(~0u, number));
#endif
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) {
        const Number other = static_cast<Number>(__shfl_xor_sync(~0u, number, step));
        number = other > number ? other : number;
    }
    return number;
}
template <int LANES, typename Number> __device__ __forceinline__ Number least_of(Number number) {
    return static_cast<Number>(~highest_of<LANES>(static_cast<Number>(~number)));
}
