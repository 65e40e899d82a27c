// CumProd where few contiguous rows are long, which this reads once. Each block takes a tile of a row into shared memory,
// publishes the product of its elements, and waits for what is before it. Where a row has few tiles, each multiplies what
// those before it publish. Where it has many, one more block does so for all of them, and each waits for a single product:
// blocks that read many words again and again would slow the copies of all others down.

#include "../_cuda/async_copies.cuh"
#include "../_cuda/overlap.cuh"
#include "../_cuda/streaming.cuh"
#include "team.cuh"

using pluginkit::FEW_TILES, pluginkit::LARGE_BYTES;  // from launches.py

// The packs of elements of a thread, which follow each other.
template <typename T, bool LARGE> constexpr int RUNS = LARGE ? LARGE_BYTES / ITEMS / (sizeof(T) < 4 ? 4 : sizeof(T)) : 1;

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
        for_vectors(lowest, first, end, [&](int at, bool is_whole) {
            if (is_whole) {
                copy_to_shared(static_cast<int>(__cvta_generic_to_shared(&vector(at))),
                               reinterpret_cast<const uint4*>(x + lowest) + at);
                return;
            }
            for (int i = at * WIDE; i < (at + 1) * WIDE; ++i) {
                element(i) = lowest + i >= first && lowest + i < end ? x[lowest + i] : static_cast<T>(1.0f);
            }
        });
        wait_for_copies();
        __syncwarp();
    }

    __device__ __forceinline__ void store(T* __restrict__ y, long long lowest, long long first, long long end) {
        __syncwarp();
        for_vectors(lowest, first, end, [&](int at, bool is_whole) {
            if (is_whole) {
                store_once(reinterpret_cast<uint4*>(y + lowest) + at, vector(at));
                return;
            }
            for (int i = at * WIDE; i < (at + 1) * WIDE; ++i) {
                if (lowest + i >= first && lowest + i < end) y[lowest + i] = element(i);
            }
        });
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
    // Call `take` with each vector of the thread's share of the warp's, and whether all of it is from `first` to `end`.
    template <typename Take>
    __device__ __forceinline__ static void for_vectors(long long lowest, long long first, long long end, Take take) {
        const int lane = threadIdx.x % 32;
        if (lowest >= first && lowest + OF_WARP <= end) {
#pragma unroll
            for (int i = 0; i < VECTORS; ++i) take(i * 32 + lane, true);
        } else {
#pragma unroll 1
            for (int at = lane; at < VECTORS * 32; at += 32) {
                take(at, lowest + at * WIDE >= first && lowest + (at + 1) * WIDE <= end);
            }
        }
    }

    __device__ __forceinline__ uint4* place(int run, bool is_reverse) {
        return cells[is_reverse ? threadIdx.x ^ 31 : threadIdx.x] + (is_reverse ? RUNS - 1 - run : run) * (VECTORS / RUNS);
    }
};

// The tile of a block, and the elements of a warp in it.
template <typename T, bool LARGE> struct Place {
    using Own = Tile<T, RUNS<T, LARGE>>;
    int row, number;       // which tile of which row; -1 for the block that scans the row
    long long first, end;  // of the row
    long long lowest;      // of the warp

    __device__ __forceinline__ Place(int block, int blocks, bool is_scanned, long long size, bool is_reverse)
        : row(block / blocks), number(block % blocks - is_scanned), first(row * size), end(first + size) {
        const int warp = threadIdx.x / 32;
        // Tiles begin at whole vectors, so that the first one of a row may begin before it.
        if (is_reverse) {
            lowest = (end + Own::WIDE - 1) / Own::WIDE * Own::WIDE - (number + 1LL) * Own::SIZE + (WARPS - 1 - warp) * Own::OF_WARP;
        } else {
            lowest = first / Own::WIDE * Own::WIDE + 1LL * number * Own::SIZE + warp * Own::OF_WARP;
        }
    }

    // Bring the elements into the L2 cache.
    __device__ __forceinline__ void prefetch(const T* x) const {
        constexpr int SECTOR = 32 / sizeof(T);
#pragma unroll
        for (int i = 0; i < Own::OF_WARP / SECTOR / 32; ++i) {
            const long long at = lowest + (i * 32 + threadIdx.x % 32) * SECTOR;
            if (at >= first && at < end) asm volatile("prefetch.global.L2 [%0];" ::"l"(x + at));
        }
    }
};

template <typename P> __device__ __forceinline__ void publish(volatile Word* words, P product) {
#pragma unroll
    for (int i = 0; i < P::WORDS; ++i) words[i] = product.word(i);
}

// A product that another warp publishes, or nothing yet.
template <typename P> struct Published {
    Word words[P::WORDS];

    __device__ __forceinline__ explicit Published(const volatile Word* source) {
#pragma unroll
        for (int i = 0; i < P::WORDS; ++i) words[i] = source[i];
    }
    __device__ __forceinline__ bool is_there() const {
        bool is_there = true;
#pragma unroll
        for (int i = 0; i < P::WORDS; ++i) is_there = is_there && words[i] != 0;
        return is_there;
    }
    __device__ __forceinline__ P product() const { return P::of_words(words); }
};

template <typename P> __device__ __forceinline__ P wait_for(const volatile Word* source) {
    for (;;) {
        const Published<P> published(source);
        if (published.is_there()) return published.product();
    }
}

