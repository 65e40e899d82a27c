// TopK of some results of rows that the registers of a block hold. Each bit of the k-th key is found by counting the keys that
// are at least as large, from the most significant bit on, until a warp can sort those that are left.

#include "rows.cuh"
#include "warp_sort.cuh"

using pluginkit::SELECT_ITEMS, pluginkit::SELECT_WARPS;  // from launches.py

// Return the sum of the numbers of all threads to each of them. Calls take turns with the two rows of `counts`, in which the
// warps that the block lacks count nothing.
__device__ __forceinline__ int sum_over_block(int own, int (&counts)[SELECT_WARPS]) {
    own = sum_over_warp(own);
    if (threadIdx.x % 32 == 0) counts[threadIdx.x / 32] = own;
    __syncthreads();
    int sum = 0;
#pragma unroll
    for (int warp = 0; warp < SELECT_WARPS; ++warp) sum += counts[warp];
    return sum;
}

// The elements of a row that a thread holds, as many apart as there are threads. Beyond the row keys are 0.
template <typename Key> struct Held {
    Key keys[SELECT_ITEMS];

    __device__ __forceinline__ static int place(int item) {
        return static_cast<int>(item * blockDim.x + threadIdx.x);
    }
    __device__ __forceinline__ int count_from(Key lowest) const {
        int count = 0;
#pragma unroll
        for (int item = 0; item < SELECT_ITEMS; ++item) count += keys[item] >= lowest;
        return count;
    }
    // Whether an element has a larger key than `lowest`, or has it at a place before `end`.
    __device__ __forceinline__ bool is_first(int item, Key lowest, int end) const {
        return keys[item] > lowest || (keys[item] == lowest && place(item) < end);
    }
    __device__ __forceinline__ int count_first(Key lowest, int end) const {
        int count = 0;
#pragma unroll
        for (int item = 0; item < SELECT_ITEMS; ++item) count += is_first(item, lowest, end);
        return count;
    }
};

template <typename T, bool LARGEST> __device__ __forceinline__ Held<Bits<T>> held_of(const Source<T, false>& source) {
    Held<Bits<T>> held;
#pragma unroll
    for (int item = 0; item < SELECT_ITEMS; ++item) {  // without a branch, so that all loads are in flight at once
        held.keys[item] = source.bits(min(held.place(item), source.size - 1));
    }
#pragma unroll
    for (int item = 0; item < SELECT_ITEMS; ++item) {
        const Bits<T> key = wanted_key_of<LARGEST, T>(held.keys[item]);
        held.keys[item] = held.place(item) < source.size ? key : Bits<T>{0};
    }
    return held;
}

// A row has at most SELECT_ITEMS elements for each thread, and at most 32 * EACH results.
template <typename T, bool LARGEST, int EACH>
__global__ void __launch_bounds__(32 * SELECT_WARPS, sizeof(T) > 4 ? 2 : 4)
    select_rows(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    using Value = Ranked<sizeof(T)>;
    constexpr int ROOM = 32 * EACH;
    __shared__ Key found_keys[ROOM];
    __shared__ unsigned places[33 * EACH];  // of what is found, then of what is sorted
    __shared__ int counts[2][SELECT_WARPS], taken;
    const auto source = source_of<T, false>(x, rows, blockIdx.x, 0);
    const int size = source.size, k = static_cast<int>(rows.k);
    if (threadIdx.x < 2 * SELECT_WARPS) counts[threadIdx.x / SELECT_WARPS][threadIdx.x % SELECT_WARPS] = 0;
    if (threadIdx.x == 0) taken = 0;
    const Held<Key> held = held_of<T, LARGEST>(source);
    __syncthreads();

    Key lowest = 0;
    int count = size, end = size, turn = 0;
    for (int bit = 8 * sizeof(Key) - 1; bit >= 0 && count > ROOM; --bit) {
        const Key tried = static_cast<Key>(lowest | static_cast<Key>(Key{1} << bit));
        const int sum = sum_over_block(held.count_from(tried), counts[turn++ % 2]);
        if (sum >= k) lowest = tried, count = sum;
    }
    if (count > ROOM) {  // many equal the k-th key; of these the first ones count
        end = 0;
        for (int bit = 31 - __clz(size); bit >= 0; --bit) {
            const int sum = sum_over_block(held.count_first(lowest, end + (1 << bit)), counts[turn++ % 2]);
            if (sum <= k) end += 1 << bit, count = sum;
        }
    }
    unsigned own = 0;
#pragma unroll
    for (int item = 0; item < SELECT_ITEMS; ++item) own |= held.is_first(item, lowest, end) ? 1u << item : 0u;
    int at = own != 0 ? atomicAdd(&taken, __popc(own)) : 0;
#pragma unroll
    for (int item = 0; item < SELECT_ITEMS; ++item) {
        if (own >> item & 1) found_keys[at] = held.keys[item], places[at++] = held.place(item);
    }
    __syncthreads();
    if (threadIdx.x >= 32) return;

    const int lane = threadIdx.x;
    Value sorted[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {  // in any order, of which the place is a part
        const int found = i * 32 + lane;
        sorted[i] = {};
        if (found < count) sorted[i] = Value::of(found_keys[found], places[found]);
    }
    sort(sorted);
    write_sorted(sorted, places, k, source, target_of(y, indices, rows, blockIdx.x));
}
