// Unique of elements whose keys are close to each other, such as labels and short types: without a sort.
//
//   count_dense   counts each key, and finds the first block that has it
//   number_dense  numbers the keys that occur
//   rank_dense    writes the number of each element's key, and finds the first element of each
//
// Each block of count_dense and of rank_dense has the same elements. They do nothing if keys are not close.

#include "numbers.cuh"

using pluginkit::DENSE_KEYS, pluginkit::DENSE_THREADS, pluginkit::LOADS;  // from launches.py

// Of each key, less the lowest one, how often it occurs and which block has it first; all zero at the start.
struct DenseKeys {
    int counts[DENSE_KEYS];
    unsigned blocks[DENSE_KEYS];  // how many blocks do not come before the first one; then its number and the key's
};

// Call visit(i, is_inside, key) for the elements of this block, with all lanes of a warp at once.
template <typename T, typename Visit>
__device__ __forceinline__ void for_each_of_block(const Bits<T>* __restrict__ x, Bits<T> lowest, int items, int each,
                                                  const Visit& visit) {
    const int first = blockIdx.x * each, end = min(each, items - first) + first;
    for (int base = first; base < end; base += LOADS * DENSE_THREADS) {
        Bits<T> loaded[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int i = base + load * DENSE_THREADS + threadIdx.x;
            loaded[load] = i < end ? x[i] : Bits<T>{0};
        }
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int i = base + load * DENSE_THREADS + threadIdx.x;
            visit(i, i < end, static_cast<int>(static_cast<Bits<T>>(key_of<T>(loaded[load]) - lowest)));
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(DENSE_THREADS)
    count_dense(DenseKeys* dense, State* state, const Bits<T>* __restrict__ x, int items, int each) {
    extern __shared__ unsigned pairs[];  // of counts below 2^16, since a block has no more elements
    const Bits<T> lowest = lowest_key<T>(*state);
    const unsigned long long last = state->highest - lowest;
    if (last >= DENSE_KEYS) return;
    const int count = static_cast<int>(last) + 1;
    for (int i = threadIdx.x; 2 * i < count; i += DENSE_THREADS) pairs[i] = 0;
    __syncthreads();
    for_each_of_block<T>(x, lowest, items, each, [&](int, bool is_inside, int key) {
        const int first = __shfl_sync(~0u, key, 0);
        const bool are_equal = __all_sync(~0u, is_inside && key == first) != 0;  // additions to one count take turns
        if (are_equal ? threadIdx.x % 32 == 0 : is_inside) atomicAdd(pairs + key / 2, (are_equal ? 32u : 1u) << key % 2 * 16);
    });
    __syncthreads();
    for (int key = threadIdx.x; key < count; key += DENSE_THREADS) {
        const int own = pairs[key / 2] >> key % 2 * 16 & 0xffff;
        if (own == 0) continue;
        atomicAdd(dense->counts + key, own);
        atomicMax(dense->blocks + key, gridDim.x - blockIdx.x);
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) state->is_dense = 1;
}

// `blocks` is how many others have counted; `tiles` is as in number_items.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    number_dense(long long* __restrict__ indices, long long* __restrict__ counts, int* found, DenseKeys* dense,
                 unsigned* tiles, const State* __restrict__ state, int blocks) {
    if (state->is_dense == 0) return;
    number_items(
        tiles, static_cast<int>(state->highest - lowest_key<T>(*state)) + 1, found,
        [&](int key) { return dense->counts[key] != 0; },
        [&](int key, bool is_there, int number) {
            if (!is_there) return;
            counts[number] = dense->counts[key];
            indices[number] = 0x7fffffff;
            dense->blocks[key] = (blocks - dense->blocks[key]) << 16 | number;
        });
}

template <typename T>
__global__ void __launch_bounds__(DENSE_THREADS)
    rank_dense(long long* __restrict__ inverse, long long* indices, const DenseKeys* __restrict__ dense,
               const State* __restrict__ state, const Bits<T>* __restrict__ x, int items, int each) {
    if (state->is_dense == 0) return;
    for_each_of_block<T>(x, lowest_key<T>(*state), items, each, [&](int i, bool is_inside, int key) {
        if (!is_inside) return;
        const unsigned known = __ldg(dense->blocks + key), number = known & 0xffff;
        inverse[i] = number;
        if (known >> 16 == blockIdx.x && *static_cast<volatile long long*>(indices + number) > i) {
            atomicMin(indices + number, static_cast<long long>(i));
        }
    });
}
