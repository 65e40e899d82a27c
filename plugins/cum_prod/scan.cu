// CumProd where rows are long: a block takes one row, or 32 adjacent ones that are not contiguous (DOWN), a tile after the
// other. A thread takes ITEMS elements that follow each other. Several blocks may share a row: reduce_parts multiplies the
// elements of each part, so that scan_parts begins with the product of the parts before its own. It does so from the end, so
// that scan_parts finds in the cache what it reads first.

#include "../_cuda/overlap.cuh"
#include "rows.cuh"

using pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;

// How many blocks a multiprocessor has at once: as many as have registers for what is in flight.
template <typename T, bool DOWN> constexpr int RESIDENT = sizeof(T) > 4 ? 3 : DOWN ? 5 : 6;

// Which row a thread takes, and which of the threads that share it it is.
template <bool DOWN> struct Team {
    static constexpr int ROWS = DOWN ? 32 : 1, TILE = THREADS / ROWS * ITEMS;

    __device__ __forceinline__ static int row() { return DOWN ? threadIdx.x % 32 : 0; }
    __device__ __forceinline__ static int rank() { return DOWN ? threadIdx.x / 32 : threadIdx.x; }
    __device__ __forceinline__ static int first_of_warp() { return threadIdx.x / 32 * 32 * ITEMS; }
};

// The part of a row that a block takes, in whole tiles.
struct Part {
    long long begin, end;

    __device__ __forceinline__ Part(long long size, int tile) {
        const long long tiles = (size + tile - 1) / tile, most = (tiles + gridDim.y - 1) / gridDim.y * tile;
        begin = blockIdx.y * most;
        end = min(begin + most, size);
    }
};

// Return the product of what earlier threads of the row give, and multiply `all` by those of all its threads. `of_warps`
// is free since the threads last waited.
template <typename T, bool DOWN>
__device__ __forceinline__ Product<T> before_thread(Product<T> (*of_warps)[Team<DOWN>::ROWS], Product<T> own, Product<T>& all) {
    const int warp = threadIdx.x / 32;
    const Product<T> up_to_own = DOWN ? own : up_to_lane<32>(own);
    if (DOWN || threadIdx.x % 32 == 31) of_warps[warp][Team<DOWN>::row()] = up_to_own.normalised();
    __syncthreads();
    Product<T> before = all.times(DOWN ? one<T>() : before_lane<T, 32>(up_to_own));
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        const Product<T> of_warp = of_warps[i][Team<DOWN>::row()];
        if (i < warp) before = before.times(of_warp);
        all = all.times(of_warp);
    }
    all = all.normalised();
    return before.normalised();
}

// `products` has one of each part of each row.
template <typename T, bool DOWN>
__global__ void __launch_bounds__(THREADS)
    reduce_parts(Product<T>* __restrict__ products, const T* __restrict__ x, long long rows, long long size, long long inner,
                 bool is_reverse) {
    using Own = Team<DOWN>;
    __shared__ Product<T> of_warps[WARPS][Own::ROWS];
    __shared__ Stage<T> stages[DOWN ? 1 : WARPS];
    const long long number = 1LL * blockIdx.x * Own::ROWS + Own::row();
    const bool is_row = number < rows;
    const Row<DOWN> row(is_row ? number : rows - 1, size, inner, is_reverse);
    const Part part(size, Own::TILE);
    let_next_launch_begin();
    Product<T> own = one<T>(), all = one<T>();
    const long long tiles = (part.end - part.begin + Own::TILE - 1) / Own::TILE;
    for (long long tile = part.begin + (tiles - 1) * Own::TILE; tile >= part.begin; tile -= Own::TILE) {
        const Span span = row.span(tile + Own::first_of_warp(), 32 * ITEMS);
        const Pack<T> elements = row.load(x, tile + Own::rank() * ITEMS, span, stages[DOWN ? 0 : threadIdx.x / 32]);
        own = own.times(Run<T>(elements).all()).normalised();
    }
    before_thread<T, DOWN>(of_warps, own, all);
    if (Own::rank() == 0 && is_row) products[number * gridDim.y + blockIdx.y] = all;
}

template <typename T, bool DOWN>
__global__ void __launch_bounds__(THREADS, RESIDENT<T, DOWN>)
    scan_parts(T* __restrict__ y, const T* __restrict__ x, const Product<T>* __restrict__ products, long long rows,
               long long size, long long inner, bool is_exclusive, bool is_reverse) {
    using Own = Team<DOWN>;
    __shared__ Product<T> of_warps[2][WARPS][Own::ROWS];
    __shared__ Stage<T> stages[DOWN ? 1 : WARPS];
    const long long number = 1LL * blockIdx.x * Own::ROWS + Own::row();
    const bool is_row = number < rows;
    const Row<DOWN> row(is_row ? number : rows - 1, size, inner, is_reverse);
    const Part part(size, Own::TILE);
    Stage<T>& stage = stages[DOWN ? 0 : threadIdx.x / 32];
    Product<T> own = one<T>(), all = one<T>();
    wait_for_earlier_launches();
    for (int i = Own::rank(); i < blockIdx.y; i += THREADS / Own::ROWS) {
        if (is_row) own = own.times(products[number * gridDim.y + i]).normalised();
    }
    if (blockIdx.y > 0) before_thread<T, DOWN>(of_warps[1], own, all);
    int buffer = 0;
    for (long long tile = part.begin; tile < part.end; tile += Own::TILE, buffer ^= 1) {
        const long long begin = tile + Own::rank() * ITEMS;
        const Span span = row.span(tile + Own::first_of_warp(), 32 * ITEMS);
        const Run<T> run(row.load(x, begin, span, stage));
        const Product<T> before = before_thread<T, DOWN>(of_warps[buffer], run.all(), all);
        row.store(y, is_row ? begin : size, span, stage, run.results(before, is_exclusive));
    }
}

// For a few contiguous rows of a few tiles, in one launch. All blocks run at once: each takes a tile, publishes its product, and
// waits for those before it. `products` has a word for each tile, which the launch before clears.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    scan_tiles(T* __restrict__ y, const T* __restrict__ x, volatile unsigned long long* products, long long rows, long long size,
               long long inner, bool is_exclusive, bool is_reverse) {
    using Own = Team<false>;
    __shared__ Product<T> of_warps[2][WARPS][1];
    __shared__ Stage<T> stages[WARPS];
    const Row<false> row(blockIdx.x, size, inner, is_reverse);
    const long long tile = 1LL * blockIdx.y * Own::TILE, begin = tile + Own::rank() * ITEMS;
    const Span span = row.span(tile + Own::first_of_warp(), 32 * ITEMS);
    Stage<T>& stage = stages[threadIdx.x / 32];
    const Run<T> run(row.load(x, begin, span, stage));
    Product<T> all = one<T>(), before = one<T>(), earlier = one<T>();
    const Product<T> inside = before_thread<T, false>(of_warps[0], run.all(), all);
    products += 1LL * blockIdx.x * gridDim.y;
    wait_for_earlier_launches();
    if (threadIdx.x == 0) products[blockIdx.y] = all.word();
    if (threadIdx.x < blockIdx.y) {
        unsigned long long word;
        do { word = products[threadIdx.x]; } while (word == 0);
        earlier = Product<T>::of_word(word);
    }
    before_thread<T, false>(of_warps[1], earlier, before);
    row.store(y, begin, span, stage, run.results(before.times(inside).normalised(), is_exclusive));
}
