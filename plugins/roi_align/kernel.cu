// RoiAlign: a block takes one region of interest. The samples of a region form a grid, so that a sample's position and
// weights follow from its row and its column. The block computes those of all rows and columns once, for all bins and
// channels, unless there are too many. Where bins have many samples, those of a mean that share pixels are MERGED: a sum
// over samples is one over pixels, each with all of its weights.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cuda/std/type_traits>

using pluginkit::KEPT, pluginkit::Pooling, pluginkit::THREADS;  // from launches.py

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
    // outside.
    __device__ __forceinline__ int2 inside(int bin) const {
        if (samples <= KEPT) return {0, samples};
        const double step = static_cast<double>(bin_size) / samples, first = start + bin * static_cast<double>(bin_size);
        const double margin = 2.0 + (fabs(first) + fabs(static_cast<double>(bin_size))) * 0x1p-21 / step;
        const double begin = (-1.0 - first) / step - margin, end = (size - first) / step + margin;
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

// The samples of one axis, kept in shared memory or computed each time.
struct Samples {
    const Axis& axis;
    const Sample* kept;  // null if there are too many

    __device__ __forceinline__ Sample at(int bin, int index) const {
        return kept != nullptr ? kept[bin * axis.samples + index] : axis.sample(bin, index);
    }
};

__device__ __forceinline__ bool is_kept(const Axis& axis) { return axis.bins <= KEPT && axis.samples <= KEPT / axis.bins; }

__device__ __forceinline__ void keep(Sample* kept, const Axis& axis) {
    for (int i = threadIdx.x; i < axis.bins * axis.samples; i += THREADS) {
        kept[i] = axis.sample(i / axis.samples, i % axis.samples);
    }
}

// The pixels of a bin along one axis, and their weights.
struct Tap {
    int place;
    float weight;
};

// The taps of all bins of an axis: up to two of each sample.
struct Taps {
    Tap taps[2 * KEPT];
    int counts[KEPT];

    __device__ __forceinline__ void keep(const Axis& axis) {
        for (int bin = threadIdx.x; bin < axis.bins; bin += THREADS) {
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

// The sums of a bin, or its maxima, in adjacent channels of an image, of which there may be fewer than CHANNELS.
template <typename T, Pooling MODE, int CHANNELS> struct Bin {
    const T* image;
    long long pixels;  // of a channel
    int count;
    float value[CHANNELS];

    __device__ __forceinline__ void take(const Samples& rows, const Samples& columns, int bin_y, int bin_x) {
        const int2 over_y = rows.axis.inside(bin_y), over_x = columns.axis.inside(bin_x);
        bool is_first =
            over_y.y - over_y.x == rows.axis.samples && over_x.y - over_x.x == columns.axis.samples;
        for (int i = over_y.x; i < over_y.y; ++i) {
            const Sample row = rows.at(bin_y, i);
            for (int j = over_x.x; j < over_x.y; ++j) {
                const Sample column = columns.at(bin_x, j);
                const float weights[4] = {row.low_weight * column.low_weight, row.low_weight * column.high_weight,
                                          row.high_weight * column.low_weight, row.high_weight * column.high_weight};
                const int places[4] = {row.low + column.low, row.low + column.high, row.high + column.low,
                                       row.high + column.high};
                const bool is_outside = row.low_weight == 0.0f || column.low_weight == 0.0f;
                if (MODE == Pooling::avg && is_outside) continue;
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) {
                    if (c >= count) break;
#pragma unroll
                    for (int corner = 0; corner < 4; ++corner) {
                        float pixel = 0.0f;
                        if (MODE == Pooling::avg || !is_outside) {
                            pixel = static_cast<float>(__ldg(image + c * pixels + places[corner]));
                        }
                        value[c] = combined<MODE>(value[c], weights[corner] * pixel, is_first && corner == 0);
                    }
                }
                is_first = false;
            }
        }
    }

    __device__ __forceinline__ void take(const Taps& rows, const Taps& columns, int first_row, int first_column,
                                         int bin_y, int bin_x) {
        for (int i = 0; i < rows.counts[bin_y]; ++i) {
            const Tap row = rows.taps[first_row + i];
            for (int j = 0; j < columns.counts[bin_x]; ++j) {
                const Tap column = columns.taps[first_column + j];
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) {
                    if (c >= count) break;
                    const float pixel = static_cast<float>(__ldg(image + c * pixels + row.place + column.place));
                    value[c] += row.weight * column.weight * pixel;
                }
            }
        }
    }
};

template <typename T, Pooling MODE, int CHANNELS, bool MERGED>
__global__ void __launch_bounds__(THREADS, 4)
    roi_align(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ rois,
              const long long* __restrict__ batch_indices, Sizes sizes, float scale, bool is_half_pixel) {
    const T* roi = rois + 4LL * blockIdx.x;
    const Axis along_y = axis_of(static_cast<float>(roi[1]), static_cast<float>(roi[3]), scale, is_half_pixel,
                                 sizes.bins_y, sizes.sampling_ratio, sizes.height, sizes.width);
    const Axis along_x = axis_of(static_cast<float>(roi[0]), static_cast<float>(roi[2]), scale, is_half_pixel,
                                 sizes.bins_x, sizes.sampling_ratio, sizes.width, 1);
    __shared__ cuda::std::conditional_t<MERGED, Taps, Sample[KEPT]> kept_y, kept_x;
    const bool are_rows_kept = is_kept(along_y), are_columns_kept = is_kept(along_x);
    const bool are_merged = MERGED && are_rows_kept && are_columns_kept;
    const Sample *samples_y = nullptr, *samples_x = nullptr;
    if constexpr (MERGED) {
        if (are_merged) kept_y.keep(along_y);
        if (are_merged) kept_x.keep(along_x);
    } else {
        if (are_rows_kept) keep(kept_y, along_y);
        if (are_columns_kept) keep(kept_x, along_x);
        samples_y = kept_y, samples_x = kept_x;
    }
    const Samples rows{along_y, are_rows_kept ? samples_y : nullptr};
    const Samples columns{along_x, are_columns_kept ? samples_x : nullptr};
    __syncthreads();
    const long long image = batch_indices[blockIdx.x];
    const bool is_there = image >= 0 && image < sizes.images;
    const float samples = static_cast<float>(along_y.samples) * static_cast<float>(along_x.samples);
    const float divisor = MODE == Pooling::avg ? fmaxf(samples, 1.0f) : 1.0f;
    const long long pixels = 1LL * sizes.height * sizes.width;
    // Of 32 bits, which are divided several times as fast as 64.
    const unsigned bins = sizes.bins_y * sizes.bins_x, work = (sizes.channels + CHANNELS - 1) / CHANNELS * bins;
    for (unsigned item = blockIdx.y * THREADS + threadIdx.x; item < work; item += gridDim.y * THREADS) {
        const int channel = item / bins * CHANNELS, bin = item % bins;
        const int bin_y = bin / sizes.bins_x, bin_x = bin % sizes.bins_x;
        const T* first = x + (is_there ? image * sizes.channels + channel : 0) * pixels;
        Bin<T, MODE, CHANNELS> own = {first, pixels, min(CHANNELS, sizes.channels - channel), {}};
        if constexpr (MERGED) {
            if (are_merged && is_there) {
                own.take(kept_y, kept_x, 2 * bin_y * along_y.samples, 2 * bin_x * along_x.samples, bin_y, bin_x);
            }
        }
        if (!are_merged && is_there) own.take(rows, columns, bin_y, bin_x);
        T* target = y + (1LL * blockIdx.x * sizes.channels + channel) * bins + bin;
#pragma unroll
        for (int c = 0; c < CHANNELS; ++c) {
            if (c < own.count) {
                const float result = is_there ? own.value[c] / divisor : __int_as_float(0x7fffffff);
                target[1LL * c * bins] = static_cast<T>(result);
            }
        }
    }
}
