// The elements variant for many updates: as in kernel.cu, but while a block finds few different elements among its updates,
// it combines those of one element in shared memory, since atomics on one address of the L2 cache take turns.
//
// Updates are reduced into a copy of data. WIDE copies of 16-bit elements are float32, on which atomics are faster.

#include "../_cuda/overlap.cuh"
#include "cells.cuh"
#include "places.cuh"

// From combined_elements.py.
using pluginkit::COMBINED_BATCH, pluginkit::COMBINED_CELLS, pluginkit::COMBINING_BLOCK, pluginkit::DATA_BLOCK;
using pluginkit::PATIENCE, pluginkit::VECTOR_BYTES;

constexpr int FEW_MEET = COMBINING_BLOCK / 16;  // of an update of each thread, which make combining worth while
constexpr int BATCH_UPDATES = COMBINED_BATCH * COMBINING_BLOCK;

__device__ __forceinline__ int hashed(unsigned int target) { return __umulhi(target * 0x9E3779B1u, COMBINED_CELLS); }

// Return the cell of a target in a hash table, or none if others have taken its two places. Set whether it was there.
template <typename Offset> __device__ __forceinline__ int find_cell(Offset* targets, Offset target, bool& is_known) {
    int cell = hashed(target);
    for (int probe = 0; probe < 2; ++probe, cell ^= 1) {
        Offset seen = *static_cast<volatile Offset*>(targets + cell);
        if (seen == NO_CELL<Offset>) {
            seen = atomicCAS(targets + cell, seen, target);
            if (seen == NO_CELL<Offset>) return cell;
        }
        is_known = seen == target;
        if (is_known) return cell;
    }
    return NO_CELL<int>;
}

// The type of the copy of data.
template <typename T, bool WIDE> struct CopyOf { using type = T; };
template <typename T> struct CopyOf<T, true> { using type = typename AccumulatorOf<T>::type; };

// Convert `size` elements; a thread takes a vector of the smaller ones.
template <typename To, typename From> __device__ __forceinline__ void convert(To* target, const From* source, long long size) {
    constexpr int N = VECTOR_BYTES / (sizeof(To) < sizeof(From) ? sizeof(To) : sizeof(From));
    const long long first = N * (1LL * blockIdx.x * DATA_BLOCK + threadIdx.x);
    if (first + N <= size) {
        const auto loaded = *reinterpret_cast<const Pack<From, N>*>(source + first);
        Pack<To, N> converted;
#pragma unroll
        for (int n = 0; n < N; ++n) converted.value[n] = static_cast<To>(loaded.value[n]);
        *reinterpret_cast<Pack<To, N>*>(target + first) = converted;
    } else {
        for (long long i = first; i < size; ++i) target[i] = static_cast<To>(source[i]);
    }
}

// Copy data, and say that no batch of updates is taken.
template <typename T, bool WIDE>
__global__ void __launch_bounds__(DATA_BLOCK)
    begin_sums(typename CopyOf<T, WIDE>::type* __restrict__ sums, const T* __restrict__ data,
               unsigned int* __restrict__ taken, long long size) {
    let_next_launch_begin();
    if (blockIdx.x == 0 && threadIdx.x == 0) *taken = 0;
    convert(sums, data, size);
}

// Write wide sums to the output. They are not __restrict__: the compiler could read them before it waits for their launch.
template <typename T>
__global__ void __launch_bounds__(DATA_BLOCK)
    round_sums(T* __restrict__ output, const typename AccumulatorOf<T>::type* sums, long long size) {
    wait_for_earlier_launches();
    convert(output, sums, size);
}

