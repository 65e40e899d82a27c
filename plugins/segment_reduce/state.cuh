// What the kernels of SegmentReduce share: keys, and how an index names a row.

#pragma once

using pluginkit::WARP;  // from launches.py

// Set by kernels; all 0 before.
struct State {
    int is_unsorted;  // whether a key is less than the one before it
    int are_new[1];   // for each level of items, whether it has any; as many as the workspace holds
};

// The flag of an item without a value. Keys are rows of y; the number of rows stands for no row.
constexpr unsigned NO_VALUE = 1u << 31;
constexpr unsigned BEFORE_ALL = NO_VALUE - 1, AFTER_ALL = NO_VALUE - 2;

// Return the row that an index names, or -1 if there is none. A negative index counts from the end.
template <typename I> __device__ __forceinline__ int row_of(I index, int rows) {
    const long long row = index < 0 ? static_cast<long long>(index) + rows : static_cast<long long>(index);
    return static_cast<unsigned long long>(row) < rows ? static_cast<int>(row) : -1;
}
