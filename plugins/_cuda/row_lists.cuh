// Reduce rows of updates into rows of data. A plugin's kernel finds the target of each row of updates, the row of data that
// it goes to, and links it into the list of that row; gather_rows writes each output row once, with the first updates of
// its list. A list is linked by the positions of updates; a negative one ends it.
//
// One group of threads would walk a long list for too long. What gather_rows leaves over of long lists is therefore put
// side by side: count_long_lists, start_long_lists and fill_long_lists do so, and reduce_long_lists shares it evenly among
// groups of threads. They have nothing to do where no list is long. row_lists.py is the host side.

#pragma once

#include "device.cuh"
#include "reduce.cuh"

// From row_lists.py.
using pluginkit::EMPTY_BYTE, pluginkit::LONG_LIST_BYTES, pluginkit::PLACED_AT_ONCE, pluginkit::SHORT_VECTORS,
    pluginkit::STATE_BYTES, pluginkit::VECTOR_BYTES, pluginkit::WARP_LANES;

// The initial value of every int of the state, the heads, and a bit for each row of data that is 1 while its list is not
// known to be long.
constexpr int UNTOUCHED = static_cast<int>(EMPTY_BYTE * 0x01010101u);
// Targets: the row of updates goes to no row of data, or its elements go to different ones.
constexpr int NO_TARGET = UNTOUCHED, IRREGULAR = UNTOUCHED - 1;
static_assert(UNTOUCHED < 0, "no position in a list");

struct RowState {
    int has_irregular_row;  // UNTOUCHED while every row of indices is constant
    int sampled_irregular;  // UNTOUCHED plus the irregular rows among those that one in SAMPLING warps looks at
    int long_lists;         // UNTOUCHED plus their number
};
static_assert(sizeof(RowState) <= STATE_BYTES);

// What gather_rows leaves over of a list.
struct LongList {
    int row;    // of data
    int size;   // the updates
    int start;  // their place among those of all long lists, in the order of these
};
static_assert(sizeof(LongList) == LONG_LIST_BYTES);

constexpr int UPDATES_AT_ONCE = 4;  // rows of updates that a thread of the long lists loads at once
constexpr int LEAST_SHARE = 32;     // updates of long lists that a group of threads takes at least

// Return a target that occurs often among those of a warp, COUNT in each lane, as that of a hub of a graph: one that lanes
// near each other share. Return NO_TARGET if there is none.
template <int COUNT> __device__ __forceinline__ int hub_of(const int (&target)[COUNT]) {
    int hub = NO_TARGET;
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        bool is_shared = false;
#pragma unroll
        for (int distance = 1; distance <= 4; distance *= 2) is_shared |= __shfl_xor_sync(~0u, target[k], distance) == target[k];
        const unsigned int sharing = __ballot_sync(~0u, is_shared && target[k] >= 0);
        if (hub < 0 && sharing != 0) hub = __shfl_sync(~0u, target[k], __ffs(sharing) - 1);
    }
    return hub;
}

// Put updates at the head of the lists of their targets, or nowhere where these are negative, and note what comes next in
// the list. Each lane of a warp has COUNT of them, of which the k-th is `update + k * step` and those of successive lanes
// are successive. Those of a hub are linked among each other, so that one of them meets those of other warps at the head.
template <int COUNT>
__device__ __forceinline__ void link_updates(int* heads, int update, int step, const int (&target)[COUNT],
                                             int (&following)[COUNT]) {
    const int lane = threadIdx.x % WARP_LANES, hub = hub_of(target);
    unsigned int same[COUNT];  // a bit for each lane whose update goes to the hub
    int last = UNTOUCHED, previous = UNTOUCHED;
    const auto highest = [&](int k, unsigned int lanes) { return update + k * step - lane + WARP_LANES - 1 - __clz(lanes); };
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        same[k] = __ballot_sync(~0u, hub >= 0 && target[k] == hub);
        if (same[k] != 0) last = highest(k, same[k]);
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        const bool is_at_hub = same[k] >> lane & 1;
        const unsigned int before = same[k] & ((1u << lane) - 1);
        if (before != 0) previous = highest(k, before);
        following[k] = is_at_hub ? previous : UNTOUCHED;
        if (following[k] < 0 && target[k] >= 0) {
            following[k] = atomicExch(heads + target[k], is_at_hub ? last : update + k * step);
        }
        if (same[k] != 0) previous = highest(k, same[k]);
    }
}

