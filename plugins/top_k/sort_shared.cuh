// Sort the keys of a block in its shared memory.

#pragma once

using pluginkit::THREADS;  // from launches.py

__device__ __forceinline__ int next_power_of_two(int n) {
    return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

// Sort (key, position) pairs in shared memory, which has room up to the next power of two. The largest key comes first,
// and equal keys are in the order of their positions.
template <typename Key> __device__ void sort_shared(Key* keys, int* places, int count) {
    const int padded = next_power_of_two(count);
    for (int i = count + threadIdx.x; i < padded; i += THREADS) keys[i] = 0, places[i] = 0x7fffffff;
    __syncthreads();
    for (int width = 2; width <= padded; width *= 2) {
        for (int step = width / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < padded / 2; i += THREADS) {
                const int low = 2 * i - (i & (step - 1)), high = low + step;
                const bool forwards = (low & width) == 0;
                const Key a = keys[low], b = keys[high];
                const int p = places[low], q = places[high];
                const bool in_order = a > b || (a == b && p < q);
                if (in_order != forwards) {
                    keys[low] = b, keys[high] = a;
                    places[low] = q, places[high] = p;
                }
            }
            __syncthreads();
        }
    }
}
