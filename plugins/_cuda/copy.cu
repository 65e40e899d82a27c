// Copy data before a launch that overlaps and reduces updates into it, which a copy of the driver cannot precede.

#include "overlap.cuh"

using pluginkit::COPY_THREADS, pluginkit::COPY_VECTORS;  // from copy.py

// A thread copies some vectors, and the first ones the last bytes. What is copied stays in the L2 cache, where atomics need
// it next.
__global__ void __launch_bounds__(COPY_THREADS)
    copy_bytes(char* __restrict__ output, const char* __restrict__ data, unsigned long long nbytes) {
    constexpr int VECTOR = sizeof(int4);
    const unsigned long long first = 1ULL * blockIdx.x * COPY_THREADS * COPY_VECTORS + threadIdx.x;
    const unsigned long long vectors = nbytes / VECTOR;
    int4 held[COPY_VECTORS];
    let_next_launch_begin();
#pragma unroll
    for (int k = 0; k < COPY_VECTORS; ++k) {
        const int4* source = reinterpret_cast<const int4*>(data) + first + k * COPY_THREADS;
        if (first + k * COPY_THREADS < vectors) held[k] = __ldcs(source);
    }
#pragma unroll
    for (int k = 0; k < COPY_VECTORS; ++k) {
        if (first + k * COPY_THREADS < vectors) reinterpret_cast<int4*>(output)[first + k * COPY_THREADS] = held[k];
    }
    if (first < nbytes % VECTOR) output[vectors * VECTOR + first] = data[vectors * VECTOR + first];
}