// Return the vector of a row that begins at element `at`.
template <typename T, int N>
__device__ __forceinline__ Pack<T, N> load_row(const T* tensor, long long row, int inner, int at) {
    return load_once(reinterpret_cast<const Pack<T, N>*>(tensor + row * inner + at));
}

// What a thread takes of a row at once: vectors of N elements, LANES vectors apart, from element `first` on and before
// `end`. It takes several where vectors are short.
template <typename T, int LANES, int VECTOR> struct RowPart {
    using Accumulator = typename AccumulatorOf<T>::type;
    static constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    static constexpr int VECTORS = VECTOR < VECTOR_BYTES ? SHORT_VECTORS : 1;
    static constexpr int STEP = LANES * N, GROUP = VECTORS * STEP;  // elements from one vector to the next; of all lanes
    struct Values { Pack<T, N> vector[VECTORS]; };
    struct Sums { Accumulator value[VECTORS][N]; };
    int first, end;

    __device__ __forceinline__ bool has(int v) const { return v == 0 || first + v * STEP < end; }

    __device__ __forceinline__ Values load(const T* tensor, long long row, int inner) const {
        Values values;
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            if (has(v)) values.vector[v] = load_row<T, N>(tensor, row, inner, first + v * STEP);
        }
        return values;
    }

    __device__ __forceinline__ void store(T* tensor, long long row, int inner, const Values& values) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            T* target = tensor + row * inner + first + v * STEP;
            if (has(v)) store_once(reinterpret_cast<Pack<T, N>*>(target), values.vector[v]);
        }
    }

    template <Reduction R>
    __device__ __forceinline__ void reduce_into(T* tensor, long long row, int inner, const Values& values) const {
#pragma unroll
        for (int v = 0; v < VECTORS; ++v) {
            if (has(v)) reduce_pack<R>(tensor + row * inner + first + v * STEP, values.vector[v]);
        }
    }

    __device__ __forceinline__ static Sums widened(const Values& values) {
        Sums sums;
#pragma unroll
        for (int i = 0; i < VECTORS * N; ++i) sums.value[i / N][i % N] = static_cast<Accumulator>(values.vector[i / N].value[i % N]);
        return sums;
    }

    __device__ __forceinline__ static Values narrowed(const Sums& sums) {
        Values values;
#pragma unroll
        for (int i = 0; i < VECTORS * N; ++i) values.vector[i / N].value[i % N] = static_cast<T>(sums.value[i / N][i % N]);
        return values;
    }

    template <Reduction R> __device__ __forceinline__ static void reduce(Sums& sums, const Values& values) {
        const Sums wide = widened(values);
#pragma unroll
        for (int i = 0; i < VECTORS * N; ++i) {
            sums.value[i / N][i % N] = reduced<R>(sums.value[i / N][i % N], wide.value[i / N][i % N]);
        }
    }
};

// Note a long list. The updates that gather_rows takes have no target any more.
__device__ __forceinline__ void note_long_list(RowState* state, LongList* long_lists, unsigned int* are_short,
                                               int* numbers, int* targets, const int* next, int row, int head, int taken) {
    const int number = atomicAdd(&state->long_lists, 1) - UNTOUCHED;
    long_lists[number] = {row, 0, 0};
    numbers[row] = number;
    atomicAnd(are_short + row / WARP_LANES, ~(1u << row % WARP_LANES));
    for (int listed = head; taken > 0; --taken, listed = next[listed]) targets[listed] = NO_TARGET;
}

// The registers of a thread of gather_rows. The more threads wait for rows, the faster these arrive: with 32 registers a
// multiprocessor has as many threads as it can. Shorter types have more sums.
template <typename T> constexpr int GATHERING_REGISTERS = sizeof(T) == 4 ? 32 : sizeof(T) == 1 ? 128 : 40;

