// KthValue: find elements by their rank, digit by digit from the most significant one on, without sorting.
//
//   kth_of_short_rows  LANES threads hold a row in registers, and look at a bit at a time
//   kth_of_rows        a block takes a rank of a row; once few keys have the known digits, they stay in shared memory
//   kth_of_segments    several blocks share a row; it runs for each digit, which the last block of a row finds
//
// The digits of a key are the key: what is written is the value that has it. NaN is the largest value.

#include "../_cuda/ordered_keys.cuh"
#include "../_cuda/radix_select.cuh"

using pluginkit::CAPACITY, pluginkit::SHORT_THREADS, pluginkit::STATE_BYTES;  // from __init__.py

// Element i of row r is at x[r / inner * inner * size + r % inner + i * inner], and rank j likewise in y. Positions are
// where results are, or the same for every row.
struct Layout {
    long long inner;
    long long size;      // elements of a row
    long long ranks;     // results of a row
    long long segments;  // blocks that share a row
    long long is_shared;
    long long is_largest;  // whether positions count from the largest element on

    __device__ __forceinline__ long long result(long long row, long long rank) const {
        return row / inner * inner * ranks + row % inner + rank * inner;
    }
    // Return how many elements come after the wanted one, which is the last, or first, if there is none so far away.
    __device__ __forceinline__ int above(const long long* positions, long long row, long long rank) const {
        long long position = positions[is_shared ? rank : result(row, rank)];
        position = min(max(position < 0 ? position + size : position, 0LL), size - 1);
        return static_cast<int>(is_largest ? position : size - 1 - position);
    }
};

// The elements of a row, or of a segment of it.
template <typename T> struct Source {
    const Bits<T>* values;
    long long stride;
    int size;

    __device__ Source(const T* x, const Layout& layout, long long row, long long segment)
        : values(reinterpret_cast<const Bits<T>*>(x) + row / layout.inner * layout.inner * layout.size +
                 row % layout.inner),
          stride(layout.inner) {
        const long long each = (layout.size + layout.segments - 1) / layout.segments, first = min(segment * each, layout.size);
        values += first * stride;
        size = static_cast<int>(min(each, layout.size - first));
    }
    __device__ __forceinline__ Bits<T> key(int i) const { return key_of<T>(__ldg(values + i * stride)); }
};

template <typename T> __device__ __forceinline__ void write(T* y, Bits<T> key) {
    *reinterpret_cast<Bits<T>*>(y) = bits_of_key<T>(key);
}

// Combine the values of the LANES threads that share a row.
template <int LANES, typename Value, typename Combine>
__device__ __forceinline__ Value over_lanes(Value value, const Combine& combine) {
    const unsigned lanes = static_cast<unsigned>((1ull << LANES) - 1) << (threadIdx.x % 32 / LANES * LANES);
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) {
        value = combine(value, static_cast<Value>(__shfl_xor_sync(lanes, value, step)));
    }
    return value;
}

template <int LANES> __device__ __forceinline__ int sum_over_lanes(int value) {
    if constexpr (LANES == 32) return sum_over_warp(value);
    return over_lanes<LANES>(value, [](int a, int b) { return a + b; });
}

template <typename T, int LANES, int ITEMS>
__global__ void __launch_bounds__(SHORT_THREADS)
    kth_of_short_rows(T* __restrict__ y, const T* __restrict__ x, const long long* __restrict__ positions, Layout layout,
                      long long rows) {
    using Key = Bits<T>;
    constexpr Key MOST = static_cast<Key>(~Key{0});
    const long long row = static_cast<long long>(blockIdx.x) * (SHORT_THREADS / LANES) + threadIdx.x / LANES;
    const int lane = threadIdx.x % LANES;
    if (row >= rows) return;
    int above = layout.above(positions, row, 0);  // is read while keys are
    const Source<T> source(x, layout, row, 0);
    const Key first = source.key(0);
    Key keys[ITEMS], varying = 0;
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) {
        const bool is_there = i * LANES + lane < source.size;
        keys[i] = is_there ? source.key(i * LANES + lane) : MOST;  // is below nothing
        if (is_there) varying |= static_cast<Key>(keys[i] ^ first);
    }
    varying = over_lanes<LANES>(varying, [](Key a, Key b) { return static_cast<Key>(a | b); });
    for (int rank = 0; rank < layout.ranks; ++rank) {
        // Up to `wanted` keys are below `known`, the bits that are known so far; it is one of `high - low` keys.
        const int wanted = source.size - 1 - above;
        if (rank + 1 < layout.ranks) above = layout.above(positions, row, rank + 1);
        Key known = static_cast<Key>(first & ~varying);
        int low = 0, high = source.size;
        for (int bit = 8 * sizeof(Key) - 1; bit >= 0 && high - low > 1; --bit) {
            if (!(varying >> bit & 1)) continue;
            const Key next = static_cast<Key>(known | static_cast<Key>(Key{1} << bit));
            int below = 0;
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) below += keys[i] < next;
            below = sum_over_lanes<LANES>(below);
            if (wanted >= below) {
                known = next, low = below;
            } else {
                high = below;
            }
        }
        Key found = MOST;
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) {
            if (keys[i] >= known) found = min(found, keys[i]);
        }
        found = over_lanes<LANES>(found, [](Key a, Key b) { return min(a, b); });
        if (lane == 0) write(y + layout.result(row, rank), found);
    }
}

