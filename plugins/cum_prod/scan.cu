// CumProd where rows are long: a block takes one row, or 32 adjacent ones that are not contiguous (DOWN), a tile after the
// other. A thread takes ITEMS elements that follow each other. Several blocks may share rows that are not contiguous:
// reduce_parts multiplies the elements of each part, so that scan_parts begins with the product of the parts before its own.
// It does so from the end, so that scan_parts finds in the cache what it reads first.

#include "../_cuda/overlap.cuh"
#include "team.cuh"

// How many blocks a multiprocessor has at once: as many as have registers for what is in flight.
template <typename T, bool DOWN> constexpr int RESIDENT = sizeof(T) > 4 ? 3 : DOWN ? 5 : 6;

// The part of a row that a block takes, in whole tiles.
struct Part {
    long long begin, end;

    __device__ __forceinline__ Part(long long size, int tile) {
        const long long tiles = (size + tile - 1) / tile, most = (tiles + gridDim.y - 1) / gridDim.y * tile;
        begin = blockIdx.y * most;
        end = min(begin + most, size);
    }
};

// `products` has one of each part of each row.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    reduce_parts(Product<T>* __restrict__ products, const T* __restrict__ x, long long rows, long long size, long long inner,
                 bool is_reverse) {
    using Own = Team<true>;
    __shared__ Product<T> of_warps[WARPS][Own::ROWS];
    __shared__ Stage<T> stage;
    const long long number = 1LL * blockIdx.x * Own::ROWS + Own::row();
    const bool is_row = number < rows;
    const Row<true> row(is_row ? number : rows - 1, size, inner, is_reverse);
    const Part part(size, Own::TILE);
    let_next_launch_begin();
    Product<T> own = one<T>(), all = one<T>();
    const long long tiles = (part.end - part.begin + Own::TILE - 1) / Own::TILE;
    for (long long tile = part.begin + (tiles - 1) * Own::TILE; tile >= part.begin; tile -= Own::TILE) {
        own = own.times(Run<T>(row.load(x, tile + Own::rank() * ITEMS, {}, stage)).all()).normalised();
    }
    before_thread<T, true>(of_warps, own, all);
    if (Own::rank() == 0 && is_row) products[number * gridDim.y + blockIdx.y] = all;
}

// What reduce_parts writes is not __restrict__: the compiler could read it before it waits for that launch.
template <typename T, bool DOWN>
__global__ void __launch_bounds__(THREADS, RESIDENT<T, DOWN>)
    scan_parts(T* __restrict__ y, const T* __restrict__ x, const Product<T>* products, long long rows, long long size,
               long long inner, bool is_exclusive, bool is_reverse) {
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
        const Product<T> before = before_thread<T, DOWN>(of_warps[buffer], run.all().normalised(), all);
        row.store(y, is_row ? begin : size, span, stage, run.results(before, is_exclusive));
    }
}
