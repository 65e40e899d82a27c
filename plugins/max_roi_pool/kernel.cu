// MaxRoiPool: a block takes bins of one region. Where bins are many, a thread takes one; those with many pixels are then
// read by eight threads each, one after the other. Where bins are few, eight threads take one.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::FEW, pluginkit::FURTHEST, pluginkit::LANES, pluginkit::THREADS;  // from __init__.py

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

// A rectangle of pixels.
template <typename T> struct Pixels {
    const T* corner;
    int high, wide, stride;

    // Take the pixels of every `step`-th column, from `first` on.
    __device__ __forceinline__ void take_columns(float& largest, int first, int step) const {
        for (int row = 0; row < high; ++row) {
            for (int column = first; column < wide; column += step) {
                take(largest, static_cast<float>(corner[1LL * row * stride + column]));
            }
        }
    }
};

// Return the largest of the numbers of LANES adjacent threads. The whole warp must call it.
__device__ __forceinline__ float largest_of_lanes(float value) {
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2) take(value, __shfl_xor_sync(~0u, value, step));
    return value;
}

template <typename T, bool SHARED>
__global__ void __launch_bounds__(THREADS) max_roi_pool(T* __restrict__ y, const T* __restrict__ x,
                                                        const T* __restrict__ rois, Sizes sizes, float scale,
                                                        float lowest) {
    constexpr int PER_BIN = SHARED ? LANES : 1, BINS = THREADS / PER_BIN;
    const T* roi = rois + 5LL * blockIdx.x;
    const float image = static_cast<float>(roi[0]);
    const bool is_there = image >= 0.0f && image < static_cast<float>(sizes.images);
    const float x1 = static_cast<float>(roi[1]), y1 = static_cast<float>(roi[2]);
    const float x2 = static_cast<float>(roi[3]), y2 = static_cast<float>(roi[4]);
    const int bins = sizes.bins_y * sizes.bins_x, work = sizes.channels * bins, lane = threadIdx.x % LANES;
    const long long plane = 1LL * sizes.height * sizes.width;
    const T* first = x + (is_there ? static_cast<int>(image) : 0) * sizes.channels * plane;
    for (int begin = blockIdx.y * BINS; begin < work; begin += gridDim.y * BINS) {
        const int item = begin + threadIdx.x / PER_BIN;
        const bool is_bin = item < work;
        const int channel = is_bin ? item / bins : 0, bin = is_bin ? item - channel * bins : 0;
        const int bin_y = bin / sizes.bins_x, bin_x = bin - bin_y * sizes.bins_x;
        const int2 rows = pixels_of(y1, y2, scale, bin_y, sizes.bins_y, sizes.height);
        const int2 columns = pixels_of(x1, x2, scale, bin_x, sizes.bins_x, sizes.width);
        const Pixels<T> own = {first + channel * plane + 1LL * rows.x * sizes.width + columns.x,
                               is_bin && is_there ? max(rows.y - rows.x, 0) : 0, max(columns.y - columns.x, 0),
                               sizes.width};
        const long long count = 1LL * own.high * own.wide;
        float largest = count == 0 ? 0.0f : lowest;
        if (SHARED) {
            own.take_columns(largest, lane, LANES);
            largest = largest_of_lanes(largest);
        } else {
            if (count <= FEW) own.take_columns(largest, 0, 1);
            for (int owner = 0; __any_sync(~0u, count > FEW) && owner < LANES; ++owner) {
                const unsigned long long address = reinterpret_cast<unsigned long long>(own.corner);
                const Pixels<T> other = {reinterpret_cast<const T*>(__shfl_sync(~0u, address, owner, LANES)),
                                         __shfl_sync(~0u, own.high, owner, LANES),
                                         __shfl_sync(~0u, own.wide, owner, LANES), sizes.width};
                float found = lowest;
                if (1LL * other.high * other.wide > FEW) other.take_columns(found, lane, LANES);
                found = largest_of_lanes(found);
                if (lane == owner && count > FEW) largest = found;
            }
        }
        if (is_bin && (!SHARED || lane == 0)) {
            y[1LL * blockIdx.x * work + item] = static_cast<T>(is_there ? largest : __int_as_float(0x7fffffff));
        }
    }
}
