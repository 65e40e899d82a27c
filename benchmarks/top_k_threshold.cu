// A peer of TopK for the largest of contiguous rows: a block keeps what exceeds a threshold in shared memory. When that
// is full it is sorted, and the k-th becomes the threshold. For k up to half of what shared memory holds, without NaN.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

constexpr int THREADS = 512, ROOM = 2048;

__device__ unsigned key_of(float value) {
    const unsigned bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Sort pairs of a key and the complement of an index, the largest first.
__device__ void sort(unsigned long long* pairs, int count) {
    for (int i = count + threadIdx.x; i < ROOM; i += THREADS) pairs[i] = 0;
    __syncthreads();
    int padded = 2;
    while (padded < count) padded *= 2;
    for (int width = 2; width <= padded; width *= 2) {
        for (int step = width / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < padded / 2; i += THREADS) {
                const int low = 2 * i - (i & (step - 1)), high = low + step;
                const unsigned long long a = pairs[low], b = pairs[high];
                if ((a < b) == ((low & width) == 0)) pairs[low] = b, pairs[high] = a;
            }
            __syncthreads();
        }
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    threshold_top_k(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, int size, int k) {
    constexpr int LANES = 16 / sizeof(T);
    __shared__ unsigned long long pairs[ROOM];
    __shared__ int count, passing;
    const T* row = x + static_cast<long long>(blockIdx.x) * size;
    const int head = static_cast<int>((16 - reinterpret_cast<unsigned long long>(row) % 16) % 16 / sizeof(T));
    const int vectors = (size - head) / LANES, tail = head + vectors * LANES;
    float threshold = -__int_as_float(0x7f800000);
    bool has_threshold = false;  // whether there are k at least as large as the threshold
    if (threadIdx.x == 0) count = passing = 0;
    __syncthreads();
    const auto trim = [&]() {
        sort(pairs, count);
        if (count >= k) {
            const unsigned key = static_cast<unsigned>(pairs[k - 1] >> 32);
            threshold = __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key), has_threshold = true;
        }
        __syncthreads();
        if (threadIdx.x == 0) count = min(count, k);
        __syncthreads();
    };
    const auto offer = [&](bool is_there, float value, int index) {
        const bool is_full = count + THREADS > ROOM;
        __syncthreads();
        if (is_full) trim();
        if (is_there && (value > threshold || !has_threshold)) {
            pairs[atomicAdd(&count, 1)] = static_cast<unsigned long long>(key_of(value)) << 32 | ~static_cast<unsigned>(index);
        }
        __syncthreads();
    };
    offer(threadIdx.x < head, static_cast<float>(row[min(threadIdx.x, size - 1)]), threadIdx.x);
    const int at = tail + threadIdx.x;
    offer(at < size, static_cast<float>(row[min(at, size - 1)]), at);
    for (int base = 0; base < vectors; base += THREADS) {
        const int vector = base + threadIdx.x, first = head + vector * LANES;
        union {
            uint4 whole;
            T lanes[LANES];
        } loaded;
        loaded.whole = vector < vectors ? *reinterpret_cast<const uint4*>(row + first) : uint4{};
        unsigned mask = 0;
#pragma unroll
        for (int lane = 0; lane < LANES; ++lane) {
            const float value = static_cast<float>(loaded.lanes[lane]);
            mask |= value > threshold || !has_threshold ? 1u << lane : 0u;
        }
        if (vector >= vectors) mask = 0;
        if (mask != 0) atomicAdd(&passing, __popc(mask));
        __syncthreads();
        const bool fits = count + passing <= ROOM;
        __syncthreads();
        if (threadIdx.x == 0) passing = 0;
        if (fits) {
#pragma unroll
            for (int lane = 0; lane < LANES; ++lane) {
                if (mask >> lane & 1) {
                    pairs[atomicAdd(&count, 1)] =
                        static_cast<unsigned long long>(key_of(static_cast<float>(loaded.lanes[lane]))) << 32 |
                        ~static_cast<unsigned>(first + lane);
                }
            }
            __syncthreads();
        } else {
#pragma unroll
            for (int lane = 0; lane < LANES; ++lane) {
                offer(vector < vectors, static_cast<float>(loaded.lanes[lane]), first + lane);
            }
        }
    }
    sort(pairs, count);
    for (int j = threadIdx.x; j < k; j += THREADS) {
        const int index = static_cast<int>(~static_cast<unsigned>(pairs[j]));
        y[static_cast<long long>(blockIdx.x) * k + j] = row[index];
        indices[static_cast<long long>(blockIdx.x) * k + j] = index;
    }
}
