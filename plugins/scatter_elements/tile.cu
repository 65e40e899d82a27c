// The tile variant, for the last dimension as the axis: a block takes a row, or some short ones. It keeps a sum for each
// cell in shared memory, reduces all updates into the sums and writes the cells once.

#include "cells.cuh"
#include "tile_rows.cuh"

using pluginkit::LONE_TILE_BLOCK, pluginkit::VECTOR_BYTES;  // from launches.py

constexpr int BATCH = 4;     // loads of a thread in flight
constexpr int FEW_MEET = 8;  // lanes of a warp, which may take turns at a cell

// The bits of a pack. They are taken apart where they are used: to take apart 16-bit values waits for their load.
template <int BYTES, bool IS_WORD = (BYTES <= 8)> struct RawOf { using type = typename UnsignedOf<BYTES>::type; };
template <int BYTES> struct RawOf<BYTES, false> { using type = Pack<int4, BYTES / sizeof(int4)>; };
template <typename P> using Raw = typename RawOf<sizeof(P)>::type;

template <typename P, typename E> __device__ __forceinline__ Raw<P> load_raw(const E* source) {
    return load_once(reinterpret_cast<const Raw<P>*>(source));
}

// CELL_VECTORS, UPDATE_VECTORS: the rows that the block takes of data, and of updates, are together a multiple of
// VECTOR_BYTES.
template <typename T, typename Tind, Reduction R, bool CELL_VECTORS, bool UPDATE_VECTORS>
__device__ __forceinline__ void scatter_rows(T* __restrict__ output, const T* __restrict__ data,
                                             const Tind* __restrict__ indices, const T* __restrict__ updates,
                                             const TileRows& tile) {
    using Sum = typename SumOf<T>::type;
    constexpr int CELLS = CELL_VECTORS ? VECTOR_BYTES / sizeof(Sum) : 1;
    constexpr int UPDATES = UPDATE_VECTORS ? VECTOR_BYTES / sizeof(Tind) : 1;
    constexpr int CELL_BATCH = CELL_VECTORS ? BATCH * sizeof(Sum) / sizeof(T) : BATCH;
    using Cells = Pack<T, CELLS>;
    using Sums = Pack<Sum, CELLS>;
    extern __shared__ int4 shared[];
    Sum* sums = reinterpret_cast<Sum*>(shared);
    const int thread = threadIdx.x, threads = blockDim.x;
    const int cells = tile.cells, count = tile.updates;
    const bool may_many_meet = tile.count.count > FEW_MEET;
    data += tile.first * tile.axis_size;
    output += tile.first * tile.axis_size;
    indices += tile.first * tile.count.count;
    updates += tile.first * tile.count.count;

    using Indices = Pack<Tind, UPDATES>;
    using Updates = Pack<T, UPDATES>;
    Indices index[BATCH];
    Raw<Updates> raw_update[BATCH];
    const auto load_updates = [&](int begin) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            if (position < count) {
                index[k] = load_once(reinterpret_cast<const Indices*>(indices + position));
                raw_update[k] = load_raw<Updates>(updates + position);
            }
        }
    };
    load_updates(0);  // they are on their way while the sums begin as data
    for (int begin = 0; begin < cells; begin += CELL_BATCH * threads * CELLS) {
        Raw<Cells> raw_cells[CELL_BATCH];
#pragma unroll
        for (int k = 0; k < CELL_BATCH; ++k) {
            const int first = begin + (k * threads + thread) * CELLS;
            if (first < cells) raw_cells[k] = load_raw<Cells>(data + first);
        }
#pragma unroll
        for (int k = 0; k < CELL_BATCH; ++k) {
            const int first = begin + (k * threads + thread) * CELLS;
            if (first >= cells) break;
            const auto narrow = *reinterpret_cast<const Cells*>(&raw_cells[k]);
            Sums wide;
#pragma unroll
            for (int c = 0; c < CELLS; ++c) wide.value[c] = static_cast<Sum>(narrow.value[c]);
            *reinterpret_cast<Sums*>(sums + first) = wide;
        }
    }
    __syncthreads();
    for (int begin = 0; begin < count; begin += BATCH * threads * UPDATES) {
        if (begin > 0) load_updates(begin);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            const bool is_inside = position < count;
            RowPlace row = tile.row_of(position);
            bool do_many_meet = false;
            const auto update = *reinterpret_cast<const Updates*>(&raw_update[k]);
#pragma unroll
            for (int u = 0; u < UPDATES; ++u) {
                const int cell = is_inside ? tile.cell_of(index[k].value[u], row.begin) : -1;
                if (R != Reduction::none && u == 0) do_many_meet = may_many_meet && meeting(cell) > FEW_MEET;
                reduce_into_cells<R>(sums, cell, static_cast<Sum>(update.value[u]), do_many_meet);
                tile.advance(row);
            }
        }
    }
    __syncthreads();
#pragma unroll CELL_BATCH
    for (int first = thread * CELLS; first < cells; first += threads * CELLS) {
        const auto wide = *reinterpret_cast<const Sums*>(sums + first);
        Cells narrow;
#pragma unroll
        for (int c = 0; c < CELLS; ++c) narrow.value[c] = static_cast<T>(wide.value[c]);
        store_once(reinterpret_cast<Cells*>(output + first), narrow);
    }
}

// Rows may be vectors together where one is not: those of the last block may be fewer, and then are no vectors. With more
// registers fewer blocks run at once.
template <typename T, typename Tind, Reduction R, bool CELL_VECTORS, bool UPDATE_VECTORS>
__global__ void __launch_bounds__(LONE_TILE_BLOCK, 2)
    scatter_tile(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                 const T* __restrict__ updates, int axis_size, Divisor row_updates, int rows, int outer) {
    const TileRows tile(axis_size, row_updates, rows, outer);
    if ((CELL_VECTORS || UPDATE_VECTORS) && !tile.is_whole) {
        return scatter_rows<T, Tind, R, false, false>(output, data, indices, updates, tile);
    }
    scatter_rows<T, Tind, R, CELL_VECTORS, UPDATE_VECTORS>(output, data, indices, updates, tile);
}
