// Reduce rows of updates into rows of data. A plugin's kernel finds the target of each row of updates, the row of data that
// it goes to, and links it into the list of that row; gather_rows writes each output row once, with the first updates of
// its list.
//
// One group of threads would walk a long list for too long. It is therefore cut into segments: one among SEGMENT successive
// updates begins one, and a link says whether the update that it names does. gather_rows leaves a long list where a segment
// begins, and finish_long_lists takes the other segments, each with a thread that walks it. It has nothing to do where no
// list is long. row_lists.py is the host side.

#pragma once

#include "device.cuh"
#include "reduce.cuh"

// From row_lists.py.
using pluginkit::EMPTY_BYTE, pluginkit::FINISHING_BLOCK, pluginkit::SEGMENT, pluginkit::SHORT_VECTORS,
    pluginkit::STATE_BYTES, pluginkit::VECTOR_BYTES, pluginkit::WARP_LANES;

// The initial value of every int of the state, the heads, and a bit for each row of data that is 1 while its list is not
// known to be long.
constexpr int UNTOUCHED = static_cast<int>(EMPTY_BYTE * 0x01010101u);
// Targets: the row of updates goes to no row of data, or its elements go to different ones.
constexpr int NO_TARGET = UNTOUCHED, IRREGULAR = UNTOUCHED - 1;
static_assert(UNTOUCHED < 0, "no position in a list");

struct RowState {
    int has_irregular_row;  // UNTOUCHED while every row of indices is constant
    int sampled_irregular;  // UNTOUCHED plus the irregular rows among those that one in SAMPLING blocks looks at
    int has_long_list;      // UNTOUCHED while gather_rows leaves nothing over
};
static_assert(sizeof(RowState) <= STATE_BYTES);

constexpr int UPDATES_AT_ONCE = 4;  // rows of updates that a thread loads at once where it knows them
constexpr int WALKED = 16;          // updates of a segment that a lane finds before they are taken

// Return the update that begins a segment, one among SEGMENT successive ones. It is drawn by a hash, so that hardly a
// pattern of targets avoids it.
__device__ __forceinline__ unsigned int segment_start(unsigned int window) {
    unsigned int hash = window * 0x9E3779B1u;
    hash = (hash ^ hash >> 16) * 0x85EBCA6Bu;
    return window * SEGMENT + hash / (0x100000000 / SEGMENT);
}

// Return the link that names an update: its position, or a negative number if a segment begins there.
__device__ __forceinline__ int link_to(int update) {
    const bool begins_segment = segment_start(static_cast<unsigned int>(update) / SEGMENT) == update;
    return begins_segment ? UNTOUCHED - 1 - update : update;
}

// Return the position of the update that a link names, which is not UNTOUCHED.
__device__ __forceinline__ int linked_update(int link) { return link >= 0 ? link : UNTOUCHED - 1 - link; }

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

// Put updates at the head of the lists of their targets, or nowhere where these are negative, and set `following` to the
// links to what comes next. Each lane of a warp has COUNT of them, of which the k-th is `update + k * step` and those of
// successive lanes are successive. Those of a hub are linked among each other, so that one of them meets those of other
// warps at the head.
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
        following[k] = UNTOUCHED;
        if (is_at_hub && previous >= 0) following[k] = link_to(previous);
        else if (target[k] >= 0) following[k] = atomicExch(heads + target[k], link_to(is_at_hub ? last : update + k * step));
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
        Values values{};  // zero beyond the row: the compiler moves undefined values about, which waits for loads
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

    template <Reduction R> __device__ __forceinline__ static Sums neutral_sums() {
        Sums sums;
#pragma unroll
        for (int i = 0; i < VECTORS * N; ++i) sums.value[i / N][i % N] = neutral<R, Accumulator>();
        return sums;
    }

    template <Reduction R> __device__ __forceinline__ static void reduce(Sums& sums, const Values& values) {
        const Sums wide = widened(values);
#pragma unroll
        for (int i = 0; i < VECTORS * N; ++i) {
            sums.value[i / N][i % N] = reduced<R>(sums.value[i / N][i % N], wide.value[i / N][i % N]);
        }
    }

    // Reduce rows of updates whose positions lie DISTANCE ints apart, some at once.
    template <Reduction R, int DISTANCE>
    __device__ __forceinline__ void reduce_listed(Sums& sums, const T* updates, const int* listed, int size, int inner) const {
        for (int place = 0; place < size; place += UPDATES_AT_ONCE) {
            Values update[UPDATES_AT_ONCE];
#pragma unroll
            for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                if (place + k < size) update[k] = load(updates, listed[(place + k) * DISTANCE], inner);
            }
#pragma unroll
            for (int k = 0; k < UPDATES_AT_ONCE; ++k) {
                if (place + k < size) reduce<R>(sums, update[k]);
            }
        }
    }
};

// Note a long list. Of the updates that gather_rows takes, from `link` on, those that begin a segment lose their target.
__device__ __forceinline__ void note_long_list(RowState* state, unsigned int* are_short, int* targets, const int* next,
                                               unsigned int row, int link, int taken) {
    state->has_long_list = 1;
    atomicAnd(are_short + row / WARP_LANES, ~(1u << row % WARP_LANES));
    for (; taken > 0; --taken) {
        const int update = linked_update(link);
        if (link < 0) targets[update] = NO_TARGET;
        link = next[update];
    }
}

