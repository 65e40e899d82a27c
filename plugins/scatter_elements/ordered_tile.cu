// The ordered_tile variant, for the last dimension as the axis: a block takes a row, or some short ones. It builds a list
// of updates for each cell in shared memory, sorts it, then writes the cells once.
//
// Shared memory holds the heads of the lists, the links, the updates and one more head; ordered_tile_bytes in
// variants.py is their size.

#include "../_cuda/device.cuh"
#include "../_cuda/reduce.cuh"
#include "sorted_list.cuh"
#include "tile_rows.cuh"

// From launches.py.
using pluginkit::LONE_TILE_BLOCK, pluginkit::MAX_LISTED_IN_TILE, pluginkit::TILE_LINK_BYTES, pluginkit::VECTOR_BYTES,
    pluginkit::WARP_LANES;

using Link = typename UnsignedOf<TILE_LINK_BYTES>::type;
constexpr Link END = MAX_LISTED_IN_TILE;  // of a list
static_assert(sizeof(int4) == VECTOR_BYTES && END == MAX_LISTED_IN_TILE);

// Return the vectors that hold this many elements.
template <typename T> __device__ __forceinline__ int vectors_of(int count) {
    constexpr int EACH = VECTOR_BYTES / sizeof(T);
    return (count + EACH - 1) / EACH;
}

constexpr int BATCH = 4;  // loads of a thread in flight

// Return how long a list may be for one thread to sort it, among `count` updates of a tile. A warp combines the updates of
// a longer one, but it looks at all of the tile.
__device__ __forceinline__ int longest_list(int count) { return max(16, count / 64); }

__device__ __forceinline__ bool is_longer(int position, const Link* next, int longest) {
    for (int walked = 1; position != END; ++walked) {
        if (walked > longest) return true;
        position = next[position];
    }
    return false;
}

// Return the updates of a cell combined, in an order that depends on their positions alone: each lane of a warp combines
// the updates at its positions in turn, and then the lanes are combined.
template <Reduction R, typename Accumulator, typename T, typename Tind>
__device__ Accumulator combined_by_warp(int cell, const Tind* indices, const T* held, const TileRows& tile) {
    const int lane = threadIdx.x % WARP_LANES;
    Accumulator sum = 0;
    bool has_sum = false;
#pragma unroll 8
    for (int position = lane; position < tile.updates; position += WARP_LANES) {
        if (tile.cell_of(indices[position], tile.row_of(position).begin) != cell) continue;
        const auto update = static_cast<Accumulator>(held[position]);
        sum = has_sum ? reduced<R>(sum, update) : update;
        has_sum = true;
    }
#pragma unroll
    for (int step = WARP_LANES / 2; step > 0; step /= 2) {
        const auto other = static_cast<Accumulator>(__shfl_down_sync(~0u, sum, step));
        const bool has_other = __shfl_down_sync(~0u, has_sum, step);
        if (!has_other) continue;
        sum = has_sum ? reduced<R>(sum, other) : other;
        has_sum = true;
    }
    return sum;
}

// If all lanes of the warp have updates, and all of the same cell, link these and return true. One atomic operation adds
// all of them to the list. The positions of two lanes that lie side by side differ by `step`.
__device__ __forceinline__ bool link_warp(int* heads, Link* next, int cell, int position, int step, int count) {
    const int lane = threadIdx.x % WARP_LANES, last = WARP_LANES - 1;
    if (position + (last - lane) * step >= count) return false;
    if (!__all_sync(~0u, cell >= 0 && cell == __shfl_sync(~0u, cell, 0))) return false;
    int rest = lane == 0 ? atomicExch(heads + cell, position) : 0;
    rest = __shfl_sync(~0u, rest, 0);
    next[position] = static_cast<Link>(lane == last ? rest : position + step);
    return true;
}

// CELL_VECTORS, UPDATE_VECTORS: the rows that the block takes of data, and of updates, are together a multiple of
// VECTOR_BYTES.
template <typename T, typename Tind, Reduction R, bool CELL_VECTORS, bool UPDATE_VECTORS>
__device__ __forceinline__ void scatter_ordered_rows(T* __restrict__ output, const T* __restrict__ data,
                                                     const Tind* __restrict__ indices, const T* __restrict__ updates,
                                                     const TileRows& tile) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int CELLS = CELL_VECTORS ? VECTOR_BYTES / sizeof(T) : 1;
    constexpr int UPDATES = UPDATE_VECTORS ? VECTOR_BYTES / sizeof(Tind) : 1;
    const int count = tile.updates, head_vectors = vectors_of<int>(tile.cells), link_vectors = vectors_of<Link>(count);
    extern __shared__ int4 shared[];
    int* heads = reinterpret_cast<int*>(shared);
    Link* next = reinterpret_cast<Link*>(shared + head_vectors);
    T* held = reinterpret_cast<T*>(shared + head_vectors + link_vectors);
    // The first cell with a long list; the head of each is the next such cell, or -1.
    int* long_cell = reinterpret_cast<int*>(shared + head_vectors + link_vectors + vectors_of<T>(count));
    const int thread = threadIdx.x, threads = blockDim.x;
    data += tile.first * tile.axis_size;
    output += tile.first * tile.axis_size;
    indices += tile.first * tile.count.count;
    updates += tile.first * tile.count.count;

    // Start all loads of the first round before waiting for one.
    Pack<T, CELLS> cells[BATCH];
