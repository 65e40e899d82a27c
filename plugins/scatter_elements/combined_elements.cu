// The elements variant for many updates: as in kernel.cu, but a block that finds few different elements among its first
// updates combines updates of one element in shared memory, since atomics on one address of the L2 cache take turns.

#include "cells.cuh"
#include "places.cuh"

// From launches.py.
using pluginkit::COMBINED_CELLS, pluginkit::COMBINED_UPDATES, pluginkit::COMBINING_BLOCK;

constexpr int BATCH = 4;                      // loads of a thread in flight
constexpr int FEW_MEET = COMBINING_BLOCK / 16;  // of the first updates, which make combining worth while
template <typename Offset> constexpr Offset NO_TARGET = ~static_cast<Offset>(0);

// Return the cell of a target in a hash table, or -1 if others have taken its two places. Set whether it was there.
template <typename Offset> __device__ __forceinline__ int find_cell(Offset* targets, Offset target, bool& is_known) {
    int cell = static_cast<unsigned int>(target) * 0x9E3779B1u / (0x100000000 / COMBINED_CELLS);
    for (int probe = 0; probe < 2; ++probe, cell ^= 1) {
        Offset seen = *static_cast<volatile Offset*>(targets + cell);
        if (seen == NO_TARGET<Offset>) {
            seen = atomicCAS(targets + cell, seen, target);
            if (seen == NO_TARGET<Offset>) return cell;
        }
        is_known = seen == target;
        if (is_known) return cell;
    }
    return -1;
}

template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void __launch_bounds__(COMBINING_BLOCK, 2048 / COMBINING_BLOCK)
    combine_elements(T* __restrict__ output, const Tind* __restrict__ indices, const T* __restrict__ updates,
                     Offset count, Offset total, Offset axis_size, Offset axis_stride,
                     Geometry<Offset, RANK> geometry) {
    using Sum = typename SumOf<T>::type;
    extern __shared__ int4 shared[];
    Offset* targets = reinterpret_cast<Offset*>(shared);
    Sum* sums = reinterpret_cast<Sum*>(targets + COMBINED_CELLS);
    const auto target_of = [&](Offset position, long long place) {
        if (place < 0) place += axis_size;
        if (place < 0 || place >= static_cast<long long>(axis_size)) return NO_TARGET<Offset>;
        return geometry.target(static_cast<Offset>(place) * axis_stride, position);
    };
    const Offset first = blockIdx.x * static_cast<Offset>(COMBINED_UPDATES);
    const int taken = static_cast<int>(min(count - first, static_cast<Offset>(COMBINED_UPDATES)));
    indices += first;
    updates += first;
    Tind index[BATCH];
    T update[BATCH];
    const auto load = [&](int begin) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int at = begin + k * COMBINING_BLOCK + threadIdx.x;
            if (at >= taken) break;
            index[k] = __ldcs(indices + at);
            update[k] = updates[at];
        }
    };
    load(0);
    for (int cell = threadIdx.x; cell < COMBINED_CELLS; cell += COMBINING_BLOCK) targets[cell] = NO_TARGET<Offset>;
    __syncthreads();
    bool is_known = false;
    if (threadIdx.x < taken) {
        const Offset target = target_of(first + threadIdx.x, index[0]);
        if (target != NO_TARGET<Offset>) find_cell(targets, target, is_known);
    }
    const bool is_combining = __syncthreads_count(is_known) >= FEW_MEET;
    if (is_combining) {
        for (int cell = threadIdx.x; cell < COMBINED_CELLS; cell += COMBINING_BLOCK) sums[cell] = neutral<R, Sum>();
        __syncthreads();
    }
    for (int begin = 0; begin < taken; begin += BATCH * COMBINING_BLOCK) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int at = begin + k * COMBINING_BLOCK + threadIdx.x;
            const Offset target = at < taken ? target_of(first + at, index[k]) : NO_TARGET<Offset>;
            int cell = -1;
            if (is_combining) {
                if (target != NO_TARGET<Offset>) cell = find_cell(targets, target, is_known);
                reduce_into_cells<R>(sums, cell, static_cast<Sum>(update[k]));
            }
            if (target != NO_TARGET<Offset> && cell < 0) reduce_one<R>(output, target, total, update[k]);
        }
        load(begin + BATCH * COMBINING_BLOCK);
    }
    if (!is_combining) return;
    __syncthreads();
    for (int cell = threadIdx.x; cell < COMBINED_CELLS; cell += COMBINING_BLOCK) {
        const Offset target = targets[cell];
        if (target != NO_TARGET<Offset>) reduce_one<R>(output, target, total, static_cast<T>(sums[cell]));
    }
}
