// Means of many samples: a sum over samples is one over pixels, each with all of its weights.

#pragma once

#include "../_cuda/device.cuh"
#include "axis.cuh"

using pluginkit::COLUMN_CHANNELS, pluginkit::WIDE;  // from launches.py

// Whether bins have so many columns of pixels that threads take those.
__device__ __forceinline__ bool is_wide(const Axis& axis) {
    return fminf(2.0f * axis.samples, fabsf(axis.bin_size)) >= static_cast<float>(WIDE);
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

    // Keep those of each bin, with `threads` threads of which this one is number `thread`.
    __device__ __forceinline__ void keep(const Axis& axis, int thread, int threads) {
        for (int bin = thread; bin < axis.bins; bin += threads) {
            Tap* const own = taps + 2 * bin * axis.samples;
            Tap last[2] = {{NONE, 0.0f}, {NONE, 0.0f}};  // the earlier one first
            int count = 0;
            for (int i = 0; i < axis.samples; ++i) {
                const Sample sample = axis.sample(bin, i);
                if (sample.low_weight == 0.0f) continue;  // outside
                add(own, count, last, {sample.low, sample.low_weight});
                add(own, count, last, {sample.high, sample.high_weight});
            }
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                if (last[i].place != NONE) own[count++] = last[i];
            }
            counts[bin] = count;
        }
    }

  private:
    static constexpr int NONE = -1;

    // Add a tap to that of the same pixel, which is one of the last two if there is one.
    __device__ __forceinline__ void add(Tap* own, int& count, Tap (&last)[2], Tap tap) {
        if (tap.place == last[1].place) {
            last[1].weight += tap.weight;
        } else if (tap.place == last[0].place) {
            last[0].weight += tap.weight;
        } else {
            if (last[0].place != NONE) own[count++] = last[0];
            last[0] = last[1], last[1] = tap;
        }
    }
};

// The columns of pixels of a row of bins, which threads take, and the sums of several rows of bins in each channel.
template <int KEPT> struct Cells {
    static constexpr int COUNT = 2 * KEPT;  // as many as the taps of an axis, or more
    unsigned short taps[COUNT];              // of the columns, without gaps
    int first[KEPT + 1];                     // of each bin, then the end
    float sums[COLUMN_CHANNELS][COUNT];

    // The taps of the axis are kept since the threads last waited.
    __device__ __forceinline__ void keep(const Taps<KEPT>& columns, const Axis& axis) {
        if (threadIdx.x < 32) {
            int before = 0;
            for (int begin = 0; begin < axis.bins; begin += 32) {
                const int bin = begin + threadIdx.x, count = bin < axis.bins ? columns.counts[bin] : 0;
                const int end = before + inclusive_sum_over_warp(count);
                if (bin < axis.bins) first[bin] = end - count;
                before = __shfl_sync(~0u, end, 31);
            }
            if (threadIdx.x == 0) first[axis.bins] = before;
        }
        __syncthreads();
        const int of_bin = 2 * axis.samples;
        for (int i = threadIdx.x; i < axis.bins * of_bin; i += blockDim.x) {
            const int bin = i / of_bin, tap = i - bin * of_bin;
            if (tap < columns.counts[bin]) taps[first[bin] + tap] = static_cast<unsigned short>(i);
        }
        __syncthreads();
    }
};

// Write the means of a block's rows of bins to those of a region. `image` has `channels`, of which a thread takes several.
template <typename T, int KEPT>
__device__ __forceinline__ void take_columns(T* __restrict__ y, const T* __restrict__ image, Cells<KEPT>& cells,
                                             const Taps<KEPT>& along_y, const Taps<KEPT>& along_x, const Axis& rows,
                                             const Axis& columns, unsigned channels, long long pixels, float divisor) {
    constexpr int AT_ONCE = COLUMN_CHANNELS;
    const unsigned width = cells.first[columns.bins], at_once = Cells<KEPT>::COUNT / max(width, 1u);
    const unsigned bins_y = rows.bins, bins_x = columns.bins, lines = (channels + AT_ONCE - 1) / AT_ONCE * bins_y;
    for (unsigned begin = blockIdx.y * at_once; begin < lines; begin += gridDim.y * at_once) {
        const unsigned count = min(at_once, lines - begin);
        for (unsigned cell = threadIdx.x; cell < count * width; cell += blockDim.x) {
            const unsigned own = cell / width, line = begin + own, group = line / bins_y, bin = line - group * bins_y;
            const Tap column = along_x.taps[cells.taps[cell - own * width]];
            const Tap* const taps = along_y.taps + 2 * bin * rows.samples;
            const T* top[AT_ONCE];
#pragma unroll
            for (int c = 0; c < AT_ONCE; ++c) {
                top[c] = image + min(group * AT_ONCE + c, channels - 1) * pixels + column.place;
            }
            const int high = along_y.counts[bin];
            float sums[AT_ONCE] = {};
#pragma unroll 4
            for (int i = 0; i < high; ++i) {
                const Tap row = taps[i];
#pragma unroll
                for (int c = 0; c < AT_ONCE; ++c) sums[c] += row.weight * static_cast<float>(__ldg(top[c] + row.place));
            }
#pragma unroll
            for (int c = 0; c < AT_ONCE; ++c) cells.sums[c][cell] = column.weight * sums[c];
        }
        __syncthreads();
        for (unsigned i = threadIdx.x; i < AT_ONCE * count * bins_x; i += blockDim.x) {
            const unsigned rest = i / bins_x, bin_x = i - rest * bins_x, c = rest / count, own = rest - c * count;
            const unsigned line = begin + own, group = line / bins_y, bin_y = line - group * bins_y;
            const unsigned channel = group * AT_ONCE + c;
            const float* const sums = cells.sums[c] + own * width;
            float sum = 0.0f;
#pragma unroll 4
            for (int at = cells.first[bin_x]; at < cells.first[bin_x + 1]; ++at) sum += sums[at];
            if (channel < channels) y[(1LL * channel * bins_y + bin_y) * bins_x + bin_x] = static_cast<T>(sum / divisor);
        }
        __syncthreads();
    }
}