// Combine each output row with its list of updates, or the first `most` of them. The grid's second dimension counts pieces
// of a row, each of `piece` elements and LANES threads. A row is a multiple of VECTOR bytes.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void __maxnreg__(GATHERING_REGISTERS<T>)
    gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates, RowState* state,
                const int* __restrict__ heads, const int* __restrict__ next, LongList* __restrict__ long_lists,
                unsigned int* __restrict__ are_short, int* __restrict__ numbers, int* __restrict__ targets, int rows,
                int inner, int piece, int most) {
    using Part = RowPart<T, LANES, VECTOR>;
    const int lane = threadIdx.x % LANES;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = heads[row];
    bool is_long = false;
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int first = begin + lane * Part::N; first < end; first += Part::GROUP) {
        const Part part{first, end};
        auto result = part.load(data, row, inner);
        if (head >= 0) {
            auto update = part.load(updates, head, inner);
            if constexpr (R == Reduction::none) {
                result = update;
            } else {
                // While one row of updates is on its way, the next one of the list is found and asked for.
                auto sums = Part::widened(result);
                int listed = next[head];
                for (int taken = 1; listed >= 0 && taken < most; ++taken) {
                    const auto following = part.load(updates, listed, inner);
                    listed = next[listed];
                    Part::template reduce<R>(sums, update);
                    update = following;
                }
                Part::template reduce<R>(sums, update);
                result = Part::narrowed(sums);
                is_long = listed >= 0;
            }
        }
        part.store(output, row, inner, result);
    }
    if constexpr (R != Reduction::none) {
        if (!is_long || lane != 0 || blockIdx.y != 0) return;
        note_long_list(state, long_lists, are_short, numbers, targets, next, static_cast<int>(row), head, most);
    }
}

// Count what is left over of each long list. The target of an update becomes the number of its long list, or NO_TARGET
// if gather_rows has taken it, and its rank is its place in the list. All blocks run at once, of whole warps.
__global__ void count_long_lists(const RowState* state, LongList* __restrict__ long_lists,
                                 const unsigned int* __restrict__ are_short, const int* __restrict__ numbers,
                                 int* __restrict__ targets, int* __restrict__ ranks, int updates) {
    if (state->long_lists == UNTOUCHED) return;
    const int lane = threadIdx.x % WARP_LANES;
    const long long step = gridDim.x * static_cast<long long>(blockDim.x);
    long long update = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    for (; update - lane < updates; update += PLACED_AT_ONCE * step) {
        int target[PLACED_AT_ONCE], number[PLACED_AT_ONCE], rank[PLACED_AT_ONCE];
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) target[k] = update + k * step < updates ? targets[update + k * step] : NO_TARGET;
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {  // the bits stay in the L1 cache
            const bool is_long = target[k] >= 0 && (are_short[target[k] / WARP_LANES] >> target[k] % WARP_LANES & 1) == 0;
            number[k] = is_long ? numbers[target[k]] : NO_TARGET;
        }
        const int hub = hub_of(number);
        int start = 0, at_hub = 0;
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            const unsigned int same = __ballot_sync(~0u, hub >= 0 && number[k] == hub);
            rank[k] = at_hub + __popc(same & ((1u << lane) - 1));
            at_hub += __popc(same);
        }
        if (lane == 0 && hub >= 0) start = atomicAdd(&long_lists[hub].size, at_hub);
        start = __shfl_sync(~0u, start, 0);
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            if (number[k] >= 0 && number[k] != hub) rank[k] = atomicAdd(&long_lists[number[k]].size, 1);
            else rank[k] += start;
        }
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            if (target[k] < 0) continue;
            targets[update + k * step] = number[k];
            ranks[update + k * step] = rank[k];
        }
    }
}