// Count the next digit of the keys that have the known digits. A thread adds up what it finds one after the other, so that
// equal keys cost few atomics.
template <typename Key, typename KeyAt>
__device__ void count_digit(const KeyAt& key_at, int size, const Selection<Key>& selection, Histogram& histogram) {
    histogram.clear();
    for (int base = 0; base < size; base += THREADS * LOADS) {
        Key keys[LOADS];
        load_keys(key_at, size, base, keys);
        int last = -1, run = 0;
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const bool is_there = base + load * THREADS + threadIdx.x < size;
            if (!is_there || static_cast<Key>(keys[load] & selection.mask) != selection.prefix) continue;
            const int digit = selection.next_digit(keys[load]);
            if (digit != last && run > 0) atomicAdd(&histogram.bins[last], run), run = 0;
            last = digit, ++run;
        }
        if (run > 0) atomicAdd(&histogram.bins[last], run);
    }
    __syncthreads();
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    kth_of_rows(T* __restrict__ y, const T* __restrict__ x, const long long* __restrict__ positions, Layout layout) {
    using Key = Bits<T>;
    __shared__ Histogram histogram;
    __shared__ Key kept[CAPACITY];
    __shared__ int count;
    const long long row = blockIdx.x / layout.ranks, rank = blockIdx.x % layout.ranks;
    const Source<T> source(x, layout, row, 0);
    const int k = layout.above(positions, row, rank) + 1;
    const auto key_at = [&](int i) { return source.key(i); };
    Selection<Key> selection;
    selection.equal = source.size;
    bool are_kept = false;
    while (selection.shift > 0) {
        if (!are_kept && selection.equal <= CAPACITY) {
            are_kept = true;
            const bool are_all = selection.mask == 0;
            if (threadIdx.x == 0) count = are_all ? source.size : 0;
            __syncthreads();
            for_each_key<Key>(key_at, source.size, [&](int i, Key key) {
                if (are_all) {
                    kept[i] = key;
                } else if (static_cast<Key>(key & selection.mask) == selection.prefix) {
                    kept[atomicAdd(&count, 1)] = key;
                }
            });
            __syncthreads();
        }
        if (are_kept) {
            count_digit<Key>([&](int i) { return kept[i]; }, count, selection, histogram);
        } else {
            count_digit<Key>(key_at, source.size, selection, histogram);
        }
        histogram.find_bin(k, selection.above);
        selection.know_next(histogram.bin);
        selection.above = histogram.above, selection.equal = histogram.equal;
        __syncthreads();
    }
    if (threadIdx.x == 0) write(y + layout.result(row, rank), selection.prefix);
}

// What has been found of a key; all zero at the start.
struct Known {
    unsigned long long prefix;  // its digits so far
    int above;                  // keys above it
    int done;                   // blocks that have counted
};
static_assert(sizeof(Known) == STATE_BYTES);

// `histograms` has BINS ints for each result, which are zero before and after.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    kth_of_segments(T* __restrict__ y, int* histograms, Known* known, const T* __restrict__ x,
                    const long long* __restrict__ positions, Layout layout, int digits) {
    using Key = Bits<T>;
    __shared__ Histogram histogram;
    __shared__ bool is_last;
    const long long result = blockIdx.x / layout.segments, row = result / layout.ranks, rank = result % layout.ranks;
    const Source<T> source(x, layout, row, blockIdx.x % layout.segments);
    Selection<Key> selection;
    for (int digit = 0; digit < digits; ++digit) selection.know_next(0);
    selection.prefix = static_cast<Key>(known[result].prefix);
    selection.above = known[result].above;
    count_digit<Key>([&](int i) { return source.key(i); }, source.size, selection, histogram);
    int* total = histograms + result * BINS;
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) {
        if (histogram.bins[bin] != 0) atomicAdd(total + bin, histogram.bins[bin]);
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(&known[result].done, 1) == layout.segments - 1;
    __syncthreads();
    if (!is_last) return;
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) histogram.bins[bin] = atomicExch(total + bin, 0);
    __syncthreads();
    histogram.find_bin(layout.above(positions, row, rank) + 1, selection.above);
    if (threadIdx.x != 0) return;
    selection.know_next(histogram.bin);
    known[result] = {selection.prefix, histogram.above, 0};
    if (selection.shift == 0) write(y + layout.result(row, rank), selection.prefix);
}
