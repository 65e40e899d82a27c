// Unique: slices become unsigned keys, a radix sort sorts the keys, and equal keys form runs.
//
//   find_range    finds the lowest key of integers and short types, which slice_keys subtracts, so that few digits of the
//                 keys differ, and the highest. If they are close, dense.cu needs no sort, and what follows does nothing
//   slice_keys    makes a key for each word of each slice, and counts how often each digit occurs
//                 (sort_digits.cu sorts the keys stably, with their positions, by the digits that differ)
//   find_runs     numbers the runs in the order of their keys, and writes Y if the keys hold the values
//   spread_ranks  writes ranks that sort_digits.cu has brought near to their positions, if there are many
//   pair_ranks    if a slice has several words, combines the ranks of two adjacent ones into a key of the next level
//   order_runs    numbers the runs by the position of their first key; rename_runs applies these numbers
//   write_runs    writes indices and counts; take_slices copies the slices themselves
//
// A slice that fits into a key has one word, and there is one level. Otherwise the words of all slices are sorted
// together and replaced by their ranks. Two ranks fit into a key, so every level halves the words, until there is one.

#include "numbers.cuh"
#include "slices.cuh"

using pluginkit::DIGIT_BITS, pluginkit::LOADS;  // from launches.py: a thread loads LOADS keys at once
using pluginkit::MARKS, pluginkit::NEAR, pluginkit::SPREAD_THREADS, pluginkit::VALUES, pluginkit::WINDOW;

constexpr int DIGITS = 1 << DIGIT_BITS;

// Write `key_at(item)` and the position of every item, count the digits of the keys, and find whether they are in order.
template <typename Key, typename KeyAt>
__device__ __forceinline__ void write_keys(Key* __restrict__ keys, int* __restrict__ positions,
                                           int* __restrict__ digits, State* state, int items, int passes,
                                           KeyAt key_at) {
    __shared__ int counts[8 * sizeof(Key) / DIGIT_BITS * DIGITS];
    for (int i = threadIdx.x; i < passes * DIGITS; i += THREADS) counts[i] = 0;
    __syncthreads();
    bool is_in_order = true;
    for (int tile = blockIdx.x * LOADS * THREADS; tile < items; tile += gridDim.x * LOADS * THREADS) {
        const int base = tile + threadIdx.x;
        Key made[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            made[load] = base + load * THREADS < items ? key_at(base + load * THREADS) : static_cast<Key>(~Key{0});
        }
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int item = base + load * THREADS;
            Key before = __shfl_up_sync(~0u, made[load], 1);
            if (threadIdx.x % 32 == 0) before = item == 0 || item >= items ? Key{0} : key_at(item - 1);
            is_in_order = is_in_order && before <= made[load];
            if (item >= items) continue;
            keys[item] = made[load];
            positions[item] = item;
            for (int pass = 0; pass < passes; ++pass, made[load] >>= DIGIT_BITS) {
                atomicAdd(counts + pass * DIGITS + made[load] % DIGITS, 1);
            }
        }
    }
    const bool is_tile_in_order = __syncthreads_and(is_in_order) != 0;
    if (threadIdx.x == 0 && !is_tile_in_order) atomicOr(&state->out_of_order, 1);
    for (int i = threadIdx.x; i < passes * DIGITS; i += THREADS) {
        if (counts[i] != 0) atomicAdd(digits + i, counts[i]);
    }
}

// Find the lowest key of all elements and the highest.
template <typename T>
__global__ void __launch_bounds__(THREADS) find_range(State* state, const Bits<T>* __restrict__ x, int elements) {
    const int stride = gridDim.x * THREADS;
    Bits<T> highest = 0, highest_complement = 0;
    const auto look_at = [&](Bits<T> bits) {
        const Bits<T> key = key_of<T>(bits);
        highest = max(highest, key), highest_complement = max(highest_complement, static_cast<Bits<T>>(~key));
    };
    int i = blockIdx.x * THREADS + threadIdx.x;
    for (; i + (LOADS - 1) * stride < elements; i += LOADS * stride) {
        Bits<T> loaded[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) loaded[load] = x[i + load * stride];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) look_at(loaded[load]);
    }
    for (; i < elements; i += stride) look_at(x[i]);
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        highest = max(highest, static_cast<Bits<T>>(__shfl_xor_sync(~0u, highest, step)));
        highest_complement = max(highest_complement, static_cast<Bits<T>>(__shfl_xor_sync(~0u, highest_complement, step)));
    }
    __shared__ Bits<T> found[2][WARPS];  // first of a block, since atomics on one address take turns
    if (threadIdx.x % 32 == 0) {
        found[0][threadIdx.x / 32] = highest, found[1][threadIdx.x / 32] = highest_complement;
    }
    __syncthreads();
    if (threadIdx.x >= 2) return;
    Bits<T> of_block = 0;
    for (int warp = 0; warp < WARPS; ++warp) of_block = max(of_block, found[threadIdx.x][warp]);
    atomicMax(threadIdx.x == 0 ? &state->highest : &state->highest_complement, static_cast<unsigned long long>(of_block));
}

