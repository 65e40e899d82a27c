// The elements variant for many updates: as in kernel.cu, but while a block finds few different elements among its updates,
// it combines those of one element in shared memory, since atomics on one address of the L2 cache take turns.

#include "cells.cuh"
#include "places.cuh"

// From launches.py.
using pluginkit::COMBINED_CELLS, pluginkit::COMBINING_BLOCK;

constexpr int BATCH = 2;                        // updates of a thread that are loaded together
constexpr int FEW_MEET = COMBINING_BLOCK / 16;  // of an update of each thread, which make combining worth while

__device__ __forceinline__ int hashed(unsigned int target) { return target * 0x9E3779B1u / (0x100000000 / COMBINED_CELLS); }

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

// A block takes `share` updates. Before each batch it decides whether to combine them.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void __launch_bounds__(COMBINING_BLOCK, 2048 / COMBINING_BLOCK)
    combine_elements(T* __restrict__ output, const Tind* __restrict__ indices, const T* __restrict__ updates,
                     Offset count, Offset total, Offset axis_size, Offset axis_stride, Offset share,
                     Geometry<Offset, RANK> geometry) {
    using Sum = typename SumOf<T>::type;
    extern __shared__ int4 shared[];
    Offset* targets = reinterpret_cast<Offset*>(shared);
    Sum* sums = reinterpret_cast<Sum*>(targets + COMBINED_CELLS);
    const Offset first = blockIdx.x * share;
    const int taken = static_cast<int>(min(count - first, share));
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
    const auto target_of = [&](int at, long long place) {
        if (place < 0) place += axis_size;
        if (at >= taken || place < 0 || place >= static_cast<long long>(axis_size)) return NO_CELL<Offset>;
        return geometry.target(static_cast<Offset>(place) * axis_stride, first + at);
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
            if (target != NO_CELL<Offset>) reduce_one<R>(output, target, total, static_cast<T>(sums[cell]));
        }
    };
    load(0);
    empty_cells();
    __syncthreads();
    bool is_combining = false, meets = false;
    for (int begin = 0; begin < taken; begin += BATCH * COMBINING_BLOCK) {
        if (!is_combining) {  // a target has another place each time, so that older ones do not count
            const Offset target = target_of(begin + threadIdx.x, index[0]);
            if (target != NO_CELL<Offset>) meets |= atomicExch(targets + hashed(target + begin), target) == target;
        }
        const bool pays = __syncthreads_count(meets) >= FEW_MEET;
        if (is_combining != pays) {
            if (is_combining) reduce_cells();
            else empty_cells();
            is_combining = pays;
            __syncthreads();
        }
        meets = false;
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int at = begin + k * COMBINING_BLOCK + threadIdx.x;
            const Offset target = target_of(at, index[k]);
            Sum value = static_cast<Sum>(update[k]);
            if (may_meet(target) && !combine_equal_cells<R>(target, value)) {
                meets = true;
            } else if (target != NO_CELL<Offset>) {
                const int cell = is_combining ? find_cell(targets, target, meets) : NO_CELL<int>;
                if (cell != NO_CELL<int>) reduce_into<R>(sums + cell, value);
                else reduce_one<R>(output, target, total, static_cast<T>(value));
            }
        }
        load(begin + BATCH * COMBINING_BLOCK);
    }
    __syncthreads();
    if (is_combining) reduce_cells();
}
