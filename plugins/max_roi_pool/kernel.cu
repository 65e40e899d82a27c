// MaxRoiPool: LANES adjacent threads take one bin of one channel, and every LANES-th pixel of its rows each, so that they
// read adjacent pixels. They then combine their maxima.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::FURTHEST, pluginkit::LANES, pluginkit::THREADS;  // from __init__.py

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

template <typename T>
__global__ void __launch_bounds__(THREADS) max_roi_pool(T* __restrict__ y, const T* __restrict__ x,
                                                        const T* __restrict__ rois, Sizes sizes, long long count,
                                                        float scale, float lowest) {
    const long long number = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) / LANES;
    const int lane = threadIdx.x % LANES;
    const bool is_bin = number < count;
    const long long bin = is_bin ? number : 0;
    const int bin_x = static_cast<int>(bin % sizes.bins_x), bin_y = static_cast<int>(bin / sizes.bins_x % sizes.bins_y);
    const long long plane = bin / sizes.bins_x / sizes.bins_y;
    const T* roi = rois + plane / sizes.channels * 5;
    const float image = static_cast<float>(roi[0]);
    const bool is_there = image >= 0.0f && image < static_cast<float>(sizes.images);
    const int2 over_y = pixels_of(static_cast<float>(roi[2]), static_cast<float>(roi[4]), scale, bin_y, sizes.bins_y,
                                  sizes.height);
    const int2 over_x = pixels_of(static_cast<float>(roi[1]), static_cast<float>(roi[3]), scale, bin_x, sizes.bins_x,
                                  sizes.width);
    const bool is_empty = over_y.x >= over_y.y || over_x.x >= over_x.y;
    float largest = is_empty ? 0.0f : lowest;
    if (is_bin && is_there) {
        const long long first_row = static_cast<int>(image) * static_cast<long long>(sizes.channels) + plane % sizes.channels;
        for (int row = over_y.x; row < over_y.y; ++row) {
            const T* pixels = x + (first_row * sizes.height + row) * sizes.width;
            for (int column = over_x.x + lane; column < over_x.y; column += LANES) {
                const float pixel = static_cast<float>(pixels[column]);
                if (pixel > largest) largest = pixel;
            }
        }
    }
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(~0u, largest, step);
        if (other > largest) largest = other;
    }
    if (is_bin && lane == 0) y[number] = static_cast<T>(is_there ? largest : __int_as_float(0x7fffffff));
}
