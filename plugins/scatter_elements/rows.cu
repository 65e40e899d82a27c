// The rows variant: where a row of indices along the inner dimensions is constant, as in a graph network, a row of
// updates goes to a row of data. link_rows builds the lists, gather_rows of row_lists.cuh combines the rows,
// and finish_rows takes the rows of long lists and those whose indices are not constant.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"

using pluginkit::ROWS_A_WARP;  // from launches.py

constexpr int SAMPLING = 64;  // counting every irregular row would make all warps meet at one counter

// Add each row of updates to the list of its output row, or note that its indices are not constant. A row of indices is
// a multiple of VECTOR bytes. With KEEP_LAST only the last update of an output row is kept; without heads only the
// targets are noted.
template <typename Tind, bool KEEP_LAST, int VECTOR>
__global__ void link_rows(const Tind* __restrict__ indices, RowState* state, int* heads, int* next, int* targets,
                          int rows, int count, int axis_size, int inner) {
    constexpr int N = VECTOR > sizeof(Tind) ? VECTOR / sizeof(Tind) : 1;
    const int lane = threadIdx.x % WARP_LANES;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x / WARP_LANES) + threadIdx.x / WARP_LANES) * ROWS_A_WARP;
    if (first >= rows) return;
    const int listed = min(static_cast<long long>(ROWS_A_WARP), rows - first);
    indices += first * inner;
    Tind lead = 0;
    unsigned int irregular = 0;  // a bit for each row
    for (int at = lane * N; at - lane * N < inner; at += WARP_LANES * N) {
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
                for (int n = 0; n < N; ++n) irregular |= static_cast<unsigned int>(index[r].value[n] != expected) << r;
            }
        }
    }
    bool is_irregular = false;
#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        const bool differs = __any_sync(~0u, irregular >> r & 1);
        if (lane == r) is_irregular = differs;
    }
    const unsigned int found = __ballot_sync(~0u, is_irregular && lane < listed);
    if (found != 0 && lane == 0) {
        state->has_irregular_row = 1;
        if (first / ROWS_A_WARP % SAMPLING == 0) atomicAdd(&state->sampled_irregular, __popc(found));
    }
    if (lane >= listed) return;
    const int row = static_cast<int>(first) + lane;
    const int place = place_of(lead, axis_size);
    const int target = row / count * axis_size + place;
    targets[row] = is_irregular ? IRREGULAR : place < 0 ? NO_TARGET : target;
    if (is_irregular || place < 0 || heads == nullptr) return;
    if constexpr (KEEP_LAST) atomicMax(heads + target, row);
    else next[row] = atomicExch(heads + target, row);
}

// Reduce the rows of updates whose indices are not constant, each element with an atomic. A group of LANES threads
// looks at LANES rows and takes the irregular ones, some at once. All blocks run at once. They go through the output in
// slices of the axis, each of which fits into the L2 cache.
template <typename T, typename Tind, Reduction R, int LANES>
__device__ void reduce_irregular_rows(T* __restrict__ output, const Tind* __restrict__ indices,
                                      const T* __restrict__ updates, const int* __restrict__ targets, int rows,
                                      int count, int axis_size, int inner, int slice) {
    constexpr int AT_ONCE = 4;
    const LaneGroup<LANES> group;
    const long long width = inner, total = rows / count * axis_size * width;
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x) / LANES * LANES;
    for (int low = 0; low < axis_size; low += slice) {
        const int high = min(axis_size - low, slice) + low;
        for (long long window = first; window < rows; window += step) {
            const bool is_irregular = window + group.lane < rows && targets[window + group.lane] == IRREGULAR;
            for (unsigned int rest = group.vote(is_irregular); rest != 0;) {
                int row[AT_ONCE];
#pragma unroll
                for (int k = 0; k < AT_ONCE; ++k) {
                    row[k] = rest != 0 ? static_cast<int>(window) + __ffs(rest) - 1 : -1;
                    rest &= rest - 1;
                }
                for (int at = blockIdx.y * LANES + group.lane; at < inner; at += gridDim.y * LANES) {
                    int place[AT_ONCE] = {-1, -1, -1, -1};
                    T update[AT_ONCE];
#pragma unroll
                    for (int k = 0; k < AT_ONCE; ++k) {
                        if (row[k] >= 0) place[k] = place_of(__ldcs(indices + row[k] * width + at), axis_size);
                    }
#pragma unroll
                    for (int k = 0; k < AT_ONCE; ++k) {
                        if (place[k] >= low && place[k] < high) update[k] = updates[row[k] * width + at];
                    }
#pragma unroll
                    for (int k = 0; k < AT_ONCE; ++k) {
                        if (place[k] < low || place[k] >= high) continue;
                        const long long target = (row[k] / count * axis_size + place[k]) * width + at;
                        reduce_one<R>(output, target, total, update[k]);
                    }
                }
            }
        }
    }
}

// Do what gather_rows has left: the rows of long lists, and those whose indices are not constant. Usually there are
// none.
template <typename T, typename Tind, Reduction R, int LANES, int VECTOR>
__global__ void finish_rows(T* __restrict__ output, const Tind* __restrict__ indices, const T* __restrict__ updates,
                            const RowState* state, const int* __restrict__ heads, const int* __restrict__ targets,
                            int rows, int count, int axis_size, int inner, int stretch, int slice) {
    if constexpr (R != Reduction::none) {
        if (state->has_long_list != UNTOUCHED) {
            reduce_long_lists<T, R, LANES, VECTOR>(output, updates, heads, targets, rows, inner, stretch);
        }
    }
    if (state->has_irregular_row == UNTOUCHED) return;
    // Every slice takes a look at all targets, which few rows are not worth.
    const bool are_many = state->sampled_irregular - UNTOUCHED >= rows / (16 * SAMPLING);
    if (!are_many) slice = axis_size;
    reduce_irregular_rows<T, Tind, R, LANES>(output, indices, updates, targets, rows, count, axis_size, inner, slice);
}
