// RoiAlign: a block takes one region of interest. The samples of a region form a grid, so that a sample's position and
// weights follow from its row and its column. The block computes those of all rows and columns once, for all bins and
// channels, unless there are too many. Where bins have many samples, those of a mean that share pixels are MERGED: a sum
// over samples is one over pixels, each with all of its weights. Where bins are wide, a thread takes a column of pixels of a
// bin, and its neighbour the next one, so that a warp reads pixels that lie beside each other.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "columns.cuh"

// From launches.py.
using pluginkit::MERGED_SAMPLES, pluginkit::Pooling, pluginkit::THREADS, pluginkit::UNMERGED_CHANNELS;

struct Sizes {
    int images, channels, height, width, bins_y, bins_x, sampling_ratio;
};

// The samples of one axis in shared memory.
struct KeptSamples {
    const Sample* kept;
    int samples;  // of a bin

    __device__ __forceinline__ Sample sample(int bin, int index) const { return kept[bin * samples + index]; }
    __device__ __forceinline__ int2 inside(int) const { return {0, samples}; }
};

template <int KEPT> __device__ __forceinline__ bool is_kept(const Axis& axis) {
    return axis.bins <= KEPT && axis.samples <= KEPT / axis.bins;
}

// Keep the samples of both axes, which different threads compute.
__device__ __forceinline__ void keep(Sample* rows, Sample* columns, const Axis& along_y, const Axis& along_x) {
    const int row_count = along_y.bins * along_y.samples, count = row_count + along_x.bins * along_x.samples;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        const bool is_row = i < row_count;
        const Axis axis = is_row ? along_y : along_x;
        const int number = is_row ? i : i - row_count;
        (is_row ? rows : columns)[number] = axis.sample(number / axis.samples, number % axis.samples);
    }
}

template <Pooling MODE> __device__ __forceinline__ float combined(float value, float weighted, bool is_first) {
    if constexpr (MODE == Pooling::avg) return value + weighted;
    return is_first || weighted > value || weighted != weighted ? weighted : value;
}

// The sums of a bin, or its maxima, in adjacent channels of an image. The pixels of all channels are read before one is
// used, so that the reads wait for memory together.
template <typename T, Pooling MODE, int CHANNELS> struct Bin {
    const T* channel[CHANNELS];
    float value[CHANNELS];

    // Take the samples of two axes: computed, if they are an Axis each, or kept. Where a thread has one channel, four samples
    // are taken at once.
    template <typename Samples>
    __device__ __forceinline__ void take(const Samples& rows, const Samples& columns, int bin_y, int bin_x) {
        const int2 over_y = rows.inside(bin_y), over_x = columns.inside(bin_x);
        const bool are_all = over_y.y - over_y.x == rows.samples && over_x.y - over_x.x == columns.samples;
        if (CHANNELS == 1 && are_all && rows.samples == 2 && columns.samples == 2) {
#pragma unroll
            for (int i = 0; i < 4; ++i) add(rows.sample(bin_y, i / 2), columns.sample(bin_x, i % 2), i == 0);
            return;
        }
        bool is_first = are_all;
        for (int i = over_y.x; i < over_y.y; ++i) {
            const Sample row = rows.sample(bin_y, i);
#pragma unroll (CHANNELS == 1 ? 2 : 1)
            for (int j = over_x.x; j < over_x.y; ++j) {
                add(row, columns.sample(bin_x, j), is_first);
                is_first = false;
            }
        }
    }

    __device__ __forceinline__ void add(const Sample& row, const Sample& column, bool is_first) {
        const float weights[4] = {row.low_weight * column.low_weight, row.low_weight * column.high_weight,
                                  row.high_weight * column.low_weight, row.high_weight * column.high_weight};
        const int places[4] = {row.low + column.low, row.low + column.high, row.high + column.low,
                               row.high + column.high};
        const bool is_inside = row.low_weight != 0.0f && column.low_weight != 0.0f;
        T pixels[CHANNELS][4];
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
#pragma unroll
            for (int corner = 0; corner < 4; ++corner) {
                pixels[c][corner] = is_inside ? __ldg(channel[c] + places[corner]) : static_cast<T>(0.0f);
            }
        }
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
#pragma unroll
            for (int corner = 0; corner < 4; ++corner) {
                const float weighted = weights[corner] * static_cast<float>(pixels[c][corner]);
                value[c] = combined<MODE>(value[c], weighted, is_first && corner == 0);
            }
        }
    }

    template <int KEPT>
    __device__ __forceinline__ void take(const Taps<KEPT>& rows, const Taps<KEPT>& columns, int first_row, int first_column,
                                         int bin_y, int bin_x) {
        for (int i = 0; i < rows.counts[bin_y]; ++i) {
            const Tap row = rows.taps[first_row + i];
#pragma unroll 4
            for (int j = 0; j < columns.counts[bin_x]; ++j) {
                const Tap column = columns.taps[first_column + j];
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) {
                    const float pixel = static_cast<float>(__ldg(channel[c] + row.place + column.place));
                    value[c] += row.weight * column.weight * pixel;
                }
            }
        }
    }
};

