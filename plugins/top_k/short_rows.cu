// TopK of short rows, for few results: a warp keeps a row in registers, and takes its largest key again and again.

#include "rows.cuh"

using pluginkit::SHORT, pluginkit::SHORT_THREADS;  // from launches.py

constexpr int ITEMS = SHORT / 32;  // keys of a lane
static_assert(ITEMS <= 32, "a word has a bit for each");

// Return the largest of the keys of the warp's lanes.
template <typename Key> __device__ __forceinline__ Key largest_in_warp(Key key) {
#if __CUDA_ARCH__ >= 800
    if constexpr (sizeof(Key) <= sizeof(unsigned)) return static_cast<Key>(__reduce_max_sync(~0u, unsigned{key}));
#endif
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        const Key other = static_cast<Key>(__shfl_xor_sync(~0u, key, step));
        key = other > key ? other : key;
    }
    return key;
}

// The keys of a lane that have not been taken, and the first of the largest among them.
template <typename Key> struct Lane {
    Key keys[ITEMS];
    unsigned left;  // a bit for each that has not been taken
    Key best;
    int best_item;  // -1 if all have been taken

    __device__ __forceinline__ void find_best(int size) {
        best = 0, best_item = -1;
#pragma unroll
        for (int item = 0; item < ITEMS; ++item) {
            if (item * 32 >= size) break;
            if ((left >> item & 1) != 0 && (best_item < 0 || keys[item] > best)) best = keys[item], best_item = item;
        }
    }
};

template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(SHORT_THREADS)
    short_rows(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows,
               long long row_count) {
    using Key = Bits<T>;
    const long long row = blockIdx.x * (SHORT_THREADS / 32LL) + threadIdx.x / 32;
    if (row >= row_count) return;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    const int lane = threadIdx.x % 32, size = source.size, k = static_cast<int>(rows.k);
    Lane<Key> own;
    own.left = 0;
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        if (item * 32 >= size) break;
        const int i = item * 32 + lane;
        if (i >= size) continue;
        own.keys[item] = wanted_key_of<LARGEST, T>(source.bits(i));
        own.left |= 1u << item;
    }
    own.find_best(size);
    int result = 0;  // lane j keeps the place of result j
    for (int j = 0; j < k; ++j) {
        const Key largest = largest_in_warp(own.best);
        const bool has_it = own.best_item >= 0 && own.best == largest;
        // The first of equal keys has the largest complement of its place.
        const unsigned complement = has_it ? ~static_cast<unsigned>(own.best_item * 32 + lane) : 0u;
        const int place = static_cast<int>(~largest_in_warp(complement));
        if (lane == j) result = place;
        if (place % 32 == lane) {
            own.left &= ~(1u << place / 32);
            own.find_best(size);
        }
    }
    if (lane < k) target_of(y, indices, rows, row).write(lane, source.bits(result), result);
}
