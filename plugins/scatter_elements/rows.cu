// The rows variant: where a row of indices along the inner dimensions is constant, as in a graph network, a row of
// updates goes to a row of data. link_rows links these into lists, the kernels of row_lists.cuh combine them, and
// finish_irregular_rows takes the rows whose indices are not constant.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"

using pluginkit::ROWS_A_WARP;  // from launches.py

constexpr int SAMPLING = 64;  // counting every irregular row would make all blocks meet at one counter

// The threads of a warp that work together: LANES of them, which take a row.
template <int LANES> struct LaneGroup {
    int lane = threadIdx.x % LANES;
    int shift = threadIdx.x % WARP_LANES / LANES * LANES;
    unsigned int members = (LANES == WARP_LANES ? ~0u : (1u << LANES % WARP_LANES) - 1) << shift;

    // Return a bit for each lane of the group where the condition holds.
    __device__ __forceinline__ unsigned int vote(bool condition) const {
        return (__ballot_sync(members, condition) & members) >> shift;
    }
};

// Add each row of updates to the list of its output row, or note that its indices are not constant. A row of indices is
// a multiple of VECTOR bytes. A block takes WARP_LANES rows, each of its warps ROWS_A_WARP. With KEEP_LAST only the last
// update of an output row is kept; without heads only the targets are noted.
template <typename Tind, bool KEEP_LAST, int VECTOR>
__global__ void link_rows(const Tind* __restrict__ indices, RowState* state, int* heads, int* next, int* targets,
                          int rows, int count, int axis_size, int inner) {
    __shared__ int targets_of_block[WARP_LANES];
    constexpr int N = VECTOR > sizeof(Tind) ? VECTOR / sizeof(Tind) : 1;
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    const long long block_first = blockIdx.x * static_cast<long long>(WARP_LANES), first = block_first + warp * ROWS_A_WARP;
    const int listed = max(min(static_cast<long long>(ROWS_A_WARP), rows - first), 0LL);
    indices += min(first, rows - 1LL) * inner;
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
    if (lane < ROWS_A_WARP) {
        const int place = place_of(lead, axis_size), row = static_cast<int>(first) + lane;
        const int target = lane >= listed || place < 0 ? NO_TARGET : row / count * axis_size + place;
        targets_of_block[warp * ROWS_A_WARP + lane] = is_irregular ? IRREGULAR : target;
    }
    __syncthreads();
    if (warp != 0) return;
    const int row = static_cast<int>(block_first) + lane, target[1] = {targets_of_block[lane]};
    const unsigned int found = __ballot_sync(~0u, lane < rows - block_first && target[0] == IRREGULAR);
    if (found != 0 && lane == 0) {  // stores to one address take turns
        volatile int* const has_irregular_row = &state->has_irregular_row;
        if (*has_irregular_row == UNTOUCHED) *has_irregular_row = 1;
        if (blockIdx.x % SAMPLING == 0) atomicAdd(&state->sampled_irregular, __popc(found));
    }
    if (lane < rows - block_first) targets[row] = target[0];
    if (heads == nullptr) return;
    if constexpr (KEEP_LAST) {
        if (target[0] >= 0) atomicMax(heads + target[0], row);
    } else {
        int following[1];
        link_updates(heads, row, 0, target, following);
        if (target[0] >= 0) next[row] = following[0];
    }
}

// Reduce the rows of updates whose indices are not constant, each element with an atomic. A group of LANES threads
// looks at LANES rows and takes the irregular ones, some at once.
template <typename T, typename Tind, Reduction R, int LANES>
__device__ void reduce_irregular_rows(T* __restrict__ output, const Tind* __restrict__ indices,
                                      const T* __restrict__ updates, const int* __restrict__ targets, int rows,
                                      int count, int axis_size, int inner) {
    constexpr int AT_ONCE = 4;
    const LaneGroup<LANES> group;
    const long long width = inner, total = rows / count * axis_size * width;
    const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x) / LANES * LANES;
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
                    if (row[k] < 0) continue;
                    place[k] = place_of(__ldcs(indices + row[k] * width + at), axis_size);
                    update[k] = updates[row[k] * width + at];
                }