// What is kept of an axis.
template <bool MERGED, int KEPT> struct Kept {
    using Type = Taps<KEPT>;
};
template <int KEPT> struct Kept<false, KEPT> {
    using Type = Sample[KEPT];
};

// A region of an image that is there or not, and its part of y.
template <typename T> struct Region {
    T* y;
    const T* image;
    bool is_there;
    int channels;
    long long pixels;
    float divisor;
};

// Take a block's share of the bins of a region, each in CHANNELS channels at once.
template <int CHANNELS, Pooling MODE, bool MERGED, typename T, typename Samples>
__device__ __forceinline__ void take_bins(const Region<T>& region, const Axis& along_y, const Axis& along_x, bool are_kept,
                                          const Samples& kept_y, const Samples& kept_x) {
    // Of 32 bits, which are divided several times as fast as 64.
    const unsigned bins = along_y.bins * along_x.bins, work = (region.channels + CHANNELS - 1) / CHANNELS * bins;
    for (unsigned item = blockIdx.y * blockDim.x + threadIdx.x; item < work; item += gridDim.y * blockDim.x) {
        const int channel = item / bins * CHANNELS, bin = item % bins;
        const int bin_y = bin / along_x.bins, bin_x = bin % along_x.bins;
        const int last = min(CHANNELS, region.channels - channel) - 1;
        Bin<T, MODE, CHANNELS> own = {};
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) own.channel[c] = region.image + (channel + min(c, last)) * region.pixels;
        if (!are_kept) {
            if (region.is_there) own.take(along_y, along_x, bin_y, bin_x);
        } else if (region.is_there) {
            if constexpr (MERGED) {
                own.take(kept_y, kept_x, 2 * bin_y * along_y.samples, 2 * bin_x * along_x.samples, bin_y, bin_x);
            } else {
                own.take(KeptSamples{kept_y, along_y.samples}, KeptSamples{kept_x, along_x.samples}, bin_y, bin_x);
            }
        }
        T* target = region.y + 1LL * channel * bins + bin;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            if (c <= last) {
                const float result = region.is_there ? own.value[c] / region.divisor : __int_as_float(0x7fffffff);
                target[1LL * c * bins] = static_cast<T>(result);
            }
        }
    }
}

template <typename T, Pooling MODE, int CHANNELS, bool MERGED, int KEPT>
__global__ void __launch_bounds__(THREADS, 4)
    roi_align(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ rois,
              const long long* __restrict__ batch_indices, Sizes sizes, float scale, bool is_half_pixel) {
    const T* roi = rois + 4LL * blockIdx.x;
    const long long image = batch_indices[blockIdx.x];
    const Axis along_y = axis_of(static_cast<float>(roi[1]), static_cast<float>(roi[3]), scale, is_half_pixel,
                                 sizes.bins_y, sizes.sampling_ratio, sizes.height, sizes.width);
    const Axis along_x = axis_of(static_cast<float>(roi[0]), static_cast<float>(roi[2]), scale, is_half_pixel,
                                 sizes.bins_x, sizes.sampling_ratio, sizes.width, 1);
    __shared__ typename Kept<MERGED, KEPT>::Type kept_y, kept_x;
    const bool are_kept = is_kept<KEPT>(along_y) && is_kept<KEPT>(along_x) &&
                          !(MERGED && along_y.samples * along_x.samples <= MERGED_SAMPLES);
    const bool is_there = image >= 0 && image < sizes.images;
    const float samples = static_cast<float>(along_y.samples) * static_cast<float>(along_x.samples);
    const float divisor = MODE == Pooling::avg ? fmaxf(samples, 1.0f) : 1.0f;
    const long long pixels = 1LL * sizes.height * sizes.width;
    const Region<T> region = {y + 1LL * blockIdx.x * sizes.channels * sizes.bins_y * sizes.bins_x,
                              x + (is_there ? image * sizes.channels : 0) * pixels, is_there, sizes.channels, pixels, divisor};
    if constexpr (MERGED) {
        if (!are_kept) {  // few samples, mostly: there are registers for those of more channels
            take_bins<UNMERGED_CHANNELS, MODE, MERGED>(region, along_y, along_x, false, kept_y, kept_x);
            return;
        }
        const int half = blockDim.x / 2;
        if (threadIdx.x < half) kept_y.keep(along_y, threadIdx.x, half);
        else kept_x.keep(along_x, threadIdx.x - half, half);
        __syncthreads();
        __shared__ Cells<KEPT> cells;
        if (is_there && is_wide(along_x)) {
            cells.keep(kept_x, along_x);
            take_columns(region.y, region.image, cells, kept_y, kept_x, along_y, along_x, sizes.channels, pixels, divisor);
            return;
        }
    } else {
        if (are_kept) keep(kept_y, kept_x, along_y, along_x);
        __syncthreads();
    }
    take_bins<CHANNELS, MODE, MERGED>(region, along_y, along_x, are_kept, kept_y, kept_x);
}

