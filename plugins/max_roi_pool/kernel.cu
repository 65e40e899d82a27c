// MaxRoiPool: a warp takes up to eight adjacent bins of a row of bins, and their pixels channel by channel. Each lane goes
// down a column of pixels; the largest pixels of the columns then go to the lanes of their bins. Where the bins have few
// columns, several channels share the warp.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::BINS, pluginkit::FURTHEST, pluginkit::ROWS, pluginkit::THREADS;  // from __init__.py

struct Sizes {
    int images, channels, height, width, bins_y, bins_x;
};

// Return the nearest pixel of a coordinate, halves away from zero; of NaN pixel 0.
__device__ __forceinline__ int pixel_of(float coordinate) {
    const float nearest = roundf(coordinate), furthest = static_cast<float>(FURTHEST);
    return nearest == nearest ? static_cast<int>(fminf(fmaxf(nearest, -furthest), furthest)) : 0;
}

// Return the first pixel of a bin along an axis and the one after its last, cut off at the edges of X.
__device__ __forceinline__ int2 pixels_of(float low, float high, float scale, int bin, int bins, int size) {
    const int start = pixel_of(__fmul_rn(low, scale)), end = pixel_of(__fmul_rn(high, scale));
    const float bin_size = __fdiv_rn(static_cast<float>(max(end - start + 1, 1)), static_cast<float>(bins));
    const int first = static_cast<int>(floorf(__fmul_rn(static_cast<float>(bin), bin_size)));
    const int after = static_cast<int>(ceilf(__fmul_rn(static_cast<float>(bin + 1), bin_size)));
    return {min(max(start + first, 0), size), min(max(start + after, 0), size)};
}

// Take the larger of two numbers; NaN is not larger than any.
__device__ __forceinline__ void take(float& largest, float value) {
    if (value > largest) largest = value;
}

// Return the largest of `high` pixels of a column, and `largest`. ROWS loads are in flight; more take registers that other
// warps need.
template <typename T>
__device__ __forceinline__ float largest_of_column(const T* __restrict__ top, int high, int width, float largest) {
#pragma unroll 1
    for (int row = 0; row < high; row += ROWS) {
        float pixels[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            pixels[i] = row + i < high ? static_cast<float>(top[1LL * (row + i) * width]) : largest;
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i) take(largest, pixels[i]);
    }
    return largest;
}

// A warp takes one row of bins, or a part of it, of `run` channels of a region.
template <typename T>
__global__ void __launch_bounds__(THREADS) max_roi_pool(T* __restrict__ y, const T* __restrict__ x,
                                                        const T* __restrict__ rois, Sizes sizes, int regions, int run,
                                                        float scale, float lowest) {
    const int lane = threadIdx.x % 32, groups = (sizes.bins_x - 1) / BINS + 1, rows_of_bins = sizes.bins_y * groups;
    const int block = blockIdx.x / regions, region = blockIdx.x - block * regions;
    const int number = block * (THREADS / 32) + threadIdx.x / 32, first_channel = number / rows_of_bins * run;
    if (first_channel >= sizes.channels) return;
    const int row_of_bins = number % rows_of_bins, bin_y = row_of_bins / groups, first_bin = row_of_bins % groups * BINS;
    const int bins = min(BINS, sizes.bins_x - first_bin), end = min(first_channel + run, sizes.channels);
    const T* roi = rois + 5LL * region;
    const float image = static_cast<float>(roi[0]);
    const bool is_there = image >= 0.0f && image < static_cast<float>(sizes.images);
    const int2 rows = pixels_of(static_cast<float>(roi[2]), static_cast<float>(roi[4]), scale, bin_y, sizes.bins_y,
                                sizes.height);
    const int2 columns = pixels_of(static_cast<float>(roi[1]), static_cast<float>(roi[3]), scale,
                                   first_bin + min(lane % BINS, bins - 1), sizes.bins_x, sizes.width);
    const int left = __shfl_sync(~0u, columns.x, 0), high = is_there ? rows.y - rows.x : 0;
    const int wide = __shfl_sync(~0u, columns.y, BINS - 1) - left;
    const int span = wide <= 8 ? 8 : wide <= 16 ? 16 : 32, lanes = span / BINS;  // of a channel, and of a bin
    const int bin = lane % span / lanes, low = __shfl_sync(~0u, columns.x, bin) - left;
    const int after = __shfl_sync(~0u, columns.y, bin) - left;
    const float nothing = !is_there ? __int_as_float(0x7fffffff) : high > 0 && after > low ? lowest : 0.0f;
    const long long plane = 1LL * sizes.height * sizes.width, bins_of_channel = 1LL * sizes.bins_y * sizes.bins_x;
    const T* corner = x + (is_there ? static_cast<int>(image) : 0LL) * sizes.channels * plane +
                      1LL * rows.x * sizes.width + left;
    T* target = y + 1LL * region * sizes.channels * bins_of_channel + bin_y * sizes.bins_x + first_bin + bin;
    for (int begin = first_channel; begin < end; begin += 32 / span) {
        const int channel = begin + lane / span;
        float largest = nothing;
        for (int tile = 0; tile < wide; tile += span) {
            const int column = tile + lane % span;
            const int pixels = column < wide && channel < end ? high : 0;
            const float tallest = largest_of_column(corner + channel * plane + column, pixels, sizes.width, lowest);
            const int stop = min(after - tile, span);
            for (int at = max(low - tile, 0) + lane % lanes; __any_sync(~0u, at < stop); at += lanes) {
                const float other = __shfl_sync(~0u, tallest, at, span);
                if (at < stop) take(largest, other);
            }
        }
        for (int step = lanes / 2; step > 0; step /= 2) take(largest, __shfl_xor_sync(~0u, largest, step));
        if (lane % lanes == 0 && bin < bins && channel < end) target[channel * bins_of_channel] = static_cast<T>(largest);
    }
}