#pragma unroll
                for (int k = 0; k < AT_ONCE; ++k) {
                    if (place[k] < 0) continue;
                    const long long target = (row[k] / count * axis_size + place[k]) * width + at;
                    reduce_one<R>(output, target, total, update[k]);
                }
            }
        }
    }
}

// The same where many rows are irregular: a thread takes some vectors of indices at once. All blocks run at once and go
// through the output in slices of the axis, each of which fits into the L2 cache. A row of indices is a multiple of
// VECTOR bytes.
template <typename T, typename Tind, Reduction R, int VECTOR>
__device__ void reduce_many_irregular_rows(T* __restrict__ output, const Tind* __restrict__ indices,
                                           const T* __restrict__ updates, const int* __restrict__ targets, int rows,
                                           int count, int axis_size, int inner, int slice) {
    constexpr int AT_ONCE = 2, N = VECTOR > sizeof(Tind) ? VECTOR / sizeof(Tind) : 1;
    const int vectors = inner / N;  // of a row
    const long long width = inner, total = rows / count * axis_size * width;
    const long long step = static_cast<long long>(gridDim.x) * gridDim.y * blockDim.x;
    const long long first = (blockIdx.y * gridDim.x + blockIdx.x) * static_cast<long long>(blockDim.x) + threadIdx.x;
    const long long step_rows = step / vectors;
    const int step_rest = static_cast<int>(step % vectors);
    for (int low = 0; low < axis_size; low += slice) {
        const int high = min(axis_size - low, slice) + low;
        int vector = static_cast<int>(first % vectors);
        for (long long row = first / vectors; row < rows;) {
            int place[AT_ONCE][N], source_row[AT_ONCE], column[AT_ONCE];
            Pack<T, N> update[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                const bool is_irregular = row < rows && targets[row] == IRREGULAR;
                source_row[k] = is_irregular ? static_cast<int>(row) : -1;
                column[k] = vector * N;
                row += step_rows;
                vector += step_rest;
                if (vector >= vectors) {
                    vector -= vectors;
                    ++row;
                }
            }
            Pack<Tind, N> index[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                if (source_row[k] < 0) continue;
                const Tind* source = indices + source_row[k] * width + column[k];
                index[k] = load_once(reinterpret_cast<const Pack<Tind, N>*>(source));
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                bool is_inside = false;
#pragma unroll
                for (int n = 0; n < N; ++n) {
                    place[k][n] = place_of(index[k].value[n], source_row[k] < 0 ? 0 : axis_size);
                    is_inside |= place[k][n] >= low && place[k][n] < high;
                }
                if (!is_inside) continue;
                update[k] = *reinterpret_cast<const Pack<T, N>*>(updates + source_row[k] * width + column[k]);
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
#pragma unroll
                for (int n = 0; n < N; ++n) {
                    if (place[k][n] < low || place[k][n] >= high) continue;
                    const long long output_row = source_row[k] / count * axis_size + place[k][n];
                    reduce_one<R>(output, output_row * width + column[k] + n, total, update[k].value[n]);
                }
            }
        }
    }
}

// Take the rows whose indices are not constant. Usually there are none.
template <typename T, typename Tind, Reduction R, int LANES, int VECTOR>
__global__ void finish_irregular_rows(T* __restrict__ output, const Tind* __restrict__ indices,
                                      const T* __restrict__ updates, const RowState* state,
                                      const int* __restrict__ targets, int rows, int count, int axis_size, int inner,
                                      int slice) {
    if (state->has_irregular_row == UNTOUCHED) return;
    // Every slice takes a look at all targets, which few rows are not worth.
    const bool are_many = state->sampled_irregular - UNTOUCHED >= rows / (16 * SAMPLING);
    if (are_many) {
        reduce_many_irregular_rows<T, Tind, R, VECTOR>(output, indices, updates, targets, rows, count, axis_size, inner,
                                                       slice);
    } else {
        reduce_irregular_rows<T, Tind, R, LANES>(output, indices, updates, targets, rows, count, axis_size, inner);
    }
}
