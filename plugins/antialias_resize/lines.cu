// AntialiasResize along one axis of (outer, size, inner). With elements beside the axis (columns) a thread takes COLUMNS of them,
// so that a weight serves them all: adjacent ones, read at once, or some that lie `strips` apart. If many elements go into
// one, the warps of a block share them. Without (rows) a warp takes an output and shares its elements.

#include "window.cuh"

using pluginkit::COLUMNS, pluginkit::TAPS, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;

template <typename T, int STAGE, Filter FILTER, bool SHARED, bool ADJACENT>
__global__ void __launch_bounds__(THREADS)
    resize_columns(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis axis,
                   Region region, Values values, long long inner, long long strips, long long items) {
    using In = typename Pass<T, STAGE>::In;
    using Out = typename Pass<T, STAGE>::Out;
    __shared__ float sums[SHARED ? THREADS * (COLUMNS + 1) : 1];
    __shared__ Line line;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (threadIdx.x == 0) line = line_of<FILTER>(axis, region);
    __syncthreads();
    const long long item = SHARED ? blockIdx.x * 32LL + lane : 1LL * blockIdx.x * THREADS + threadIdx.x;
    const long long row = item / strips, strip = item - row * strips, plane = row / axis.resized;
    const Window window = window_of(line, axis, static_cast<int>(row - plane * axis.resized));
    const long long first = ADJACENT ? strip * COLUMNS : strip, apart = ADJACENT ? 1 : strips;
    const int columns = item >= items ? 0 : ADJACENT ? COLUMNS : static_cast<int>(min((inner - strip - 1) / strips + 1, 1LL * COLUMNS));
    const In* own = x + plane * axis.size * inner + first;
    float sum[COLUMNS] = {}, weights = 0.0f;
    constexpr int STEP = SHARED ? WARPS : 1;
    for (int begin = window.begin + (SHARED ? warp : 0); begin < window.end && columns > 0; begin += STEP * TAPS) {
        // All are read before one is used, so that the reads wait for memory together.
        Vector<In, COLUMNS> elements[TAPS];
#pragma unroll
        for (int i = 0; i < TAPS; ++i) {
            const In* source = own + inside(begin + i * STEP, axis.size) * inner;
            if constexpr (ADJACENT) {
                elements[i] = Vector<In, COLUMNS>::read(source);
            } else {
#pragma unroll
                for (int k = 0; k < COLUMNS; ++k) elements[i].element[k] = source[k < columns ? k * strips : 0];
            }
        }
#pragma unroll
        for (int i = 0; i < TAPS; ++i) {
            const int tap = begin + i * STEP;
            if (tap < window.end) {
                const float weight = window.weight<FILTER>(tap, values.a);
                weights += weight;
#pragma unroll
                for (int k = 0; k < COLUMNS; ++k) sum[k] += weight * static_cast<float>(elements[i].element[k]);
            }
        }
    }
    if constexpr (SHARED) {
        float* mine = sums + threadIdx.x * (COLUMNS + 1);
#pragma unroll
        for (int k = 0; k < COLUMNS; ++k) mine[k] = sum[k];
        mine[COLUMNS] = weights;
        __syncthreads();
        if (warp > 0) return;
        for (int other = 1; other < WARPS; ++other) {
            const float* theirs = sums + (other * 32 + lane) * (COLUMNS + 1);
#pragma unroll
            for (int k = 0; k < COLUMNS; ++k) sum[k] += theirs[k];
            weights += theirs[COLUMNS];
        }
    }
    const float share = share_of(weights);
    Out* result = y + row * inner + first;
    Vector<Out, COLUMNS> found;
#pragma unroll
    for (int k = 0; k < COLUMNS; ++k) found.element[k] = static_cast<Out>(window.is_outside ? values.outside : sum[k] * share);
    if constexpr (ADJACENT) {
        if (columns > 0) found.write(result);
    } else {
#pragma unroll
        for (int k = 0; k < COLUMNS; ++k) {
            if (k < columns) result[k * apart] = found.element[k];
        }
    }
}

template <typename T, int STAGE, Filter FILTER>
__global__ void __launch_bounds__(THREADS)
    resize_rows(typename Pass<T, STAGE>::Out* __restrict__ y, const typename Pass<T, STAGE>::In* __restrict__ x, Axis axis,
                Region region, Values values, long long items) {
    __shared__ Line line;
    const int lane = threadIdx.x % 32;
    if (threadIdx.x == 0) line = line_of<FILTER>(axis, region);
    __syncthreads();
    const long long item = (1LL * blockIdx.x * THREADS + threadIdx.x) / 32;
    if (item >= items) return;
    const long long row = item / axis.resized;
    const Window window = window_of(line, axis, static_cast<int>(item - row * axis.resized));
    const auto* own = x + row * axis.size;
    float sum = 0.0f, weights = 0.0f;
    for (int begin = window.begin + lane; begin < window.end; begin += 32 * TAPS) {
        float elements[TAPS];
#pragma unroll
        for (int i = 0; i < TAPS; ++i) elements[i] = static_cast<float>(own[inside(begin + i * 32, axis.size)]);
#pragma unroll
        for (int i = 0; i < TAPS; ++i) {
            if (begin + i * 32 < window.end) {
                const float weight = window.weight<FILTER>(begin + i * 32, values.a);
                weights += weight;
                sum += weight * elements[i];
            }
        }
    }
#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        sum += __shfl_xor_sync(~0u, sum, step);
        weights += __shfl_xor_sync(~0u, weights, step);
    }
    const float value = window.is_outside ? values.outside : sum * share_of(weights);
    if (lane == 0) y[item] = static_cast<typename Pass<T, STAGE>::Out>(value);
}
