// MaxRoiPool. Where bins are many, a thread takes one; those with many pixels are then read by LANES threads each, one
// after the other. Where bins are few, a warp takes up to BINS adjacent ones of a row: each lane goes down a column of
// pixels, and the largest pixels of the columns go to the lanes of their bins.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::BINS, pluginkit::FEW, pluginkit::FURTHEST, pluginkit::LANES, pluginkit::ROWS;
using pluginkit::THREADS;  // all from __init__.py

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

// A region of interest: corners, and the image's first pixel.
template <typename T> struct Region {
    float x1, y1, x2, y2;
    const T* first;
    bool is_there;

    __device__ __forceinline__ Region(const T* roi, const T* x, const Sizes& sizes)
        : x1(static_cast<float>(roi[1])), y1(static_cast<float>(roi[2])), x2(static_cast<float>(roi[3])),
          y2(static_cast<float>(roi[4])) {
        const float image = static_cast<float>(roi[0]);
        is_there = image >= 0.0f && image < static_cast<float>(sizes.images);
        const long long plane = 1LL * sizes.height * sizes.width;
        first = x + (is_there ? static_cast<int>(image) : 0LL) * sizes.channels * plane;
    }
};

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

// Return the largest of the numbers of COUNT adjacent threads. The whole warp must call it.
template <int COUNT> __device__ __forceinline__ float largest_of(float value) {
#pragma unroll
    for (int step = COUNT / 2; step > 0; step /= 2) take(value, __shfl_xor_sync(~0u, value, step));
    return value;
}

// A block takes bins of one region, a thread each.
template <typename T>
__global__ void __launch_bounds__(THREADS) pool_bins(T* __restrict__ y, const T* __restrict__ x,
                                                     const T* __restrict__ rois, Sizes sizes, float scale,
                                                     float lowest) {
    const Region<T> region(rois + 5LL * blockIdx.x, x, sizes);
    const int bins = sizes.bins_y * sizes.bins_x, work = sizes.channels * bins, lane = threadIdx.x % LANES;
    const long long plane = 1LL * sizes.height * sizes.width;
    for (int begin = blockIdx.y * THREADS; begin < work; begin += gridDim.y * THREADS) {
        const int item = begin + threadIdx.x;
        const bool is_bin = item < work;
        const int channel = is_bin ? item / bins : 0, bin = is_bin ? item - channel * bins : 0;
        const int bin_y = bin / sizes.bins_x, bin_x = bin - bin_y * sizes.bins_x;
        const int2 rows = pixels_of(region.y1, region.y2, scale, bin_y, sizes.bins_y, sizes.height);
        const int2 columns = pixels_of(region.x1, region.x2, scale, bin_x, sizes.bins_x, sizes.width);
        const Pixels<T> own = {region.first + channel * plane + 1LL * rows.x * sizes.width + columns.x,
                               is_bin && region.is_there ? max(rows.y - rows.x, 0) : 0,
                               max(columns.y - columns.x, 0), sizes.width};
        const long long count = 1LL * own.high * own.wide;
        float largest = count == 0 ? 0.0f : lowest;
        if (count <= FEW) own.take_columns(largest, 0, 1);
        for (int owner = 0; __any_sync(~0u, count > FEW) && owner < LANES; ++owner) {
            const unsigned long long address = reinterpret_cast<unsigned long long>(own.corner);
            const Pixels<T> other = {reinterpret_cast<const T*>(__shfl_sync(~0u, address, owner, LANES)),
                                     __shfl_sync(~0u, own.high, owner, LANES),
                                     __shfl_sync(~0u, own.wide, owner, LANES), sizes.width};
            float found = lowest;
            if (1LL * other.high * other.wide > FEW) other.take_columns(found, lane, LANES);
            found = largest_of<LANES>(found);
            if (lane == owner && count > FEW) largest = found;
        }
        if (is_bin) {
            y[1LL * blockIdx.x * work + item] =
                static_cast<T>(region.is_there ? largest : __int_as_float(0x7fffffff));
        }
    }
}

// Return the largest of `high` pixels of a column, and `largest`. ROWS loads are in flight.
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

// A warp takes up to BINS adjacent bins of a row of bins, of one channel of a region.
template <typename T>
__global__ void __launch_bounds__(THREADS) pool_rows(T* __restrict__ y, const T* __restrict__ x,
                                                     const T* __restrict__ rois, Sizes sizes, int regions,
                                                     float scale, float lowest) {
    constexpr int SHARE = 32 / BINS;  // the lanes of a bin
    const int groups = (sizes.bins_x - 1) / BINS + 1, rows_of_bins = sizes.bins_y * groups;
    const int block = blockIdx.x / regions, number = blockIdx.x - block * regions;
    const int row = block * (THREADS / 32) + threadIdx.x / 32, channel = row / rows_of_bins, lane = threadIdx.x % 32;
    if (channel >= sizes.channels) return;
    const int bin_y = row % rows_of_bins / groups, first_bin = row % groups * BINS;
    const int bins = min(BINS, sizes.bins_x - first_bin), bin = lane / SHARE;
    const Region<T> region(rois + 5LL * number, x, sizes);
    const int2 rows = pixels_of(region.y1, region.y2, scale, bin_y, sizes.bins_y, sizes.height);
    const int2 own = pixels_of(region.x1, region.x2, scale, first_bin + min(bin, bins - 1), sizes.bins_x, sizes.width);
    const int high = region.is_there ? rows.y - rows.x : 0;
    const int left = __shfl_sync(~0u, own.x, 0), right = __shfl_sync(~0u, own.y, 31);
    const T* corner = region.first + (1LL * channel * sizes.height + rows.x) * sizes.width;
    float largest = high > 0 && own.y > own.x ? lowest : 0.0f;
    for (int tile = left; tile < right; tile += 32) {
        const int pixels = tile + lane < right ? high : 0, stop = min(own.y - tile, 32);
        const float tallest = largest_of_column(corner + tile + lane, pixels, sizes.width, lowest);
        for (int at = max(own.x - tile, 0) + lane % SHARE; __any_sync(~0u, at < stop); at += SHARE) {
            const float other = __shfl_sync(~0u, tallest, at);
            if (at < stop) take(largest, other);
        }
    }
    largest = largest_of<SHARE>(largest);
    if (lane % SHARE > 0 || bin >= bins) return;
    const long long at = ((1LL * number * sizes.channels + channel) * sizes.bins_y + bin_y) * sizes.bins_x;
    y[at + first_bin + bin] = static_cast<T>(region.is_there ? largest : __int_as_float(0x7fffffff));
}
