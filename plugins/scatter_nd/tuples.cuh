// Find the row of data that a tuple of indices names.

#pragma once

using pluginkit::MAX_DEPTH;  // from launches.py

// The dimensions of data that a tuple indexes.
template <typename Offset> struct Sizes { Offset size[MAX_DEPTH]; };

// Return whether the tuple lies inside data; set `row` to the row that it names. All indices are loaded at once.
template <typename Offset>
__device__ __forceinline__ bool find_row(const long long* tuple, int depth, const Sizes<Offset>& sizes, Offset& row) {
    long long index[MAX_DEPTH];
#pragma unroll
    for (int d = 0; d < MAX_DEPTH; ++d) index[d] = d < depth ? tuple[d] : 0;
    bool is_inside = true;
    row = 0;
#pragma unroll
    for (int d = 0; d < MAX_DEPTH; ++d) {
        if (d == depth) break;
        if (index[d] < 0) index[d] += sizes.size[d];
        is_inside &= index[d] >= 0 && index[d] < static_cast<long long>(sizes.size[d]);
        row = row * sizes.size[d] + static_cast<Offset>(index[d]);
    }
    return is_inside;
}