template <typename T> struct alignas(4 * sizeof(T)) Roi {
    T left, top, right, bottom;
};

// Take every sample of a bin from number `first` on, in steps, over the rows.
template <typename T, Pooling MODE>
__device__ __forceinline__ void take_some(Bin<T, MODE, 1>& own, const Axis& rows, const Axis& columns, int bin_y, int bin_x,
                                          int first, int step) {
    const int2 over_y = rows.inside(bin_y), over_x = columns.inside(bin_x);
    const int width = over_x.y - over_x.x, height = over_y.y - over_y.x;
    const bool are_all = height == rows.samples && width == columns.samples;  // others count as 0
    if (MODE == Pooling::max && are_all && height * 1LL * width > 0) own.value[0] = -__int_as_float(0x7f800000);
    if (width <= 0) return;
    const int down = static_cast<int>(__fdividef(first + 0.5f, static_cast<float>(width)));  // exact for so few threads
#pragma unroll 2
    for (int i = over_y.x + down, j = first - down * width; i < over_y.y;) {
        own.add(rows.sample(bin_y, i), columns.sample(bin_x, over_x.x + j), false);
        for (j += step; j >= width; j -= width) ++i;
    }
}

// The same where there is little to do: a thread takes a bin of one channel of any region, or 2^POWER adjacent threads share
// its samples. They compute positions themselves, so that no thread waits for others.
template <typename T, Pooling MODE, int POWER>
__global__ void __launch_bounds__(THREADS)
    roi_align_alone(T* __restrict__ y, const T* __restrict__ x, const Roi<T>* __restrict__ rois,
                    const long long* __restrict__ batch_indices, Sizes sizes, Divisor along_x, Divisor along_y, Divisor channels,
                    int count, float scale, bool is_half_pixel) {
    constexpr int SHARE = 1 << POWER;
    const int item = (blockIdx.x * THREADS + threadIdx.x) >> POWER;
    int region = min(item, count - 1);
    const int bin_x = along_x.split(region), bin_y = along_y.split(region), channel = channels.split(region);
    long long image = batch_indices[region];
    const Roi<T> roi = rois[region];
    // Both loads wait for memory together: the compiler would put off the first one until after what needs the second.
    asm volatile("" : "+l"(image) : "f"(static_cast<float>(roi.left)));
    const Axis rows = axis_of(static_cast<float>(roi.top), static_cast<float>(roi.bottom), scale, is_half_pixel, sizes.bins_y,
                              sizes.sampling_ratio, sizes.height, sizes.width);
    const Axis columns = axis_of(static_cast<float>(roi.left), static_cast<float>(roi.right), scale, is_half_pixel,
                                 sizes.bins_x, sizes.sampling_ratio, sizes.width, 1);
    const bool is_there = image >= 0 && image < sizes.images;
    Bin<T, MODE, 1> own = {{x + (is_there ? image * sizes.channels + channel : 0) * sizes.height * sizes.width}};
    if (is_there) {
        if constexpr (POWER > 0) take_some(own, rows, columns, bin_y, bin_x, threadIdx.x % SHARE, SHARE);
        else own.take(rows, columns, bin_y, bin_x);
    }
#pragma unroll
    for (int step = SHARE / 2; step > 0; step /= 2) {
        own.value[0] = combined<MODE>(own.value[0], __shfl_xor_sync(~0u, own.value[0], step), false);
    }
    if (item >= count || threadIdx.x % SHARE > 0) return;
    const float samples = static_cast<float>(rows.samples) * static_cast<float>(columns.samples);
    const float result = MODE == Pooling::avg ? own.value[0] / fmaxf(samples, 1.0f) : own.value[0];
    y[item] = static_cast<T>(is_there ? result : __int_as_float(0x7fffffff));
}
