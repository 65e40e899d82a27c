// Write zeros before a launch that overlaps, which a memset cannot precede.

#include "overlap.cuh"

using pluginkit::CLEAR_THREADS, pluginkit::CLEAR_VECTORS;  // from clear.py

// A thread clears some vectors of four words.
__global__ void __launch_bounds__(CLEAR_THREADS) clear(int* __restrict__ words, long long count) {
    let_next_launch_begin();
#pragma unroll
    for (int vector = 0; vector < CLEAR_VECTORS; ++vector) {
        const long long first = 4 * ((1LL * blockIdx.x * CLEAR_VECTORS + vector) * CLEAR_THREADS + threadIdx.x);
        if (first + 4 <= count) {
            *reinterpret_cast<int4*>(words + first) = {};
        } else {
            for (long long i = first; i < count; ++i) words[i] = 0;
        }
    }
}
