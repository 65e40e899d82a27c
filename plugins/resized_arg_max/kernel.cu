// ResizedArgMax: a block takes one map, keeps it in shared memory if it fits, and computes every pixel of the resized
// map to find the largest.

using pluginkit::KEPT, pluginkit::LARGEST, pluginkit::THREADS;  // from __init__.py

struct Taps {
    int at[4];
    float weight[4];
};

__device__ __forceinline__ float near_weight(float t, float a) {
    return __fadd_rn(__fmul_rn(__fmul_rn(__fsub_rn(__fmul_rn(a + 2.0f, t), a + 3.0f), t), t), 1.0f);
}

__device__ __forceinline__ float far_weight(float t, float a) {
    const float inner = __fadd_rn(__fmul_rn(__fsub_rn(__fmul_rn(a, t), 5.0f * a), t), 8.0f * a);
    return __fsub_rn(__fmul_rn(inner, t), 4.0f * a);
}

__device__ __forceinline__ Taps taps_of(int number, float scale, int pixels, float a) {
    const float at = __fsub_rn(__fdiv_rn(number + 0.5f, scale), 0.5f), first = floorf(at), t = at - first;
    Taps taps = {{}, {far_weight(t + 1.0f, a), near_weight(t, a), near_weight(1.0f - t, a), far_weight(2.0f - t, a)}};
#pragma unroll
    for (int tap = 0; tap < 4; ++tap) taps.at[tap] = min(max(static_cast<int>(first) + tap - 1, 0), pixels - 1);
    return taps;
}

// The largest pixel so far and its position; of equal pixels the first.
struct Best {
    float value;
    long long place;

    __device__ __forceinline__ void take(float other, long long other_place) {
        if (other_place < 0) return;
        const float seen = isnan(value) ? -__int_as_float(0x7f800000) : value;
        const float given = isnan(other) ? -__int_as_float(0x7f800000) : other;
        if (place < 0 || given > seen || (given == seen && other_place < place)) value = other, place = other_place;
    }
};

__global__ void __launch_bounds__(THREADS)
    resized_arg_max(long long* __restrict__ rows, long long* __restrict__ columns, float* __restrict__ largest,
                    const float* __restrict__ maps, const long long* __restrict__ heights,
                    const long long* __restrict__ widths, int count, int map_height, int map_width, float a) {
    __shared__ float kept[KEPT];
    __shared__ Best bests[THREADS];
    const int pixels = map_height * map_width, item = blockIdx.x / count;
    const float* map = maps + 1LL * blockIdx.x * pixels;
    const bool is_kept = pixels <= KEPT;
    if (is_kept) {
        for (int i = threadIdx.x; i < pixels; i += THREADS) kept[i] = map[i];
    }
    __syncthreads();
    const float* source = is_kept ? kept : map;
    const int height = static_cast<int>(min(max(heights[item], 1LL), static_cast<long long>(LARGEST)));
    const int width = static_cast<int>(min(max(widths[item], 1LL), static_cast<long long>(LARGEST)));
    const float scale_y = __fdiv_rn(static_cast<float>(height), static_cast<float>(map_height));
    const float scale_x = __fdiv_rn(static_cast<float>(width), static_cast<float>(map_width));
    Best best = {0.0f, -1};
    for (long long place = threadIdx.x; place < 1LL * height * width; place += THREADS) {
        const Taps down = taps_of(static_cast<int>(place / width), scale_y, map_height, a);
        const Taps across = taps_of(static_cast<int>(place % width), scale_x, map_width, a);
        float value = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float row = 0.0f;
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                const float term = __fmul_rn(source[down.at[i] * map_width + across.at[j]], across.weight[j]);
                row = j == 0 ? term : __fadd_rn(row, term);
            }
            const float term = __fmul_rn(row, down.weight[i]);
            value = i == 0 ? term : __fadd_rn(value, term);
        }
        best.take(value, place);
    }
    bests[threadIdx.x] = best;
    for (int step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) {
            const Best other = bests[threadIdx.x + step];
            best.take(other.value, other.place);
            bests[threadIdx.x] = best;
        }
    }
    if (threadIdx.x == 0) {
        rows[blockIdx.x] = best.place / width;
        columns[blockIdx.x] = best.place % width;
        largest[blockIdx.x] = best.value;
    }
}
