// Make the keys of edges, see whether they are in order, and count their digits for the sort.

#include "../_cuda/overlap.cuh"
#include "vectors.cuh"

using pluginkit::LOADS, pluginkit::MOST_COUNTS;  // from launches.py

// Count a digit. Where all lanes of the warp have the same, as in edges that are in order, one lane counts for all.
__device__ __forceinline__ void count_digit(int* counts, unsigned digit) {
    const unsigned lanes = __activemask();
    const int first = __ffs(lanes) - 1;
    if (__all_sync(lanes, digit == __shfl_sync(lanes, digit, first))) {
        if (static_cast<int>(threadIdx.x % WARP) == first) atomicAdd(counts + digit, __popc(lanes));
    } else {
        atomicAdd(counts + digit, 1);
    }
}

// Write a key and a value for each edge. The key is the row of y, or `rows` if an index is out of range. The value is the
// row of x, an int; or with weights an int2, with the edge or the bits of its weight after the row, as vector_of takes them.
template <typename T, typename I>
__global__ void __launch_bounds__(THREADS)
    make_keys(unsigned* __restrict__ keys, void* __restrict__ values, int* __restrict__ digits, State* state,
              const I* __restrict__ destinations, const I* __restrict__ sources, int edges, int rows, int nodes,
              const T* __restrict__ weights, int heads, int sweeps, int digit_bits) {
    __shared__ int counts[MOST_COUNTS];
    const int digits_of_sweep = 1 << digit_bits;
    for (int i = threadIdx.x; i < sweeps * digits_of_sweep; i += THREADS) counts[i] = 0;
    let_next_launch_begin();
    __syncthreads();
    bool is_unsorted = false;
    for (int base = blockIdx.x * LOADS * THREADS + threadIdx.x; base < edges; base += gridDim.x * LOADS * THREADS) {
        I destination[LOADS], source[LOADS], previous[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int edge = base + load * THREADS;
            if (edge >= edges) break;
            destination[load] = destinations[edge];
            if (threadIdx.x % WARP == 0) previous[load] = destinations[edge > 0 ? edge - 1 : 0];
            if (sources != nullptr) source[load] = sources[edge];
        }
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int edge = base + load * THREADS;
            if (edge >= edges) break;
            const int row = row_of(destination[load], rows);
            const int node = sources == nullptr ? edge : row_of(source[load], nodes);
            const bool is_edge = row >= 0 && node >= 0;
            int before = __shfl_up_sync(__activemask(), row, 1);
            if (threadIdx.x % WARP == 0) before = row_of(previous[load], rows);
            // An edge that is none sorts last, so that its place in the given order is wrong.
            is_unsorted |= !is_edge || before > row;
            unsigned key = is_edge ? row : rows;
            keys[edge] = key;
            if (weights == nullptr) {
                static_cast<int*>(values)[edge] = node;
            } else {
                static_cast<int2*>(values)[edge] = make_int2(node, weighted_edge(weights, heads, edge));
            }
            for (int sweep = 0; sweep < sweeps; ++sweep, key >>= digit_bits) {
                count_digit(counts + (sweep << digit_bits), key & (digits_of_sweep - 1));
            }
        }
    }
    wait_for_earlier_launches();
    if (__syncthreads_or(is_unsorted) && threadIdx.x == 0) state->is_unsorted = 1;
    for (int i = threadIdx.x; i < sweeps * digits_of_sweep; i += THREADS) {
        if (counts[i] != 0) atomicAdd(digits + i, counts[i]);
    }
}