// A block takes batches of updates in the order of memory, each when it is done with the one before. Before each batch
// it decides whether to combine the updates; it stops after some batches that did not pay, which other batches may follow.
template <typename T, typename Tind, Reduction R, bool WIDE, typename Offset, int RANK>
__global__ void __launch_bounds__(COMBINING_BLOCK, 2048 / COMBINING_BLOCK)
    combine_elements(typename CopyOf<T, WIDE>::type* __restrict__ output, const Tind* __restrict__ indices,
                     const T* __restrict__ updates, unsigned int* __restrict__ taken, Offset count, Offset total,
                     Offset axis_size, Offset axis_stride, Geometry<Offset, RANK> geometry) {
    using Target = typename CopyOf<T, WIDE>::type;
    using Sum = typename SumOf<T>::type;
    extern __shared__ int4 shared[];
    Offset* next_begins = reinterpret_cast<Offset*>(shared);
    Offset* targets = next_begins + 2;
    Sum* sums = reinterpret_cast<Sum*>(targets + COMBINED_CELLS);
    Tind index[COMBINED_BATCH];
    T update[COMBINED_BATCH];
    const auto place = [](Offset begin, int k) { return begin + k * COMBINING_BLOCK + threadIdx.x; };
    const auto load = [&](Offset begin) {
#pragma unroll
        for (int k = 0; k < COMBINED_BATCH; ++k) {
            const Offset at = place(begin, k);
            if (at >= count) break;
            index[k] = __ldcs(indices + at);
            update[k] = updates[at];
        }
    };
    const auto target_of = [&](Offset at, long long index) {
        if (index < 0) index += axis_size;
        if (at >= count || index < 0 || index >= static_cast<long long>(axis_size)) return NO_CELL<Offset>;
        return geometry.target(static_cast<Offset>(index) * axis_stride, at);
    };
    const auto empty_cells = [&] {
        for (int cell = threadIdx.x; cell < COMBINED_CELLS; cell += COMBINING_BLOCK) {
            targets[cell] = NO_CELL<Offset>;
            sums[cell] = neutral<R, Sum>();
        }
    };
    const auto reduce_cells = [&] {
        for (int cell = threadIdx.x; cell < COMBINED_CELLS; cell += COMBINING_BLOCK) {
            const Offset target = targets[cell];
            if (target != NO_CELL<Offset>) reduce_one<R>(output, target, total, static_cast<Target>(sums[cell]));
        }
    };
    Offset begin = static_cast<Offset>(blockIdx.x) * BATCH_UPDATES;
    load(begin);
    empty_cells();
    if (threadIdx.x == 0) next_begins[0] = begin + gridDim.x * BATCH_UPDATES;
    wait_for_earlier_launches();
    let_next_launch_begin();
    __syncthreads();
    bool is_combining = false, meets = false;
    int unpaid = 0;
    for (int turn = 0; begin < count; turn ^= 1) {
        if (!is_combining) {  // a target has another place each time, so that older ones do not count
            const Offset target = target_of(place(begin, 0), index[0]);
            if (target != NO_CELL<Offset>) meets |= atomicExch(targets + hashed(target + begin), target) == target;
        }
        const bool pays = __syncthreads_count(meets) >= FEW_MEET;
        const Offset next = next_begins[turn];
        if (threadIdx.x == 0) {  // the first two batches of each block are fixed
            next_begins[turn ^ 1] = (2 * static_cast<Offset>(gridDim.x) + atomicAdd(taken, 1u)) * BATCH_UPDATES;
        }
        unpaid = pays ? 0 : unpaid + 1;
        if (is_combining ? unpaid > PATIENCE : pays) {
            if (is_combining) reduce_cells();
            else empty_cells();
            is_combining = !is_combining;
            __syncthreads();
        }
        meets = false;
#pragma unroll
        for (int k = 0; k < COMBINED_BATCH; ++k) {
            const Offset target = target_of(place(begin, k), index[k]);
            Sum value = static_cast<Sum>(update[k]);
            if (meeting(target) > 1 && !combine_equal_cells<R>(target, value)) {
                meets = true;
            } else if (target != NO_CELL<Offset>) {
                bool is_known = false;
                const int cell = is_combining ? find_cell(targets, target, is_known) : NO_CELL<int>;
                meets |= is_known;
                if (cell == NO_CELL<int>) reduce_one<R>(output, target, total, static_cast<Target>(value));
                else if (R != Reduction::none || !is_known) reduce_into<R>(sums + cell, value);
            }
        }
        begin = next;
        load(begin);
    }
    __syncthreads();
    if (is_combining) reduce_cells();
}
