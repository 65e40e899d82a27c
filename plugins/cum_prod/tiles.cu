// CumProd where few contiguous rows are long, which this reads once. Each block takes a tile of a row into shared memory,
// publishes the product of its elements, and waits for the products of the tiles before it.

#include "../_cuda/async_copies.cuh"
#include "../_cuda/overlap.cuh"
#include "../_cuda/streaming.cuh"
#include "team.cuh"

using pluginkit::GROUP, pluginkit::LARGE_BYTES;  // from launches.py

// The packs of elements of a thread, which follow each other.
template <typename T, bool LARGE> constexpr int RUNS = LARGE ? LARGE_BYTES / ITEMS / sizeof(T) : 1;

// How many blocks a multiprocessor has at once: as many as its shared memory and threads allow.
template <bool LARGE> constexpr int RESIDENT = LARGE ? 6 : 8;

// The elements of a block, in the order of memory.
template <typename T, int RUNS> struct Tile {
    static constexpr int WIDE = sizeof(uint4) / sizeof(T), VECTORS = RUNS * ITEMS / WIDE, OF_WARP = 32 * RUNS * ITEMS;
    static constexpr int SIZE = WARPS * OF_WARP;
    uint4 cells[THREADS][VECTORS | 1];  // an odd number of vectors for each thread spreads them over the banks

    __device__ __forceinline__ uint4& vector(int i) { return cells[threadIdx.x / 32 * 32 + i / VECTORS][i % VECTORS]; }
    __device__ __forceinline__ T& element(int i) { return reinterpret_cast<T*>(&vector(i / WIDE))[i % WIDE]; }

    // Bring the elements of the warp, from x[lowest] on. Those that are not from `first` to `end` are 1.
    __device__ __forceinline__ void load(const T* __restrict__ x, long long lowest, long long first, long long end) {
        const int lane = threadIdx.x % 32;
        if (lowest >= first && lowest + OF_WARP <= end) {
#pragma unroll
            for (int i = 0; i < VECTORS; ++i) {
                const int at = i * 32 + lane;
                copy_to_shared(static_cast<int>(__cvta_generic_to_shared(&vector(at))),
                               reinterpret_cast<const uint4*>(x + lowest) + at);
            }
            wait_for_copies();
        } else {
#pragma unroll 1
            for (int i = lane; i < OF_WARP; i += 32) {
                const long long at = lowest + i;
                element(i) = at >= first && at < end ? x[at] : static_cast<T>(1.0f);
            }
        }
        __syncwarp();
    }

    __device__ __forceinline__ void store(T* __restrict__ y, long long lowest, long long first, long long end) {
        const int lane = threadIdx.x % 32;
        __syncwarp();
        if (lowest >= first && lowest + OF_WARP <= end) {
#pragma unroll
            for (int i = 0; i < VECTORS; ++i) {
                const int at = i * 32 + lane;
                store_once(reinterpret_cast<uint4*>(y + lowest) + at, vector(at));
            }
        } else {
#pragma unroll 1
            for (int i = lane; i < OF_WARP; i += 32) {
                const long long at = lowest + i;
                if (at >= first && at < end) y[at] = element(i);
            }
        }
    }

    // Return a pack of the thread in the order of the products, and write one.
    __device__ __forceinline__ Pack<T> pack(int run, bool is_reverse) {
        Pack<T> stored, pack;
#pragma unroll
        for (int i = 0; i < VECTORS / RUNS; ++i) reinterpret_cast<uint4*>(&stored)[i] = place(run, is_reverse)[i];
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) pack.value[i] = stored.value[is_reverse ? ITEMS - 1 - i : i];
        return pack;
    }
    __device__ __forceinline__ void write(int run, bool is_reverse, const Pack<T>& pack) {
        Pack<T> stored;
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) stored.value[i] = pack.value[is_reverse ? ITEMS - 1 - i : i];
#pragma unroll
        for (int i = 0; i < VECTORS / RUNS; ++i) place(run, is_reverse)[i] = reinterpret_cast<const uint4*>(&stored)[i];
    }

  private:
    __device__ __forceinline__ uint4* place(int run, bool is_reverse) {
        return cells[is_reverse ? threadIdx.x ^ 31 : threadIdx.x] + (is_reverse ? RUNS - 1 - run : run) * (VECTORS / RUNS);
    }
};

