// TopK of short rows, for few results: a warp takes a row. Each lane finds the largest key of each half of its elements. The
// k-th of these says which keys may be among the first k. The warp collects them, since they are few, and ranks them.

#include "../_cuda/warp_extremes.cuh"
#include "rows.cuh"

using pluginkit::LOADS, pluginkit::SHORT_ROOM, pluginkit::SHORT_THREADS;  // from launches.py

// Call visit(i, is_inside, load, bits) for every element, with all lanes at once. Several loads are in flight at once.
template <typename Key, typename BitsAt, typename Visit>
__device__ __forceinline__ void for_each_of_warp(const BitsAt& bits_at, int size, const Visit& visit) {
    const int lane = threadIdx.x % 32;
    for (int base = 0; base < size; base += 32 * LOADS) {
        Key loaded[LOADS] = {};
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            if (base + 32 * load >= size) break;
            const int i = base + 32 * load + lane;
            if (i < size) loaded[load] = bits_at(i);
        }
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            if (base + 32 * load >= size) break;
            const int i = base + 32 * load + lane;
            visit(i, i < size, load, loaded[load]);
        }
    }
}

// Return a key that is not above the k-th of two keys of each lane; 0 is the lowest key.
template <typename Key> __device__ __forceinline__ Key kth_in_warp(Key one, Key other, int k) {
    Key larger = max(one, other), smaller = min(one, other);
    for (int found = 1; found < k; ++found) {
        const unsigned lanes = __ballot_sync(~0u, larger == highest_of<32>(larger));
        if (static_cast<int>(threadIdx.x % 32) == __ffs(lanes) - 1) larger = smaller, smaller = 0;
    }
    return highest_of<32>(larger);
}

// Find one result after another, each among all elements that come after the one before.
template <typename Key, typename KeyAt, typename Write>
__device__ void write_one_by_one(const KeyAt& key_at, int size, int k, const Write& write) {
    Key last_key = 0;
    int last = -1;
    for (int j = 0; j < k; ++j) {
        Key best = 0;
        int place = size;  // of the best; the size if there is none
        for (int i = threadIdx.x % 32; i < size; i += 32) {
            const Key key = key_at(i);
            const bool is_left = j == 0 || key < last_key || (key == last_key && i > last);
            if (is_left && (place == size || key > best)) best = key, place = i;
        }
        last_key = highest_of<32>(best);
        // Of equal keys the first one counts.
        const bool has_it = place < size && best == last_key;
        last = static_cast<int>(least_of<32>(has_it ? static_cast<unsigned>(place) : ~0u));
        if (threadIdx.x % 32 == 0) write(j, last);
    }
}

template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(SHORT_THREADS)
    short_rows(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows,
               long long row_count) {
    using Key = Bits<T>;
    __shared__ Key all_keys[SHORT_THREADS / 32][SHORT_ROOM];
    __shared__ int all_places[SHORT_THREADS / 32][SHORT_ROOM];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long row = blockIdx.x * (SHORT_THREADS / 32LL) + warp;
    if (row >= row_count) return;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    const auto target = target_of(y, indices, rows, row);
    const auto bits_at = [&](int i) { return source.bits(i); };
    const auto write = [&](int j, int place) { target.write(j, source.bits(place), place); };
    const int size = source.size, k = static_cast<int>(rows.k);
    Key* keys = all_keys[warp];
    int* places = all_places[warp];

    Key largest[2] = {};
    for_each_of_warp<Key>(bits_at, size, [&](int, bool is_inside, int load, Key bits) {
        const Key key = wanted_key_of<LARGEST, T>(bits);
        if (is_inside && key > largest[load % 2]) largest[load % 2] = key;
    });
    const Key lowest = kth_in_warp(largest[0], largest[1], k);
    const Threshold<LARGEST, T> threshold(lowest);
    const unsigned lower_lanes = (1u << lane) - 1;
    int count = 0, tied = 0;  // of the keys that equal the lowest one the first k are enough
    for_each_of_warp<Key>(bits_at, size, [&](int i, bool is_inside, int, Key bits) {
        const bool passes = is_inside && threshold.passes(bits);
        if (__ballot_sync(~0u, passes) == 0) return;
        const Key key = wanted_key_of<LARGEST, T>(bits);
        const unsigned ties = __ballot_sync(~0u, passes && key == lowest);
        const bool is_first = key == lowest && tied + __popc(ties & lower_lanes) < k;
        const bool is_taken = passes && (key > lowest || is_first);
        const unsigned taken = __ballot_sync(~0u, is_taken);
        const int position = count + __popc(taken & lower_lanes);
        if (is_taken && position < SHORT_ROOM) keys[position] = key, places[position] = i;
        count += __popc(taken), tied += __popc(ties);
    });
    __syncwarp();
    if (count > SHORT_ROOM) {
        write_one_by_one<Key>([&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); }, size, k, write);
        return;
    }
    for (int own = lane; own < count; own += 32) {
        const Key key = keys[own];
        int before = 0;
        for (int other = 0; other < count; ++other) {
            before += keys[other] > key || (keys[other] == key && other < own);
        }
        if (before < k) write(before, places[own]);
    }
}
