// The threads of a block that share rows, and the product of what is before each of them.

#pragma once

#include "rows.cuh"

using pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;

// Which row a thread takes, and which of the threads that share it it is.
template <bool DOWN> struct Team {
    static constexpr int ROWS = DOWN ? 32 : 1, TILE = THREADS / ROWS * ITEMS;

    __device__ __forceinline__ static int row() { return DOWN ? threadIdx.x % 32 : 0; }
    __device__ __forceinline__ static int rank() { return DOWN ? threadIdx.x / 32 : threadIdx.x; }
    __device__ __forceinline__ static int first_of_warp() { return threadIdx.x / 32 * 32 * ITEMS; }
};

// Return the product of what earlier threads of the row give, and multiply `all` by those of all its threads. `of_warps`
// is free since the threads last waited.
template <typename T, bool DOWN>
__device__ __forceinline__ Product<T> before_thread(Product<T> (*of_warps)[Team<DOWN>::ROWS], Product<T> own, Product<T>& all) {
    const int warp = threadIdx.x / 32;
    const Product<T> up_to_own = DOWN ? own : up_to_lane<32>(own);
    if (DOWN || threadIdx.x % 32 == 31) of_warps[warp][Team<DOWN>::row()] = up_to_own.normalised();
    __syncthreads();
    Product<T> before = all.times(DOWN ? one<T>() : before_lane<T, 32>(up_to_own));
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        const Product<T> of_warp = of_warps[i][Team<DOWN>::row()];
        if (i < warp) before = before.times(of_warp);
        all = all.times(of_warp);
    }
    all = all.normalised();
    return before.normalised();
}
