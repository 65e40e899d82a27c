// The elements of a row that may be among the first k, where several blocks share a row.

#pragma once

#include "rows.cuh"

using pluginkit::CANDIDATES_BYTES, pluginkit::SPARE;  // from launches.py

// What is known of the candidates of a row; all zero at the start.
struct Candidates {
    int count;
    int digits;  // how many digits of the k-th key they were chosen by
};
static_assert(sizeof(Candidates) == CANDIDATES_BYTES);

// How many candidates of a row there may be.
__device__ __forceinline__ long long room_of(const Rows& rows) {
    return min(rows.k + SPARE, rows.size);
}
