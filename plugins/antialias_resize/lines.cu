// AntialiasResize along one axis of (outer, size, inner). With elements beside the axis (columns) a thread takes a few that lie
// apart, so that a weight serves them all and adjacent threads read adjacent elements; if many elements go into one, the warps
// of a block share them. Without (rows) a warp takes an output and shares its elements.

#include "window.cuh"

using pluginkit::COLUMNS, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;

template <typename T, int STAGE, Filter FILTER, bool SHARED>
__global__ void __launch_bounds__(THREADS)
    resize_columns(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis axis,
                   Region region, Values values, long long inner, long long strips, long long items) {
    __shared__ float sums[SHARED ? THREADS * (COLUMNS + 1) : 1];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long item = SHARED ? blockIdx.x * 32LL + lane : 1LL * blockIdx.x * THREADS + threadIdx.x;
    const bool is_there = item < items;
    const long long line = item / strips, strip = item - line * strips, plane = line / axis.resized;
    const Window window = window_of<FILTER>(axis, region, static_cast<int>(line - plane * axis.resized));
    const int columns = is_there ? static_cast<int>(min((inner - strip - 1) / strips + 1, 1LL * COLUMNS)) : 0;
    const auto* own = x + plane * axis.size * inner + strip;
    float sum[COLUMNS] = {}, weights = 0.0f;
    if (columns > 0) {
#pragma unroll 4
        for (int tap = window.begin + (SHARED ? warp : 0); tap < window.end; tap += SHARED ? WARPS : 1) {
            const float weight = window.weight<FILTER>(tap, values.a);
            const auto* row = own + inside(tap, axis.size) * inner;
            weights += weight;
#pragma unroll
            for (int k = 0; k < COLUMNS; ++k) {
                if (k < columns) sum[k] += weight * static_cast<float>(row[k * strips]);
            }
        }
    }
    if constexpr (SHARED) {
        float* mine = sums + threadIdx.x * (COLUMNS + 1);
        for (int k = 0; k < COLUMNS; ++k) mine[k] = sum[k];
        mine[COLUMNS] = weights;
        __syncthreads();
        if (warp > 0) return;
        for (int other = 1; other < WARPS; ++other) {
            const float* theirs = sums + (other * 32 + lane) * (COLUMNS + 1);
            for (int k = 0; k < COLUMNS; ++k) sum[k] += theirs[k];
            weights += theirs[COLUMNS];
        }
    }
    auto* result = y + line * inner + strip;
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) {
        const float value = window.is_outside ? values.outside : divided(sum[k], weights);
        if (k < columns) result[k * strips] = static_cast<typename Pass<T, STAGE>::Out>(value);
    }
}

template <typename T, int STAGE, Filter FILTER>
__global__ void __launch_bounds__(THREADS)
    resize_rows(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis axis,
                Region region, Values values, long long items) {
    const int lane = threadIdx.x % 32;
    const long long item = (1LL * blockIdx.x * THREADS + threadIdx.x) / 32;
    if (item >= items) return;
    const long long row = item / axis.resized;
    const Window window = window_of<FILTER>(axis, region, static_cast<int>(item - row * axis.resized));
    const auto* own = x + row * axis.size;
    float sum = 0.0f, weights = 0.0f;
#pragma unroll 4
    for (int tap = window.begin + lane; tap < window.end; tap += 32) {
        const float weight = window.weight<FILTER>(tap, values.a);
        weights += weight;
        sum += weight * static_cast<float>(own[inside(tap, axis.size)]);
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(~0u, sum, step);
        weights += __shfl_xor_sync(~0u, weights, step);
    }
    const float value = window.is_outside ? values.outside : divided(sum, weights);
    if (lane == 0) y[item] = static_cast<typename Pass<T, STAGE>::Out>(value);
}
