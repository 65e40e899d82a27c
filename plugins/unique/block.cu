// Unique of few slices whose words fit into a key: a block sorts them in its shared memory, numbers the runs, and writes all
// results.

#include "numbers.cuh"
#include "slices.cuh"
#include "sweep.cuh"

// What the block works on; one after the other.
template <typename Key, int COUNT> union BlockMemory {
    DigitCounts counts;
    Key keys[COUNT];
    struct {
        unsigned short runs[COUNT];    // of each position, with FIRST where the run begins
        unsigned short starts[COUNT];  // of each run, in the order of the keys
        unsigned short places[COUNT];  // of each run, in the order of the results
    } found;
};
constexpr unsigned short FIRST = 0x8000;

template <typename T, typename Key, int ITEMS>
__global__ void __launch_bounds__(SHORT_THREADS)
    unique_of_block(T* __restrict__ y, long long* __restrict__ indices, long long* __restrict__ inverse,
                    long long* __restrict__ counts, int* __restrict__ found, const T* __restrict__ x, Slices slices,
                    bool is_sorted) {
    constexpr int COUNT = SHORT_THREADS * ITEMS;
    __shared__ BlockMemory<Key, COUNT> memory;
    __shared__ unsigned short positions[COUNT];
    const int warp = threadIdx.x / 32, begin = warp * 32 * ITEMS + threadIdx.x % 32, items = slices.count;
    const auto key_at = [&](int item) {
        return slice_key<T, Key>(reinterpret_cast<const Bits<T>*>(x), slices, Bits<T>{0}, item);
    };
    Key keys[ITEMS];
    unsigned short own_positions[ITEMS];
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {  // those of no slice come last, as the sort is stable
        const int item = begin + 32 * i;
        own_positions[i] = static_cast<unsigned short>(item);
        keys[i] = item < items ? key_at(item) : static_cast<Key>(~Key{0});
    }
    const Key first = key_at(0);
    Key varying = 0;
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) varying |= begin + 32 * i < items ? keys[i] ^ first : Key{0};
#pragma unroll 1
    for (int bit = 0; bit < static_cast<int>(8 * sizeof(Key)); bit += DIGIT_BITS) {
        if (!__syncthreads_or(static_cast<int>(varying >> bit) & (DIGITS - 1))) continue;
        const auto digit_at = [&](int i) { return static_cast<int>(keys[i] >> bit) & (DIGITS - 1); };
        auto ranks = ranks_in_warp<ITEMS>(memory.counts[warp], digit_at);
        __syncthreads();
        const int lower = sum_of_lower_digits(threadIdx.x < DIGITS ? count_of_digit(memory.counts) : 0);
        if (threadIdx.x < DIGITS) place_counts(memory.counts, lower);
        __syncthreads();
        int places[ITEMS];
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) places[i] = ranks.get(i) + memory.counts[warp][digit_at(i)];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) memory.keys[places[i]] = keys[i], positions[places[i]] = own_positions[i];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) keys[i] = memory.keys[begin + 32 * i], own_positions[i] = positions[begin + 32 * i];
        // What follows waits before it writes.
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) memory.keys[begin + 32 * i] = keys[i], positions[begin + 32 * i] = own_positions[i];
    __syncthreads();

    const auto of_block = [](int) { return 0u; };
    auto *const runs = memory.found.runs, *const starts = memory.found.starts, *const places = memory.found.places;
    const int total = number_items_of_tile<SHORT_THREADS, ITEMS>(
        0, items, [&](int item) { return item == 0 || memory.keys[item] != memory.keys[item - 1]; },
        [&](int item, bool is_first, int run) {
            runs[positions[item]] = static_cast<unsigned short>(is_first ? run | FIRST : run);
            if (is_first) starts[run] = static_cast<unsigned short>(item), places[run] = static_cast<unsigned short>(run);
        },
        of_block);
    __syncthreads();
    if (!is_sorted) {
        number_items_of_tile<SHORT_THREADS, ITEMS>(
            0, items, [&](int position) { return (runs[position] & FIRST) != 0; },
            [&](int position, bool is_first, int place) {
                if (is_first) places[runs[position] & ~FIRST] = static_cast<unsigned short>(place);
            },
            of_block);
        __syncthreads();
    }
    for (int item = threadIdx.x; item < items; item += SHORT_THREADS) inverse[item] = places[runs[item] & ~FIRST];
    for (int run = threadIdx.x; run < total; run += SHORT_THREADS) {
        const int place = places[run], start = starts[run];
        indices[place] = positions[start];
        counts[place] = (run + 1 < total ? starts[run + 1] : items) - start;
    }
    if (threadIdx.x == 0) *found = total;
    __syncthreads();
    for (int i = threadIdx.x; i < total * slices.elements; i += SHORT_THREADS) {
        y[i] = x[slices.place(i, total, [&](int place) { return static_cast<int>(indices[place]); })];
    }
}