// Return the product of what some tiles publish to all lanes of the warp, in an order that `count` fixes.
template <typename T> __device__ __forceinline__ Product<T> product_of_tiles(const volatile Word* own, int count) {
    Product<T> product = one<T>();
    for (int i = threadIdx.x % 32; i < count; i += 32) {
        product = product.times(wait_for<Product<T>>(own + i * Product<T>::WORDS)).normalised();
    }
    __syncwarp();
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) product = product.times(product.of_lane_across(lanes));
    return product.normalised();
}

// Publish what is before each tile of a row. Warps take 32 tiles each in turn, and pass what is before those on once all have
// published their own products. Where fewer tiles than that run at once, those go on whose earlier ones are there; however
// many are there, they are multiplied in the same order.
template <typename T>
__device__ __forceinline__ void scan_row(volatile Word* before, const volatile Word* own, int tiles) {
    using P = Product<T>;
    constexpr int PLACES = 2 * WARPS, PATIENCE = 32;  // what is before 32 tiles takes turns in the places
    __shared__ volatile Word passed[PLACES][P::WORDS];
    const int lane = threadIdx.x % 32;
    if (threadIdx.x < PLACES) {
        for (int i = 0; i < P::WORDS; ++i) passed[threadIdx.x][i] = threadIdx.x == 0 ? one<T>().word(i) : 0;
    }
    __syncthreads();
    for (int turn = threadIdx.x / 32; 32LL * turn < tiles; turn += WARPS) {
        const int tile = min(32 * turn + lane, tiles - 1);  // lanes of no tile do what that of the last one does
        volatile Word* const place = passed[turn % PLACES];
        for (int polls = 1, there = 0; there < 32; ++polls) {
            const Published<P> each(own + 1LL * tile * P::WORDS);
            const unsigned missing = __ballot_sync(~0u, !each.is_there());
            there = missing == 0 ? 32 : __ffs(missing) - 1;
            if (there < 32 && polls % PATIENCE != 0) continue;
            const P up_to_own = up_to_lane<32>(lane < there ? each.product() : one<T>()).normalised();
            const P inside = before_lane<T, 32>(up_to_own);
            const P earlier = wait_for<P>(place);
            __syncwarp();
            if (there == 32 && lane == 31) {
                for (int i = 0; i < P::WORDS; ++i) place[i] = 0;
                publish(passed[(turn + 1) % PLACES], earlier.times(up_to_own).normalised());
            }
            if (32 * turn + lane == tile && lane <= there) {
                publish(before + 1LL * tile * P::WORDS, earlier.times(inside).normalised());
            }
        }
    }
}

// `words` has the own product of each of the `tiles` tiles of each row. Where those are more than FEW_TILES, there follows
// what is before each, which the first block of the row publishes. Blocks begin in the order of a ticket, so that none waits
// for one that has not begun; without a ticket all run at once. The launch before clears words and ticket.
template <typename T, bool LARGE>
__global__ void __launch_bounds__(THREADS, RESIDENT<LARGE>)
    scan_tiles(T* __restrict__ y, const T* __restrict__ x, volatile Word* words, int* ticket, long long size, int tiles,
               bool is_exclusive, bool is_reverse) {
    using Own = Tile<T, RUNS<T, LARGE>>;
    constexpr int WORDS = Product<T>::WORDS;
    __shared__ Own tile;
    __shared__ Product<T> of_warps[WARPS][1], earlier;
    __shared__ int drawn;
    const bool is_scanned = tiles > FEW_TILES;
    Place<T, LARGE> place(blockIdx.x, tiles + is_scanned, is_scanned, size, is_reverse);
    if (ticket != nullptr) {
        place.prefetch(x);  // what this block takes most likely, or one that begins now
        wait_for_earlier_launches();
        if (threadIdx.x == 0) drawn = atomicAdd(ticket, 1);
        __syncthreads();
        place = Place<T, LARGE>(drawn, tiles + is_scanned, is_scanned, size, is_reverse);
    }
    const long long of_row = 1LL * tiles * WORDS;
    volatile Word* const own_words = words + place.row * of_row * (1 + is_scanned);
    if (place.number < 0) return scan_row<T>(own_words + of_row, own_words, tiles);
    tile.load(x, place.lowest, place.first, place.end);
    Product<T> own = one<T>(), all = one<T>();
#pragma unroll 1
    for (int run = 0; run < RUNS<T, LARGE>; ++run) own = own.times(Run<T>(tile.pack(run, is_reverse)).all()).normalised();
    const Product<T> inside = before_thread<T, false>(of_warps, own, all);
    wait_for_earlier_launches();
    if (threadIdx.x == 0) publish(own_words + 1LL * place.number * WORDS, all);
    if (is_scanned) {
        if (threadIdx.x == 0) earlier = wait_for<Product<T>>(own_words + of_row + 1LL * place.number * WORDS);
    } else if (threadIdx.x < 32) {
        earlier = product_of_tiles<T>(own_words, place.number);
    }
    __syncthreads();
    Product<T> before = earlier.times(inside).normalised();
#pragma unroll 1
    for (int run = 0; run < RUNS<T, LARGE>; ++run) {
        const Run<T> elements(tile.pack(run, is_reverse));
        tile.write(run, is_reverse, elements.results(before, is_exclusive));
        before = before.times(elements.all()).normalised();
    }
    tile.store(y, place.lowest, place.first, place.end);
}
