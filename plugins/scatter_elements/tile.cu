// The tile variant, for the last dimension as the axis: a block takes one row. It builds a list of updates for each
// cell of the row in shared memory, then writes the row once.
//
// Shared memory holds the heads of the lists, the links and the updates; tile_bytes in variants.py is their size.

#include "../_cuda/device.cuh"
#include "../_cuda/reduce.cuh"
#include "places.cuh"
#include "sorted_list.cuh"

using pluginkit::MAX_LISTED_IN_TILE, pluginkit::TILE_LINK_BYTES, pluginkit::VECTOR_BYTES;  // from launches.py

using Link = typename UnsignedOf<TILE_LINK_BYTES>::type;
constexpr Link END = MAX_LISTED_IN_TILE;  // of a list
static_assert(sizeof(int4) == VECTOR_BYTES && END == MAX_LISTED_IN_TILE);

// Return the vectors that hold this many elements.
template <typename T> __device__ __forceinline__ int vectors_of(int count) {
    constexpr int EACH = VECTOR_BYTES / sizeof(T);
    return (count + EACH - 1) / EACH;
}

constexpr int BATCH = 4;  // loads of a thread in flight

// VECTOR: rows of data and of updates are multiples of VECTOR_BYTES.
template <typename T, typename Tind, Reduction R, bool VECTOR, bool DETERMINISTIC>
__global__ void scatter_tile(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                             const T* __restrict__ updates, int axis_size, int count) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int CELLS = VECTOR ? VECTOR_BYTES / sizeof(T) : 1, UPDATES = VECTOR ? VECTOR_BYTES / sizeof(Tind) : 1;
    const int head_vectors = vectors_of<int>(axis_size), link_vectors = vectors_of<Link>(count);
    extern __shared__ int4 shared[];
    int* heads = reinterpret_cast<int*>(shared);
    Link* next = reinterpret_cast<Link*>(shared + head_vectors);
    T* held = reinterpret_cast<T*>(shared + head_vectors + link_vectors);
    const int thread = threadIdx.x, threads = blockDim.x;
    data += static_cast<long long>(blockIdx.x) * axis_size;
    output += static_cast<long long>(blockIdx.x) * axis_size;
    indices += static_cast<long long>(blockIdx.x) * count;
    updates += static_cast<long long>(blockIdx.x) * count;

    // Start all loads of the first round before waiting for one.
    Pack<T, CELLS> cells[BATCH];
#pragma unroll
    for (int k = 0; k < BATCH; ++k) {
        const int cell = (k * threads + thread) * CELLS;
        if (cell < axis_size) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + cell));
    }
    for (int i = thread; i < head_vectors; i += threads) shared[i] = make_int4(-1, -1, -1, -1);
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
            *reinterpret_cast<Pack<T, UPDATES>*>(held + position) = update[k];
#pragma unroll
            for (int u = 0; u < UPDATES; ++u) {
                const int cell = place_of(index[k].value[u], axis_size);
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
    for (int begin = 0; begin < axis_size; begin += BATCH * threads * CELLS) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int first = begin + (k * threads + thread) * CELLS;
            if (first >= axis_size) break;
            if (begin > 0) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + first));
#pragma unroll
            for (int c = 0; c < CELLS; ++c) {
                int position = heads[first + c];
                if (position < 0) continue;
                if constexpr (R == Reduction::none) {
                    cells[k].value[c] = held[position];
                } else {
                    if constexpr (DETERMINISTIC) position = sorted_list<Link, END>(position, next);
                    auto sum = static_cast<Accumulator>(cells[k].value[c]);
                    do {
                        sum = reduced<R>(sum, static_cast<Accumulator>(held[position]));
                        position = next[position];
                    } while (position != END);
                    cells[k].value[c] = static_cast<T>(sum);
                }
            }
            store_once(reinterpret_cast<Pack<T, CELLS>*>(output + first), cells[k]);
        }
    }
}
