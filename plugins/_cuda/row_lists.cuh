// Reduce rows of updates into rows of data. link_rows, or a similar kernel, finds the row of data of each row of updates,
// its target, and lists the first SLOTS updates of each row of data, with which gather_rows writes it once. Further
// updates, at hubs, overflow: start_overflow gives each row of data a stretch of an order of them, place_overflow writes
// them there, and reduce_overflow reduces SEGMENT of them at a time, with one atomic operation for those of one row.
// With Reduction::none, link_rows keeps the last update of each row of data. row_lists.py is the host side.

#pragma once

#include "device.cuh"
#include "reduce.cuh"

// From row_lists.py.
using pluginkit::EMPTY_BYTE, pluginkit::SEGMENT, pluginkit::SLOTS, pluginkit::STARTED_ROWS, pluginkit::STATE_BYTES,
    pluginkit::VECTOR_BYTES, pluginkit::WARP_LANES;

// The initial value of every int of the state and the heads. A head is UNTOUCHED plus the number of updates, or with
// Reduction::none the last update.
constexpr int UNTOUCHED = static_cast<int>(EMPTY_BYTE * 0x01010101u);
// Targets are noted of updates that overflow. Others go to no row of data, to a slot, or to several rows.
constexpr int NO_TARGET = UNTOUCHED, IN_SLOT = UNTOUCHED - 1, IRREGULAR = UNTOUCHED - 2;
static_assert(UNTOUCHED < 0, "no row");

struct RowState {
    int has_irregular_row;  // UNTOUCHED while every row of indices is constant
    int has_overflow;       // UNTOUCHED while no row of data has more than SLOTS updates
    int sampled_irregular;  // UNTOUCHED plus the irregular rows among those that one in SAMPLING warps looks at
    int ordered;            // UNTOUCHED plus the updates that have a place in the order
};
static_assert(sizeof(RowState) <= STATE_BYTES);

constexpr int ROWS_AT_ONCE = 4;  // rows of updates that a thread loads at once
static_assert(SLOTS % ROWS_AT_ONCE == 0 && SEGMENT % ROWS_AT_ONCE == 0);

// The threads of a warp that work together: LANES of them, which take a row.
template <int LANES> struct LaneGroup {
    int lane = threadIdx.x % LANES;
    int shift = threadIdx.x % WARP_LANES / LANES * LANES;
    unsigned int members = (LANES == WARP_LANES ? ~0u : (1u << LANES % WARP_LANES) - 1) << shift;

    // Return a bit for each lane of the group where the condition holds.
    __device__ __forceinline__ unsigned int vote(bool condition) const {
        return (__ballot_sync(members, condition) & members) >> shift;
    }

    __device__ __forceinline__ int from(int value, int source) const {
        return __shfl_sync(members, value, source, LANES);
    }
};

// Return the vector of a row of updates that begins at element `at`.
template <typename T, int N>
__device__ __forceinline__ Pack<T, N> load_row(const T* updates, long long row, int inner, int at) {
    return load_once(reinterpret_cast<const Pack<T, N>*>(updates + row * inner + at));
}

// List the update of each lane, or none where the target is negative. All lanes of a warp take part; those with the same
// target count together, so that few meet at one head. Return what to note as the target.
__device__ __forceinline__ int list_update(RowState* state, int* heads, int* slots, int* ranks, int update, int target) {
    const int lane = threadIdx.x % WARP_LANES;
    const unsigned int same = __match_any_sync(~0u, target);
    const int first = __ffs(same) - 1;
    int before = 0;
    if (lane == first && target >= 0) before = atomicAdd(heads + target, __popc(same)) - UNTOUCHED;
    const int rank = __shfl_sync(~0u, before, first) + __popc(same & ((1u << lane) - 1));
    if (target < 0) return target;
    if (rank < SLOTS) {
        slots[static_cast<long long>(target) * SLOTS + rank] = update;
        return IN_SLOT;
    }
    ranks[update] = rank - SLOTS;
    state->has_overflow = 1;
    return target;
}

// Give the overflow of each row of data a stretch of the order; the stretches of a block lie side by side, and the blocks
// in any order. All blocks run at once.
__global__ void start_overflow(const int* __restrict__ heads, int* __restrict__ starts, RowState* state, int rows) {
    __shared__ int warp_starts[WARP_LANES];
    __shared__ int block_start;
    if (state->has_overflow == UNTOUCHED) return;
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES, each = blockDim.x * STARTED_ROWS;
    for (long long begin = blockIdx.x * static_cast<long long>(each); begin < rows; begin += gridDim.x * each) {
        int size[STARTED_ROWS], sum = 0;
#pragma unroll
        for (int k = 0; k < STARTED_ROWS; ++k) {
            const long long row = begin + k * blockDim.x + threadIdx.x;
            size[k] = row < rows ? max(heads[row] - UNTOUCHED - SLOTS, 0) : 0;
            sum += size[k];
        }
        const int through = inclusive_sum_over_warp(sum);
        if (lane == WARP_LANES - 1) warp_starts[warp] = through;
        __syncthreads();
        if (warp == 0) {
            const int own = lane < blockDim.x / WARP_LANES ? warp_starts[lane] : 0, total = inclusive_sum_over_warp(own);
            warp_starts[lane] = total - own;
            if (lane == WARP_LANES - 1 && total > 0) block_start = atomicAdd(&state->ordered, total) - UNTOUCHED;
        }
        __syncthreads();
        int start = block_start + warp_starts[warp] + through - sum;
#pragma unroll
        for (int k = 0; k < STARTED_ROWS; ++k) {
            if (size[k] > 0) starts[begin + k * blockDim.x + threadIdx.x] = start;
            start += size[k];
        }
        __syncthreads();
    }
}

