// RoiAlign: a block takes one region of interest. The samples of a region form a grid, so that a sample's position and
// weights follow from its row and its column. The block computes those of all rows and columns once, for all bins and
// channels, unless there are too many. Where bins have many samples, those of a mean that share pixels are MERGED: a sum
// over samples is one over pixels, each with all of its weights.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::Pooling, pluginkit::THREADS;  // from launches.py

struct Sizes {
    int images, channels, height, width, bins_y, bins_x, sampling_ratio;
};

// A sample along one axis: the pixels before and after it, in elements, and their weights. Outside of x all are 0.
struct Sample {
    int low, high;
    float low_weight, high_weight;
};

// A region along one axis.
struct Axis {
    float start, bin_size;
    int bins, samples;  // samples of a bin
    int size, stride;   // pixels, and their distance in elements

    __device__ __forceinline__ Sample sample(int bin, int index) const {
        const float within = __fdiv_rn(__fmul_rn(index + 0.5f, bin_size), static_cast<float>(samples));
        float at = __fadd_rn(__fadd_rn(start, __fmul_rn(static_cast<float>(bin), bin_size)), within);
        if (!(at >= -1.0f && at <= static_cast<float>(size))) return {0, 0, 0.0f, 0.0f};
        at = fmaxf(at, 0.0f);
        const int low = min(static_cast<int>(at), size - 1);
        const bool is_last = low == size - 1;
        const float after = is_last ? 0.0f : at - static_cast<float>(low);
        return {low * stride, (is_last ? low : low + 1) * stride, 1.0f - after, after};
    }

    // Return the range of a bin's samples that may lie inside x, so that a huge region does not compute the samples
    // outside. A region that ends before it begins has steps below 0.
    __device__ __forceinline__ int2 inside(int bin) const {
        const double step = static_cast<double>(bin_size) / samples, first = start + bin * static_cast<double>(bin_size);
        if (step == 0.0) return {0, samples};
        const double margin = 2.0 + (fabs(first) + fabs(static_cast<double>(bin_size))) * 0x1p-21 / fabs(step);
        const double at_low = (-1.0 - first) / step, at_high = (size - first) / step;
        const double begin = fmin(at_low, at_high) - margin, end = fmax(at_low, at_high) + margin;
        if (!(begin < samples && end > 0.0)) return {0, 0};
        return {static_cast<int>(fmax(begin, 0.0)), static_cast<int>(fmin(end, static_cast<double>(samples)))};
    }
};

__device__ __forceinline__ Axis axis_of(float low, float high, float scale, bool is_half_pixel, int bins,
                                        int sampling_ratio, int size, int stride) {
    const float offset = is_half_pixel ? 0.5f : 0.0f;
    const float start = __fsub_rn(__fmul_rn(low, scale), offset);
    float length = __fsub_rn(__fsub_rn(__fmul_rn(high, scale), offset), start);
    if (!is_half_pixel) length = length < 1.0f ? 1.0f : length;  // keeps a NaN
    const float bin_size = __fdiv_rn(length, static_cast<float>(bins));
    // NaN converts to 0, and too large values to the largest int.
    const int adapted = max(0, static_cast<int>(ceilf(bin_size)));
    return {start, bin_size, bins, sampling_ratio > 0 ? sampling_ratio : adapted, size, stride};
}

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

// The pixels of a bin along one axis, and their weights.
struct Tap {
    int place;
    float weight;
};

// The taps of all bins of an axis: up to two of each sample.
template <int KEPT> struct Taps {
    Tap taps[2 * KEPT];
    int counts[KEPT];

    __device__ __forceinline__ void keep(const Axis& axis) {
        for (int bin = threadIdx.x; bin < axis.bins; bin += blockDim.x) {
            Tap* const own = taps + 2 * bin * axis.samples;
            int count = 0;
            for (int i = 0; i < axis.samples; ++i) {
                const Sample sample = axis.sample(bin, i);
                if (sample.low_weight == 0.0f) continue;  // outside
                add(own, count, {sample.low, sample.low_weight});
                add(own, count, {sample.high, sample.high_weight});
            }
            counts[bin] = count;
        }
    }

    // Add a tap to that of the same pixel, which is among the last two if there is one.
    __device__ __forceinline__ void add(Tap* own, int& count, Tap tap) {
        for (int at = max(count - 2, 0); at < count; ++at) {
            if (own[at].place == tap.place) {
                own[at].weight += tap.weight;
                return;
            }
        }
        own[count++] = tap;
    }
};

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
#pragma unroll 1
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
    const bool are_kept = is_kept<KEPT>(along_y) && is_kept<KEPT>(along_x);
    if (are_kept) {
        if constexpr (MERGED) {
            kept_y.keep(along_y), kept_x.keep(along_x);
        } else {
            keep(kept_y, kept_x, along_y, along_x);
        }
    }
    __syncthreads();
    const bool is_there = image >= 0 && image < sizes.images;
    const float samples = static_cast<float>(along_y.samples) * static_cast<float>(along_x.samples);
    const float divisor = MODE == Pooling::avg ? fmaxf(samples, 1.0f) : 1.0f;
    const long long pixels = 1LL * sizes.height * sizes.width;
    // Of 32 bits, which are divided several times as fast as 64.
    const unsigned bins = sizes.bins_y * sizes.bins_x, work = (sizes.channels + CHANNELS - 1) / CHANNELS * bins;
    for (unsigned item = blockIdx.y * blockDim.x + threadIdx.x; item < work; item += gridDim.y * blockDim.x) {
        const int channel = item / bins * CHANNELS, bin = item % bins;
        const int bin_y = bin / sizes.bins_x, bin_x = bin % sizes.bins_x;
        const T* first = x + (is_there ? image * sizes.channels + channel : 0) * pixels;
        const int last = min(CHANNELS, sizes.channels - channel) - 1;
        Bin<T, MODE, CHANNELS> own = {};
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) own.channel[c] = first + min(c, last) * pixels;
        if (!are_kept) {
            if (is_there) own.take(along_y, along_x, bin_y, bin_x);
        } else if (is_there) {
            if constexpr (MERGED) {
                own.take(kept_y, kept_x, 2 * bin_y * along_y.samples, 2 * bin_x * along_x.samples, bin_y, bin_x);
            } else {
                own.take(KeptSamples{kept_y, along_y.samples}, KeptSamples{kept_x, along_x.samples}, bin_y, bin_x);
            }
        }
        T* target = y + (1LL * blockIdx.x * sizes.channels + channel) * bins + bin;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            if (c <= last) {
                const float result = is_there ? own.value[c] / divisor : __int_as_float(0x7fffffff);
                target[1LL * c * bins] = static_cast<T>(result);
            }
        }
    }
}
