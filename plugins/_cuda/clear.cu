// Write zeros before a launch that overlaps, which a memset cannot precede.

#include "overlap.cuh"

using pluginkit::CLEAR_THREADS;  // from clear.py

// A thread clears four words.
__global__ void __launch_bounds__(CLEAR_THREADS) clear(int* __restrict__ words, long long count) {
    let_next_launch_begin();
    const long long first = 4 * (1LL * blockIdx.x * CLEAR_THREADS + threadIdx.x);
    if (first + 4 <= count) {
        *reinterpret_cast<int4*>(words + first) = {};
    } else {
        for (long long i = first; i < count; ++i) words[i] = 0;
    }
}