// Write the updates that overflow into the order. All blocks run at once.
__global__ void place_overflow(int* __restrict__ order, const int* __restrict__ targets, const int* __restrict__ ranks,
                               const int* __restrict__ starts, const RowState* state, int rows) {
    if (state->has_overflow == UNTOUCHED) return;
    const long long step = gridDim.x * static_cast<long long>(blockDim.x);
#pragma unroll 4
    for (long long row = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x; row < rows; row += step) {
        const int target = targets[row];
        if (target >= 0) order[starts[target] + ranks[row]] = static_cast<int>(row);
    }
}

// Combine each output row with the updates in its slots. The grid's second dimension counts pieces of a row, each of
// `piece` elements and LANES threads. A row is a multiple of VECTOR bytes. Where these are few, a thread takes SPAN of them
// at once.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                            const int* __restrict__ heads, const int* __restrict__ slots, int rows, int inner,
                            int piece) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1, SPAN = VECTOR < VECTOR_BYTES ? 2 : 1;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = heads[row], listed = R == Reduction::none ? head >= 0 : min(head - UNTOUCHED, SLOTS);
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int first = begin + threadIdx.x % LANES * N; first < end; first += SPAN * LANES * N) {
        const auto is_inside = [&](int s) { return s == 0 || first + s * LANES * N < end; };
        const auto load = [&](const T* source, long long from, Pack<T, N>(&vectors)[SPAN]) {
#pragma unroll
            for (int s = 0; s < SPAN; ++s) {
                if (is_inside(s)) vectors[s] = load_row<T, N>(source, from, inner, first + s * LANES * N);
            }
        };
        Pack<T, N> result[SPAN];
        load(data, row, result);
        if constexpr (R == Reduction::none) {
            if (listed > 0) load(updates, head, result);
        } else if (listed > 0) {
            Accumulator sum[SPAN][N];
#pragma unroll
            for (int i = 0; i < SPAN * N; ++i) sum[i / N][i % N] = static_cast<Accumulator>(result[i / N].value[i % N]);
            for (int taken = 0; taken < listed; taken += ROWS_AT_ONCE) {
                int source[ROWS_AT_ONCE];
                Pack<T, N> update[ROWS_AT_ONCE][SPAN];
#pragma unroll
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {
                    if (taken + k < listed) source[k] = slots[row * SLOTS + taken + k];
                }
#pragma unroll
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {
                    if (taken + k < listed) load(updates, source[k], update[k]);
                }
#pragma unroll
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {
                    if (taken + k >= listed) continue;
#pragma unroll
                    for (int i = 0; i < SPAN * N; ++i) {
                        const auto value = static_cast<Accumulator>(update[k][i / N].value[i % N]);
                        sum[i / N][i % N] = reduced<R>(sum[i / N][i % N], value);
                    }
                }
            }
#pragma unroll
            for (int i = 0; i < SPAN * N; ++i) result[i / N].value[i % N] = static_cast<T>(sum[i / N][i % N]);
        }
#pragma unroll
        for (int s = 0; s < SPAN; ++s) {
            if (is_inside(s)) store_once(reinterpret_cast<Pack<T, N>*>(output + row * inner + first + s * LANES * N), result[s]);
        }
    }
}

// Reduce the updates that overflow into the output, atomically. LANES threads take a segment of the order, and a vector of
// each row; they combine the updates of one row first, which lie side by side. All blocks run at once.
template <typename T, Reduction R, int LANES, int VECTOR>
__device__ void reduce_overflow(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                                const int* __restrict__ targets, const int* __restrict__ order, int inner) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    if (state->has_overflow == UNTOUCHED) return;
    const int ordered = state->ordered - UNTOUCHED, groups = blockDim.x / LANES, step = gridDim.x * groups * SEGMENT;
    const int begin = (blockIdx.x * groups + threadIdx.x / LANES) * SEGMENT;
    for (int first = begin; first < ordered; first += min(step, ordered - first)) {
        const int last = min(first + SEGMENT, ordered);
        for (int at = (blockIdx.y * LANES + threadIdx.x % LANES) * N; at < inner; at += gridDim.y * LANES * N) {
            Accumulator sum[N];
            int held = NO_TARGET;  // the target of the sum
            const auto flush = [&] {
                if (held == NO_TARGET) return;
                Pack<T, N> total;
#pragma unroll
                for (int n = 0; n < N; ++n) total.value[n] = static_cast<T>(sum[n]);
                reduce_pack<R>(output + static_cast<long long>(held) * inner + at, total);
            };
            for (int place = first; place < last; place += ROWS_AT_ONCE) {
                Pack<T, N> update[ROWS_AT_ONCE];
                int target[ROWS_AT_ONCE];
#pragma unroll
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {
                    if (place + k >= last) continue;
                    const int row = order[place + k];
                    target[k] = targets[row];
                    update[k] = load_row<T, N>(updates, row, inner, at);
                }
#pragma unroll
                for (int k = 0; k < ROWS_AT_ONCE; ++k) {
                    if (place + k >= last) continue;
                    const bool is_new = target[k] != held;
                    if (is_new) flush();
                    held = target[k];
#pragma unroll
                    for (int n = 0; n < N; ++n) {
                        const auto value = static_cast<Accumulator>(update[k].value[n]);
                        sum[n] = is_new ? value : reduced<R>(sum[n], value);
                    }
                }
            }
            flush();
        }
    }
}

// The same as a kernel.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void finish_overflow(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                                const int* __restrict__ targets, const int* __restrict__ order, int inner) {
    reduce_overflow<T, R, LANES, VECTOR>(output, updates, state, targets, order, inner);
}