// The registers of a thread of gather_rows. The more threads wait for rows, the faster these arrive: with 32 registers a
// multiprocessor has as many threads as it can. Shorter types have more sums.
template <typename T> constexpr int GATHERING_REGISTERS = sizeof(T) == 4 ? 32 : sizeof(T) == 1 ? 128 : 40;

// Combine each output row with its list of updates, or with the first ones of a long list: at least `most`, up to where a
// segment begins. The grid's second dimension counts pieces of a row, each of `piece` elements and LANES threads. A row is
// a multiple of VECTOR bytes.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void __maxnreg__(GATHERING_REGISTERS<T>)
    gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates, RowState* state,
                const int* __restrict__ heads, const int* __restrict__ next, unsigned int* __restrict__ are_short,
                int* __restrict__ targets, int rows, int inner, int piece, int most) {
    using Part = RowPart<T, LANES, VECTOR>;
    const int lane = threadIdx.x % LANES;
    const unsigned int row = blockIdx.x * (blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = heads[row];
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int first = begin + lane * Part::N; first < end; first += Part::GROUP) {
        const Part part{first, end};
        const bool is_written = R == Reduction::none && head != UNTOUCHED;
        auto result = part.load(is_written ? updates : data, is_written ? head : row, inner);
        if (R != Reduction::none && head != UNTOUCHED) {
            // While one row of updates is on its way, the next one of the list is found and asked for.
            auto sums = Part::widened(result);
            auto update = part.load(updates, linked_update(head), inner);
            int link = next[linked_update(head)], taken = 1;
            for (; link >= 0 || (link != UNTOUCHED && taken < most); ++taken) {
                link = linked_update(link);
                const auto following = part.load(updates, link, inner);
                link = next[link];
                Part::template reduce<R>(sums, update);
                update = following;
            }
            Part::template reduce<R>(sums, update);
            result = Part::narrowed(sums);
            if (link != UNTOUCHED && first == 0) note_long_list(state, are_short, targets, next, row, head, taken);
        }
        part.store(output, row, inner, result);
    }
}

// Reduce the segments of long lists that gather_rows leaves over. Each lane of a warp looks at a window of updates, then at
// another, and walks the segment that begins there, WALKED updates at once, which the warp's groups of LANES threads then
// take in turn. A group reduces successive updates of one output row before it adds them to that atomically. The grid's
// second dimension counts pieces of a row.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void __launch_bounds__(FINISHING_BLOCK)
    finish_long_lists(T* __restrict__ output, const T* __restrict__ updates, const RowState* state,
                      const unsigned int* __restrict__ are_short, const int* __restrict__ next,
                      const int* __restrict__ targets, int count, int inner) {
    using Part = RowPart<T, LANES, VECTOR>;
    constexpr int GROUPS = WARP_LANES / LANES;
    if (state->has_long_list == UNTOUCHED) return;
    __shared__ int walked[WALKED][FINISHING_BLOCK];
    const int lane = threadIdx.x % WARP_LANES;
    const unsigned int first_window = blockIdx.x * FINISHING_BLOCK, windows = (count + SEGMENT - 1) / SEGMENT;
    for (int begin = blockIdx.y * Part::GROUP; begin < inner; begin += gridDim.y * Part::GROUP) {
        const Part part{begin + lane % LANES * Part::N, inner};
        const bool is_inside = part.first < inner;
        typename Part::Sums sums;
        int row = NO_TARGET;
        for (unsigned int window = first_window; window < windows; window += gridDim.x * FINISHING_BLOCK) {
            const unsigned int start = segment_start(window + threadIdx.x);
            int target = start < count ? targets[start] : NO_TARGET;
            if (target >= 0 && (are_short[target / WARP_LANES] >> target % WARP_LANES & 1) != 0) target = NO_TARGET;
            int link = target >= 0 ? static_cast<int>(start) : UNTOUCHED;
            while (__any_sync(~0u, link >= 0)) {
                int found = 0;
                for (; found < WALKED && link >= 0; ++found) {
                    walked[found][threadIdx.x] = link;
                    link = next[link];
                }
                __syncwarp();
                unsigned int owners = __ballot_sync(~0u, found > 0);
                for (int group = lane / LANES; group > 0; --group) owners &= owners - 1;
                while (__any_sync(~0u, owners != 0)) {
                    const int owner = owners != 0 ? __ffs(owners) - 1 : lane;
                    const int found_there = __shfl_sync(~0u, found, owner), row_there = __shfl_sync(~0u, target, owner);
                    const int size = owners != 0 && is_inside ? found_there : 0;
                    if (size > 0 && row_there != row) {
                        if (row >= 0) part.template reduce_into<R>(output, row, inner, Part::narrowed(sums));
                        row = row_there;
                        sums = Part::template neutral_sums<R>();
                    }
                    part.template reduce_listed<R, FINISHING_BLOCK>(sums, updates, &walked[0][threadIdx.x - lane + owner],
                                                                    size, inner);
                    for (int group = GROUPS; group > 0; --group) owners &= owners - 1;
                }
                __syncwarp();
            }
        }
        if (row >= 0) part.template reduce_into<R>(output, row, inner, Part::narrowed(sums));
    }
}