// Place the long lists side by side. There is one block.
__global__ void start_long_lists(const RowState* state, LongList* long_lists) {
    __shared__ int warp_sums[WARP_LANES];
    const int lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES, count = state->long_lists - UNTOUCHED;
    int start = 0;
    for (int begin = 0; begin < count; begin += blockDim.x * PLACED_AT_ONCE) {
        const int first = begin + threadIdx.x * PLACED_AT_ONCE;
        int size[PLACED_AT_ONCE], sum = 0;
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            size[k] = first + k < count ? long_lists[first + k].size : 0;
            sum += size[k];
        }
        const int through = inclusive_sum_over_warp(sum);
        if (lane == WARP_LANES - 1) warp_sums[warp] = through;
        __syncthreads();
        const int sums = inclusive_sum_over_warp(lane < blockDim.x / WARP_LANES ? warp_sums[lane] : 0);
        const int before = __shfl_sync(~0u, sums, max(warp - 1, 0));
        int own = start + (warp == 0 ? 0 : before) + through - sum;
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            if (first + k < count) long_lists[first + k].start = own;
            own += size[k];
        }
        start += __shfl_sync(~0u, sums, WARP_LANES - 1);
        __syncthreads();
    }
}

// Write what is left over of long lists side by side. All blocks run at once.
__global__ void fill_long_lists(const RowState* state, const LongList* __restrict__ long_lists,
                                const int* __restrict__ targets, const int* __restrict__ ranks,
                                int* __restrict__ left_over, int updates) {
    if (state->long_lists == UNTOUCHED) return;
    const long long step = gridDim.x * static_cast<long long>(blockDim.x);
    long long update = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
    for (; update < updates; update += PLACED_AT_ONCE * step) {
        int number[PLACED_AT_ONCE], place[PLACED_AT_ONCE];
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            number[k] = update + k * step < updates ? targets[update + k * step] : NO_TARGET;
            if (number[k] >= 0) place[k] = ranks[update + k * step];
        }
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            if (number[k] >= 0) place[k] += long_lists[number[k]].start;
        }
#pragma unroll
        for (int k = 0; k < PLACED_AT_ONCE; ++k) {
            if (number[k] >= 0) left_over[place[k]] = static_cast<int>(update + k * step);
        }
    }
}

// Reduce what is left over of long lists. Each group of LANES threads takes as many updates, and reduces those of one list
// before it adds them to the output row atomically. The grid's second dimension counts pieces of a row. All blocks run at
// once.
template <typename T, Reduction R, int LANES, int VECTOR>
__device__ void reduce_long_lists(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                                  const LongList* __restrict__ long_lists, const int* __restrict__ left_over, int inner) {
    using Part = RowPart<T, LANES, VECTOR>;
    const int count = state->long_lists - UNTOUCHED;
    if (count == 0) return;
    const int total = long_lists[count - 1].start + long_lists[count - 1].size;
    const int groups = gridDim.x * (blockDim.x / LANES), share = max((total - 1) / groups + 1, LEAST_SHARE);
    const int group = blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
    if (group > (total - 1) / share) return;
    int at = group * share, number = 0;
    const int last = min(share, total - at) + at;
    for (int high = count - 1; number < high;) {  // the list that `at` lies in
        const int middle = number + (high - number + 1) / 2;
        if (long_lists[middle].start <= at) number = middle;
        else high = middle - 1;
    }
    for (; at < last; ++number) {
        const LongList list = long_lists[number];
        const int end = min(last, list.start + list.size);
        for (int first = blockIdx.y * Part::GROUP + threadIdx.x % LANES * Part::N; first < inner; first += gridDim.y * Part::GROUP) {
            const Part part{first, inner};
            auto sums = Part::widened(part.load(updates, left_over[at], inner));
            for (int place = at + 1; place < end; place += UPDATES_AT_ONCE) {
                typename Part::Values update[UPDATES_AT_ONCE];
#pragma unroll
                for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                    if (place + k < end) update[k] = part.load(updates, left_over[place + k], inner);
                }
#pragma unroll
                for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                    if (place + k < end) Part::template reduce<R>(sums, update[k]);
                }
            }
            part.template reduce_into<R>(output, list.row, inner, Part::narrowed(sums));
        }
        at = end;
    }
}

// The same as a kernel.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void finish_long_lists(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                                  const LongList* __restrict__ long_lists, const int* __restrict__ left_over, int inner) {
    reduce_long_lists<T, R, LANES, VECTOR>(output, updates, state, long_lists, left_over, inner);
}