// Wait for some products, and return the product of them to all lanes of the warp, in an order that `count` fixes.
template <typename T> __device__ __forceinline__ Product<T> published(const volatile Word* words, int count) {
    using Own = Product<T>;
    constexpr int AT_ONCE = 4;
    Own own = one<T>();
    for (int first = threadIdx.x % 32; first < count; first += 32 * AT_ONCE) {
        Word word[AT_ONCE][Own::WORDS];
        bool is_complete;
        do {
            is_complete = true;
#pragma unroll
            for (int i = 0; i < AT_ONCE * Own::WORDS; ++i) {
                const int at = first + i / Own::WORDS * 32, part = i % Own::WORDS;
                word[i / Own::WORDS][part] = at < count ? words[1LL * at * Own::WORDS + part] : one<T>().word(part);
                is_complete = is_complete && word[i / Own::WORDS][part] != 0;
            }
        } while (!is_complete);
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) own = own.times(Own::of_words(word[i]));
        own = own.normalised();
    }
    __syncwarp();
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) own = own.times(own.of_lane_across(lanes));
    return own.normalised();
}

template <typename P> __device__ __forceinline__ void publish(volatile Word* words, P product) {
#pragma unroll
    for (int i = 0; i < P::WORDS; ++i) words[i] = product.word(i);
}

// Each row has the products of `tiles` tiles, and one for each GROUP or more tiles, a group: the last tile of a group publishes the product of
// all of them, so that a tile waits for the groups before its own and the tiles before it in its group. Blocks take tiles in
// the order of a ticket, so that none waits for one that has not begun; without a ticket all run at once. The launch before
// clears words and ticket.
template <typename T, bool LARGE>
__global__ void __launch_bounds__(THREADS, RESIDENT<LARGE>)
    scan_tiles(T* __restrict__ y, const T* __restrict__ x, volatile Word* words, int* ticket, long long size, int tiles,
               bool is_exclusive, bool is_reverse) {
    using Own = Tile<T, RUNS<T, LARGE>>;
    constexpr int WORDS = Product<T>::WORDS;
    __shared__ Own tile;
    __shared__ Product<T> of_warps[WARPS][1], earlier[2];
    __shared__ int drawn;
    int number = blockIdx.x;
    if (ticket != nullptr) {
        wait_for_earlier_launches();
        if (threadIdx.x == 0) drawn = atomicAdd(ticket, 1);
        __syncthreads();
        number = drawn;
    }
    const long long first = number / tiles * size, end = first + size;
    words += number / tiles * (tiles + (tiles + GROUP - 1LL) / GROUP) * WORDS;
    volatile Word* const groups = words + 1LL * tiles * WORDS;
    number %= tiles;
    int of_group = GROUP;
    while (1LL * of_group * of_group < tiles) of_group *= 2;
    const int warp = threadIdx.x / 32, group = number / of_group, in_group = number % of_group;
    // Tiles begin at whole vectors, so that the first one of a row may begin before it.
    const long long lowest = is_reverse ? (end + Own::WIDE - 1) / Own::WIDE * Own::WIDE - (number + 1LL) * Own::SIZE +
                                              (WARPS - 1 - warp) * Own::OF_WARP
                                        : first / Own::WIDE * Own::WIDE + 1LL * number * Own::SIZE + warp * Own::OF_WARP;
    tile.load(x, lowest, first, end);
    Product<T> own = one<T>(), all = one<T>();
#pragma unroll
    for (int run = 0; run < RUNS<T, LARGE>; ++run) own = own.times(Run<T>(tile.pack(run, is_reverse)).all()).normalised();
    const Product<T> inside = before_thread<T, false>(of_warps, own, all);
    wait_for_earlier_launches();
    if (threadIdx.x == 0) publish(words + 1LL * number * WORDS, all);
    if (warp == 0) {
        earlier[0] = published<T>(words + 1LL * group * of_group * WORDS, in_group);
        if (threadIdx.x == 0 && in_group == of_group - 1) publish(groups + group * WORDS, earlier[0].times(all).normalised());
    } else if (warp == 1) {
        earlier[1] = published<T>(groups, group);
    }
    __syncthreads();
    Product<T> before = earlier[0].times(earlier[1]).normalised().times(inside).normalised();
#pragma unroll
    for (int run = 0; run < RUNS<T, LARGE>; ++run) {
        const Run<T> elements(tile.pack(run, is_reverse));
        tile.write(run, is_reverse, elements.results(before, is_exclusive));
        before = before.times(elements.all()).normalised();
    }
    tile.store(y, lowest, first, end);
}