template <typename T, typename Key>
__global__ void __launch_bounds__(THREADS)
    slice_keys(Key* __restrict__ keys, int* __restrict__ positions, int* __restrict__ digits,
               const Bits<T>* __restrict__ x, State* state, Slices slices, int passes) {
    if (state->is_dense != 0) return;
    const Bits<T> lowest = lowest_key<T>(*state);
    write_keys(keys, positions, digits, state, slices.count * slices.words, passes,
               [&](int item) { return slice_key<T, Key>(x, slices, lowest, item); });
}

// A rank has `bits` bits. A slice has `words` ranks, and gets half as many keys. The ranks are in the half of `positions`
// that the sort before has left free.
__global__ void __launch_bounds__(THREADS)
    pair_ranks(unsigned long long* keys, unsigned long long* other_keys, int* positions, int* other_positions,
               int* __restrict__ digits, State* state, int items, int words, int bits, int passes) {
    const int pairs = (words + 1) / 2, half = state->half[AFTER];
    const int* __restrict__ ranks = half == 0 ? other_positions : positions;
    write_keys(half == 0 ? keys : other_keys, half == 0 ? positions : other_positions, digits, state, items, passes, [&](int item) {
        const int slice = item / pairs, word = item % pairs * 2;
        const int* pair = ranks + slice * words + word;
        return static_cast<unsigned long long>(pair[0]) << bits | (word + 1 < words ? pair[1] : 0);
    });
}

// Return the bits of the element that a key was made of.
template <typename T>
__device__ __forceinline__ Bits<T> element_of(Bits<T> key, const Bits<T>* __restrict__ x, int position) {
    const Bits<T> bits = bits_of_key<T>(key);
    if constexpr (INFINITY_BITS<T> != 0) {  // zeros have one key, and NaNs
        if (bits == 0 || key == static_cast<Bits<T>>(~Bits<T>{0})) return x[position];
    }
    return bits;
}

// Number the runs. Without `inverse`, write the rank of each key at its position into the free half of `positions`.
// Otherwise that half gets the place where each run starts, and `inverse` the ranks: at the keys' positions or, with
// NEAR, if the keys were not in order, in their order now as 4-byte numbers, with the positions after all of them. With MARKS, the rank of the
// first key of each run is its complement; without, `indices` is written here, and with VALUES y.
template <typename T, typename Key>
__global__ void __launch_bounds__(THREADS)
    find_runs(Bits<T>* __restrict__ y, long long* __restrict__ indices, long long* __restrict__ inverse, int* count,
              unsigned* tiles, const Key* keys, const Key* other_keys, int* positions, int* other_positions,
              const State* __restrict__ state, const Bits<T>* __restrict__ x, int items, int modes) {
    if (state->is_dense != 0) return;
    const int half = state->half[AFTER];
    const Key* __restrict__ sorted = half == 0 ? keys : other_keys;
    const int* __restrict__ sorted_positions = half == 0 ? positions : other_positions;
    int* __restrict__ free = half == 0 ? other_positions : positions;
    const Bits<T> lowest = lowest_key<T>(*state);
    const bool is_near = (modes & NEAR) != 0 && state->in_order == 0;
    int* near = reinterpret_cast<int*>(inverse);
    number_items(
        tiles, items, count, [&](int item) { return item == 0 || sorted[item] != sorted[item - 1]; },
        [&](int item, bool is_first, int rank) {
            const int position = sorted_positions[item];
            if (inverse == nullptr) {
                free[position] = rank;
                return;
            }
            const int marked = (modes & MARKS) != 0 && is_first ? ~rank : rank;
            if (is_near) {
                near[item] = marked, near[items + item] = position;
            } else {
                inverse[position] = marked;
            }
            if (!is_first) return;
            free[rank] = item;
            if ((modes & MARKS) != 0) return;
            indices[rank] = position;
            if ((modes & VALUES) != 0) y[rank] = element_of<T>(static_cast<Bits<T>>(sorted[item] + lowest), x, position);
        });
}

