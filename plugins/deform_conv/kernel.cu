// DeformConv where few channels share their offsets; see product.cu for the others. A thread takes an output pixel of
// several output channels of a group, and samples each channel and tap once for all of them. Where channels are groups, a
// thread takes an output pixel of several groups.

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"
#include "places.cuh"

using pluginkit::TERMS, pluginkit::THREADS;
constexpr int AT_ONCE = pluginkit::TERMS_AT_ONCE;  // from launches.py

template <typename T, int MAPS>
__global__ void __launch_bounds__(THREADS, MAPS == 32 ? 6 : 10)
    deform_conv(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
                const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, int map_tiles, long long tiles) {
    constexpr int WIDE = MAPS < 4 ? MAPS : 4;
    using Weights = Vector<float, WIDE>;
    __shared__ alignas(sizeof(Weights)) float weights[TERMS][MAPS];
    const int taps = sizes.taps(), outputs = sizes.outputs(), part_depth = sizes.part_depth();
    const int depth = sizes.depth(), maps = sizes.maps_of_group(), terms = depth * taps;
    const long long area = sizes.area();
    const int pixel_tiles = (outputs + THREADS - 1) / THREADS;
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        // Adjacent blocks share sampled pixels.
        long long rest = tile;
        const int first_map = static_cast<int>(rest % map_tiles) * MAPS;
        rest /= map_tiles;
        const int pixel = static_cast<int>(rest % pixel_tiles) * THREADS + threadIdx.x, output = min(pixel, outputs - 1);
        rest /= pixel_tiles;
        const int group = static_cast<int>(rest % sizes.groups);
        const long long image = rest / sizes.groups;
        const int begin = group * depth, end = begin + depth, map = group * maps + first_map;
        const int count_maps = min(MAPS, maps - first_map);
        const T* first_plane = x + (image * sizes.channels + begin) * area;
        const T* plane = first_plane;
        float sums[MAPS] = {};
        Sample sample;
        Taps at(sizes, 0, output);
        const int first_part = depth > 0 ? begin / part_depth : 0;
        int part = first_part;
        Moved moved = {};
        if (terms > 0) moved = moved_by(offset, mask, sizes, image, part, at.tap, output);
        int channel = begin, stop = begin;  // the channel from which on the sample is another
        for (int first = 0; first < terms; first += TERMS) {
            const int count = min(TERMS, terms - first);
            __syncthreads();  // the weights before are read
            for (int i = threadIdx.x; i < count * MAPS; i += THREADS) {
                const int term = i % count, row = i / count, within = (first + term) % depth * taps + (first + term) / depth;
                weights[term][row] = row < count_maps ? static_cast<float>(__ldg(w + 1LL * (map + row) * terms + within)) : 0.0f;
            }
            __syncthreads();
            for (int term = 0; term < count; ++term) {
                if (channel == stop) {
                    sample = Sample(moved, sizes, at.row, at.column);
                    stop = min(end, (part + 1) * part_depth);
                    const bool is_last = stop == end && at.advance(sizes);
                    part = stop == end ? first_part : part + 1;
                    if (!is_last) moved = moved_by(offset, mask, sizes, image, part, at.tap, output);
                }
                const float value = sampled(plane, sample);
#pragma unroll
                for (int m = 0; m < MAPS; m += WIDE) {
                    const Weights some = Weights::read(&weights[term][m]);
#pragma unroll
                    for (int i = 0; i < WIDE; ++i) sums[m + i] = fmaf(some.element[i], value, sums[m + i]);
                }
                ++channel, plane += area;
                if (channel == end) channel = stop = begin, plane = first_plane;
            }
        }
        if (pixel >= outputs) continue;
#pragma unroll
        for (int m = 0; m < MAPS; ++m) {
            if (m >= count_maps) break;
            const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[map + m]);
            y[(image * sizes.maps + map + m) * outputs + output] = static_cast<T>(sums[m] + added);
        }
    }
}

// What deform_separate divides by: the tiles of an image's output, those of the channels that share their offsets, these
// parts of the channels, the width of the output, and the taps of a row.
struct Divisors {
    Divisor pixel_tiles, channel_tiles, parts, out_width, taps_x;
};

// For groups of one channel and one output: a thread takes an output pixel of several channels that share their offsets. It
// has read the offsets of several taps before it uses any.
template <typename T, int CHANNELS>
__global__ void __launch_bounds__(THREADS, CHANNELS == 4 ? 6 : 8)
    deform_separate(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
                    const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, Divisors by, long long tiles) {
    const int taps = sizes.taps(), outputs = sizes.outputs(), part_depth = sizes.part_depth();
    const long long area = sizes.area();
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        long long image = tile;
        const int output = static_cast<int>(by.pixel_tiles.split(image)) * THREADS + threadIdx.x;
        const int within = static_cast<int>(by.channel_tiles.split(image)) * CHANNELS;
        const int part = static_cast<int>(by.parts.split(image));
        if (output >= outputs) continue;
        const int first = part * part_depth + within, last = min(CHANNELS, part_depth - within) - 1;
        int row = output;
        const int column = by.out_width.split(row) * sizes.stride_x - sizes.pad_x;
        row = row * sizes.stride_y - sizes.pad_y;
        const T* planes = x + (image * sizes.channels + first) * area;
        const T* weights = w + 1LL * first * taps;
        const long long first_tap = (image * sizes.offset_groups + part) * taps;
        const T* moves = offset + 2 * first_tap * outputs + output;
        // Without a mask some that are not used, so that no load is behind a branch.
        const T* factors = mask == nullptr ? moves : mask + first_tap * outputs + output;
        float sums[CHANNELS] = {};
        T down[AT_ONCE], across[AT_ONCE], factor[AT_ONCE];
        const auto read_moves = [&](int begin) {
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) {
                const int tap = min(begin + i, taps - 1);
                const T* move = moves + 2LL * tap * outputs;
                down[i] = move[0], across[i] = move[outputs], factor[i] = factors[1LL * tap * outputs];
            }
        };
        read_moves(0);
        for (int begin = 0; begin < taps; begin += AT_ONCE) {
            Sample samples[AT_ONCE];
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) {
                int tap_y = min(begin + i, taps - 1);
                const int tap_x = by.taps_x.split(tap_y);
                const Moved moved = {static_cast<float>(down[i]), static_cast<float>(across[i]),
                                     mask == nullptr ? 1.0f : static_cast<float>(factor[i])};
                samples[i] = Sample(moved, sizes, row + tap_y * sizes.dilation_y, column + tap_x * sizes.dilation_x);
            }
            if (begin + AT_ONCE < taps) read_moves(begin + AT_ONCE);  // which the next turn waits for
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) {
                const T* weight = weights + min(begin + i, taps - 1);
#pragma unroll
                for (int k = 0; k < CHANNELS; ++k) {
                    const float value = sampled(planes + min(k, last) * area, samples[i]);
                    const float sum = fmaf(static_cast<float>(__ldg(weight + min(k, last) * taps)), value, sums[k]);
                    sums[k] = begin + i < taps ? sum : sums[k];  // no branch, which loads would be behind
                }
            }
        }
#pragma unroll
        for (int k = 0; k < CHANNELS; ++k) {
            if (k > last) break;
            const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[first + k]);
            y[(image * sizes.maps + first + k) * outputs + output] = static_cast<T>(sums[k] + added);
        }
    }
}
