// Order the boxes of each class by descending score. A segment is one class of one image.
//
//   sort_tiles   each block sorts the keys of a tile of scores, leaving out those that do not exceed the threshold
//   merge_runs   merges sorted runs, several into one; repeated until a segment is one run
//
// The high half of a key is the score, inverted so that the best comes first; the low half is the box's number. So keys
// are distinct, and the order does not depend on the timing of threads.

#include "../_cuda/device.cuh"
#include "../_cuda/ordered_keys.cuh"

using pluginkit::FAN, pluginkit::THREADS, pluginkit::TILE;  // from launches.py

constexpr unsigned long long NO_KEY = ~0ull;
constexpr unsigned NAN_KEY = ~0u;

__device__ __forceinline__ unsigned long long descending_key(float score, int box) {
    const unsigned key = score != score ? NAN_KEY : ~key_of<float>(__float_as_uint(score));
    return static_cast<unsigned long long>(key) << 32 | static_cast<unsigned>(box);
}

// Sort `size` keys in shared memory, a power of two, by a bitonic network.
__device__ __forceinline__ void sort_shared(unsigned long long* keys, int size) {
    for (int length = 2; length <= size; length *= 2) {
        for (int stride = length / 2; stride > 0; stride /= 2) {
            __syncthreads();
            for (int i = threadIdx.x; i < size / 2; i += THREADS) {
                const int low = 2 * i - (i & (stride - 1)), high = low + stride;
                const unsigned long long a = keys[low], b = keys[high];
                if ((a > b) == ((low & length) == 0)) keys[low] = b, keys[high] = a;
            }
        }
    }
    __syncthreads();
}

__global__ void __launch_bounds__(THREADS)
    sort_tiles(unsigned long long* __restrict__ keys, int* __restrict__ runs, const float* __restrict__ scores,
               const float* __restrict__ score_threshold, int boxes) {
    __shared__ unsigned long long tile[TILE];
    __shared__ int count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    const long long segment = static_cast<long long>(blockIdx.x) * boxes;
    const int first = blockIdx.y * TILE, last = min(first + TILE, boxes);
    const bool counts_all = score_threshold == nullptr;
    const float threshold = counts_all ? 0.0f : *score_threshold;
    for (int box = first + threadIdx.x; box < last; box += THREADS) {
        const float score = scores[segment + box];
        if (counts_all || score > threshold) tile[atomicAdd(&count, 1)] = descending_key(score, box);
    }
    __syncthreads();
    const int counted = count;
    int size = 1;
    while (size < counted) size *= 2;
    for (int i = counted + threadIdx.x; i < size; i += THREADS) tile[i] = NO_KEY;
    sort_shared(tile, size);
    for (int i = threadIdx.x; i < counted; i += THREADS) keys[segment + first + i] = tile[i];
    if (threadIdx.x == 0) runs[blockIdx.x * gridDim.y + blockIdx.y] = counted;
}

// Return how many keys of a sorted run are below `key`.
__device__ __forceinline__ int count_below(const unsigned long long* __restrict__ run, int count,
                                           unsigned long long key) {
    int below = 0;
    while (below < count) {
        const int middle = (below + count) / 2;
        if (run[middle] < key) below = middle + 1;
        else count = middle;
    }
    return below;
}

// Merge FAN runs into one. A run has room for `width` keys, and a segment has `run_count` runs.
__global__ void __launch_bounds__(THREADS)
    merge_runs(unsigned long long* __restrict__ merged, int* __restrict__ merged_runs,
               const unsigned long long* __restrict__ keys, const int* __restrict__ runs, int boxes, int width,
               int run_count) {
    const long long segment = static_cast<long long>(blockIdx.x) * boxes;
    keys += segment, merged += segment, runs += static_cast<long long>(blockIdx.x) * run_count;
    const long long position = static_cast<long long>(blockIdx.y) * THREADS + threadIdx.x;
    if (position >= boxes) return;
    const int own = static_cast<int>(position / width), offset = static_cast<int>(position - 1LL * own * width);
    const int first = own / FAN * FAN, last = min(first + FAN, run_count);
    if (own == first && offset == 0) {
        int total = 0;
        for (int run = first; run < last; ++run) total += runs[run];
        merged_runs[static_cast<long long>(blockIdx.x) * ((run_count + FAN - 1) / FAN) + first / FAN] = total;
    }
    if (offset >= runs[own]) return;
    const unsigned long long key = keys[position];
    long long place = 1LL * first * width + offset;
    for (int run = first; run < last; ++run) {
        if (run != own) place += count_below(keys + 1LL * run * width, runs[run], key);
    }
    merged[place] = key;
}
