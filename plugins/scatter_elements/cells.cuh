// Reduce updates into sums in shared memory, however many of them meet in one.

#pragma once

#include "../_cuda/reduce.cuh"

using pluginkit::WARP_LANES;  // from row_lists.py

// The type of a sum in shared memory, which reduces no less than a word.
template <typename T> struct SumOf { using type = typename AccumulatorOf<T>::type; };
template <> struct SumOf<signed char> { using type = int; };

// A cell, or the position of an element, that stands for none.
template <typename Cell> constexpr Cell NO_CELL = ~static_cast<Cell>(0);

// Combine the values of lanes that have the same cell. Return whether this lane has the value of its cell.
template <Reduction R, typename Cell, typename Sum>
__device__ __forceinline__ bool combine_equal_cells(Cell cell, Sum& value) {
    const int lane = threadIdx.x % WARP_LANES;
    const unsigned int same = __match_any_sync(~0u, cell == NO_CELL<Cell> ? ~static_cast<Cell>(lane) : cell);
    unsigned int later = same & ~1u << lane;  // lanes whose values this lane may still take
    int rank = __popc(same & ((1u << lane) - 1));
    const bool is_first = rank == 0;
    if constexpr (R == Reduction::none) return is_first;
    while (__any_sync(~0u, later != 0)) {  // each turn halves the lanes that have a value
        const int next = __ffs(later);
        const Sum other = __shfl_sync(~0u, value, next - 1);
        if (next != 0) value = reduced<R>(value, other);
        later &= __ballot_sync(~0u, rank % 2 == 0);
        rank /= 2;
    }
    return is_first;
}

// Return how many lanes of a warp meet in the first one's cell.
template <typename Cell> __device__ __forceinline__ int meeting(Cell cell) {
    const Cell first = __shfl_sync(~0u, cell, 0);
    return __popc(__ballot_sync(~0u, cell != NO_CELL<Cell> && cell == first));
}

// Reduce a value of each lane of a warp into its cell, or into none. Lanes that meet in a cell take turns at an atomic
// operation, unless many of them meet: then their values are combined before.
template <Reduction R, typename Sum>
__device__ __forceinline__ void reduce_into_cells(Sum* sums, int cell, Sum value, bool do_many_meet) {
    if constexpr (R != Reduction::none) {
        if (do_many_meet && !combine_equal_cells<R>(cell, value)) return;
    }
    if (cell != NO_CELL<int>) reduce_into<R>(sums + cell, value);
}