#pragma unroll
    for (int k = 0; k < BATCH; ++k) {
        const int cell = (k * threads + thread) * CELLS;
        if (cell < tile.cells) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + cell));
    }
    for (int i = thread; i < head_vectors; i += threads) shared[i] = make_int4(-1, -1, -1, -1);
    if (thread == 0) *long_cell = -1;
    __syncthreads();
    for (int begin = 0; begin < count; begin += BATCH * threads * UPDATES) {
        Pack<Tind, UPDATES> index[BATCH];
        Pack<T, UPDATES> update[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            if (position < count) {
                index[k] = load_once(reinterpret_cast<const Pack<Tind, UPDATES>*>(indices + position));
                update[k] = *reinterpret_cast<const Pack<T, UPDATES>*>(updates + position);
            }
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            if (position >= count) break;
            RowPlace row = tile.row_of(position);
            *reinterpret_cast<Pack<T, UPDATES>*>(held + position) = update[k];
#pragma unroll
            for (int u = 0; u < UPDATES; ++u) {
                const int cell = tile.cell_of(index[k].value[u], row.begin);
                tile.advance(row);
                if constexpr (R != Reduction::none) {
                    if (link_warp(heads, next, cell, position + u, UPDATES, count)) continue;
                }
                if (cell < 0) continue;
                if constexpr (R == Reduction::none) {
                    atomicMax(heads + cell, position + u);  // the last one wins
                } else {
                    next[position + u] = static_cast<Link>(atomicExch(heads + cell, position + u));
                }
            }
        }
    }
    __syncthreads();
    for (int begin = 0; begin < tile.cells; begin += BATCH * threads * CELLS) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int first = begin + (k * threads + thread) * CELLS;
            if (first >= tile.cells) break;
            if (begin > 0) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + first));
#pragma unroll
            for (int c = 0; c < CELLS; ++c) {
                int position = heads[first + c];
                if (position < 0) continue;
                if constexpr (R == Reduction::none) {
                    cells[k].value[c] = held[position];
                } else {
                    const bool is_long = is_longer(position, next, longest_list(count));
                    if (!is_long && next[position] != END) position = sorted_list<Link, END>(position, next);
                    auto sum = static_cast<Accumulator>(cells[k].value[c]);
                    for (; position != END && !is_long; position = next[position]) {
                        sum = reduced<R>(sum, static_cast<Accumulator>(held[position]));
                    }
                    if (is_long) heads[first + c] = atomicExch(long_cell, first + c);
                    else cells[k].value[c] = static_cast<T>(sum);
                }
            }
            store_once(reinterpret_cast<Pack<T, CELLS>*>(output + first), cells[k]);
        }
    }
    if constexpr (R == Reduction::none) return;
    __syncthreads();
    for (int cell = *long_cell, warp = 0; cell >= 0; cell = heads[cell], warp += WARP_LANES) {
        if (warp % threads != thread / WARP_LANES * WARP_LANES) continue;
        const auto sum = combined_by_warp<R, Accumulator>(cell, indices, held, tile);
        if (thread % WARP_LANES == 0) {
            output[cell] = static_cast<T>(reduced<R>(static_cast<Accumulator>(data[cell]), sum));
        }
    }
}

// Rows may be vectors together where one is not: those of the last block may be fewer, and then are no vectors. With more
// registers fewer blocks run at once.
template <typename T, typename Tind, Reduction R, bool CELL_VECTORS, bool UPDATE_VECTORS>
__global__ void __launch_bounds__(LONE_TILE_BLOCK, 2)
    scatter_ordered_tile(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                         const T* __restrict__ updates, int axis_size, Divisor row_updates, int rows, int outer) {
    const TileRows tile(axis_size, row_updates, rows, outer);
    if ((CELL_VECTORS || UPDATE_VECTORS) && !tile.is_whole) {
        return scatter_ordered_rows<T, Tind, R, false, false>(output, data, indices, updates, tile);
    }
    scatter_ordered_rows<T, Tind, R, CELL_VECTORS, UPDATE_VECTORS>(output, data, indices, updates, tile);
}
