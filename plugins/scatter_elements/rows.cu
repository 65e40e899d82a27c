// The rows variant: if every row of indices along the inner dimensions is constant, as in a graph network, rows of
// updates go to rows of data. link_rows builds the lists, and gather_rows of row_lists.cuh combines the rows.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"

using pluginkit::ROWS_A_WARP, pluginkit::WARP;  // from launches.py

// Add each row of updates to the list of its output row, and find out whether all rows of indices are constant. A row
// of indices is a multiple of VECTOR_BYTES. With KEEP_LAST only the last update of an output row is kept.
template <typename Tind, bool KEEP_LAST>
__global__ void link_rows(const Tind* __restrict__ indices, RowState* state, int* heads, int* next, int rows, int count,
                          int axis_size, int inner) {
    constexpr int N = VECTOR_BYTES / sizeof(Tind);
    const int lane = threadIdx.x % WARP;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x / WARP) + threadIdx.x / WARP) * ROWS_A_WARP;
    if (first >= rows) return;
    const int listed = min(static_cast<long long>(ROWS_A_WARP), rows - first);
    indices += first * inner;
    Tind lead = 0;
    bool is_uniform = true;
    for (int at = lane * N; at - lane * N < inner; at += WARP * N) {
        Pack<Tind, N> index[ROWS_A_WARP];
        if (at < inner) {
#pragma unroll
            for (int r = 0; r < ROWS_A_WARP; ++r) {
                const long long row = r < listed ? static_cast<long long>(r) * inner : 0;
                index[r] = load_once(reinterpret_cast<const Pack<Tind, N>*>(indices + row + at));
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS_A_WARP; ++r) {
            if (at == lane * N) {
                const Tind shared = __shfl_sync(~0u, index[r].value[0], 0);
                if (lane == r) lead = shared;
            }
            const Tind expected = __shfl_sync(~0u, lead, r);
            if (at < inner && r < listed) {
#pragma unroll
                for (int n = 0; n < N; ++n) is_uniform &= index[r].value[n] == expected;
            }
        }
    }
    if (!is_uniform) state->is_uniform = 0;
    if (lane >= listed) return;
    const int row = static_cast<int>(first) + lane;
    const int place = place_of(lead, axis_size);
    if (place < 0) return;
    int* head = heads + static_cast<long long>(row / count) * axis_size + place;
    if constexpr (KEEP_LAST) atomicMax(head, row);
    else next[row] = atomicExch(head, row);
}
