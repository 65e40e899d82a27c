// DeformConv where few channels share their offsets; see product.cu for the others. A thread takes an output pixel of
// several output channels of a group, and samples each channel and tap once for all of them. Where groups have few channels
// and outputs, a thread takes an output pixel of several groups.

#include "../_cuda/vectors.cuh"
#include "places.cuh"

using pluginkit::FEW_MAPS, pluginkit::TERMS, pluginkit::THREADS;  // from launches.py

template <typename T, int MAPS>
__global__ void __launch_bounds__(THREADS, MAPS == 32 ? 6 : 10)
    deform_conv(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
                const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, int map_tiles, long long tiles) {
    using Weights = Vector<float, 4>;
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
                for (int m = 0; m < MAPS; m += 4) {
                    const Weights four = Weights::read(&weights[term][m]);
#pragma unroll
                    for (int i = 0; i < 4; ++i) sums[m + i] = fmaf(four.element[i], value, sums[m + i]);
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

// For groups of few channels and outputs: a thread takes an output pixel of FEW_MAPS output channels.
template <typename T>
__global__ void __launch_bounds__(THREADS)
    deform_few(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
               const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, int map_tiles, long long tiles) {
    const int taps = sizes.taps(), outputs = sizes.outputs(), part_depth = sizes.part_depth();
    const int depth = sizes.depth(), maps = sizes.maps_of_group();
    const long long area = sizes.area();
    const int pixel_tiles = (outputs + THREADS - 1) / THREADS;
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        long long rest = tile;
        const int output = static_cast<int>(rest % pixel_tiles) * THREADS + threadIdx.x;
        rest /= pixel_tiles;
        const int first = static_cast<int>(rest % map_tiles) * FEW_MAPS;
        const long long image = rest / map_tiles;
        if (output >= outputs) continue;
        float sums[FEW_MAPS] = {};
        Taps at(sizes, 0, output);
        do {
            // Channels of the same part share the place.
            Sample sample;
            int begin = 0, end = 0;
#pragma unroll
            for (int m = 0; m < FEW_MAPS; ++m) {
                const int map = first + m, channel_begin = map / maps * depth;
                if (map >= sizes.maps) break;
                for (int k = 0; k < depth; ++k) {
                    const int channel = channel_begin + k;
                    if (channel < begin || channel >= end) {
                        const int part = channel / part_depth;
                        begin = part * part_depth;
                        end = begin + part_depth;
                        sample = Sample(moved_by(offset, mask, sizes, image, part, at.tap, output), sizes, at.row, at.column);
                    }
                    const float weight = static_cast<float>(__ldg(w + (1LL * map * depth + k) * taps + at.tap));
                    sums[m] = fmaf(weight, sampled(x + (image * sizes.channels + channel) * area, sample), sums[m]);
                }
            }
        } while (!at.advance(sizes));
#pragma unroll
        for (int m = 0; m < FEW_MAPS; ++m) {
            const int map = first + m;
            if (map >= sizes.maps) break;
            const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[map]);
            y[(image * sizes.maps + map) * outputs + output] = static_cast<T>(sums[m] + added);
        }
    }
}
