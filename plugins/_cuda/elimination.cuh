// Gaussian elimination with partial pivoting, of many matrices [A | B] in float32: row operations turn A into an upper
// triangle, whose pivots are the determinant, and from it B into the solution of A X = B.
//
// Every operation is rounded once, and each element sees its operations in the order of the pivots, whichever kernel
// runs. Of equal candidates for a pivot the upper one is taken; NaN is none.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "warp_extremes.cuh"

using pluginkit::Purpose;  // from elimination.py

__device__ __forceinline__ float minus_product(float value, float a, float b) {
    return __fsub_rn(value, __fmul_rn(a, b));
}

// Return by how much of the pivot's row a row below is reduced. A pivot of 0 is below nothing but zeros.
__device__ __forceinline__ float factor_of(float value, float pivot) {
    return pivot == 0.0f ? 0.0f : __fdiv_rn(value, pivot);
}

// What a candidate for a pivot is worth.
__device__ __forceinline__ float worth(float value) { return isnan(value) ? -1.0f : fabsf(value); }

// Return element (row, column) of [A | B], where B is the identity for an inverse.
template <Purpose PURPOSE, typename T>
__device__ __forceinline__ float element(const T* a, const T* b, int row, int column, int size, int columns) {
    if (column < size) return static_cast<float>(a[1LL * row * size + column]);
    if (PURPOSE == Purpose::SOLVE) return static_cast<float>(b[1LL * row * columns + column - size]);
    return row == column - size ? 1.0f : 0.0f;
}

// What a candidate for a pivot is worth, as an integer; 0 is no candidate.
__device__ __forceinline__ unsigned int rank_of(float value) {
    return isnan(value) ? 1 : 2 + __float_as_uint(fabsf(value));
}

// Wait for the threads that share a matrix: a part of a warp, or a block.
template <int THREADS> __device__ __forceinline__ void wait_for_team() {
    if constexpr (THREADS <= 32) {
        __syncwarp();
    } else {
        __syncthreads();
    }
}

// Return the least position of the rows with the highest rank, of the threads that share a matrix. `keys` is theirs, and
// free since they last waited.
template <int THREADS> __device__ __forceinline__ int position_of_highest(unsigned int rank, int position, int2* keys) {
    constexpr int LANES = THREADS < 32 ? THREADS : 32, WARPS = THREADS / LANES;
    unsigned int highest = highest_of<LANES>(rank);
    int upper = least_of<LANES>(rank == highest ? position : THREADS);
    if constexpr (WARPS > 1) {
        const int warp = threadIdx.x / LANES;
        if (threadIdx.x % LANES == 0) keys[warp] = {static_cast<int>(highest), upper};
        __syncthreads();
#pragma unroll
        for (int other = 0; other < WARPS; ++other) {
            const int2 there = keys[other];
            const auto rank_there = static_cast<unsigned int>(there.x);
            if (rank_there > highest || (rank_there == highest && there.y < upper)) highest = rank_there, upper = there.y;
        }
    }
    return upper;
}