// Write ranks at their positions. They come in groups: those of the first 2^near_bit positions, of the next ones, and so
// on. A block writes WINDOW ranks, which it looks for among those of a group, or of all groups that are in the window.
__global__ void __launch_bounds__(SPREAD_THREADS)
    spread_ranks(long long* __restrict__ inverse, const int* __restrict__ positions, const int* __restrict__ ranks,
                 const State* __restrict__ state, int items, int near_bit) {
    extern __shared__ int window[];
    if (state->in_order != 0) return;
    const int first = blockIdx.x * WINDOW, count = min(WINDOW, items - first);
    const int looked_at = max(WINDOW, 1 << near_bit), begin = first & ~(looked_at - 1);
    const int end = min(looked_at, items - begin) + begin;
    for (int base = begin + threadIdx.x; base < end; base += LOADS * SPREAD_THREADS) {
        int at[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int item = base + load * SPREAD_THREADS;
            at[load] = item < end ? positions[item] - first : -1;
        }
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            if (at[load] >= 0 && at[load] < WINDOW) window[at[load]] = ranks[base + load * SPREAD_THREADS];
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += SPREAD_THREADS) inverse[first + i] = window[i];
}

// Order the runs by their first keys, which are marked in `inverse`: write which run is at each place of the new order,
// and the place of each run.
__global__ void __launch_bounds__(THREADS)
    order_runs(int* __restrict__ runs, int* __restrict__ places, unsigned* tiles, const long long* __restrict__ inverse,
               int items) {
    number_items(
        tiles, items, nullptr, [&](int item) { return inverse[item] < 0; },
        [&](int item, bool is_first, int place) {
            if (!is_first) return;
            const int run = static_cast<int>(~inverse[item]);
            runs[place] = run;
            places[run] = place;
        });
}

// Write how often the value of each run occurs and, with `runs`, where it first occurs.
__global__ void write_runs(long long* __restrict__ indices, long long* __restrict__ counts, const int* positions,
                           const int* other_positions, const State* __restrict__ state, const int* __restrict__ runs,
                           const int* __restrict__ count, int items) {
    if (state->is_dense != 0) return;
    const int total = *count, half = state->half[AFTER];
    const int* __restrict__ sorted = half == 0 ? positions : other_positions;
    const int* __restrict__ starts = half == 0 ? other_positions : positions;
    for (int place = blockIdx.x * THREADS + threadIdx.x; place < total; place += gridDim.x * THREADS) {
        const int run = runs == nullptr ? place : runs[place];
        const int start = starts[run];
        if (runs != nullptr) indices[place] = sorted[start];
        counts[place] = (run + 1 < total ? starts[run + 1] : items) - start;
    }
}

// Replace each run's number by its place in the new order.
__global__ void rename_runs(long long* __restrict__ inverse, const int* __restrict__ places, int items) {
    for (int item = blockIdx.x * THREADS + threadIdx.x; item < items; item += gridDim.x * THREADS) {
        const int run = static_cast<int>(inverse[item]);
        inverse[item] = places[run < 0 ? ~run : run];
    }
}

// Copy the slices at `indices`; with `only_dense`, if dense.cu has found them.
template <typename T>
__global__ void take_slices(T* __restrict__ y, const T* __restrict__ x, const long long* __restrict__ indices,
                            const int* __restrict__ count, const State* __restrict__ state, int only_dense, Slices slices) {
    if (only_dense != 0 && state->is_dense == 0) return;
    const int total = *count, elements = total * slices.elements;
    for (int i = blockIdx.x * THREADS + threadIdx.x; i < elements; i += gridDim.x * THREADS) {
        y[i] = x[slices.place(i, total, [&](int place) { return static_cast<int>(indices[place]); })];
    }
}
