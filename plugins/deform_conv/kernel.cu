// DeformConv where few channels share their offsets; see product.cu for the others. It is an implicit matrix product as
// there, of X and W as they are: for each tap a block of threads first computes the positions and weights of the samples
// of the tile's pixels, then samples a few channels at a time into shared memory, where the threads multiply them. Where
// groups have few channels and outputs, there is no such product: a thread takes a few channels of an output pixel.

#include "places.cuh"

using pluginkit::COLUMNS, pluginkit::DEPTH, pluginkit::MAPS, pluginkit::SIDE;  // from launches.py

constexpr int THREADS = SIDE * SIDE;

template <typename T, int ROWS>
__global__ void __launch_bounds__(THREADS)
    deform_conv(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
                const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, int row_tiles, long long tiles) {
    __shared__ Sample samples[COLUMNS];
    __shared__ float weights[DEPTH][ROWS + 1], pixels[DEPTH][COLUMNS];
    constexpr int OWN_ROWS = ROWS / SIDE, OWN_COLUMNS = COLUMNS / SIDE;
    const int first_row = threadIdx.x / SIDE, first_column = threadIdx.x % SIDE;
    const int taps = sizes.taps(), outputs = sizes.outputs(), part_depth = sizes.part_depth();
    const int depth = sizes.depth(), maps = sizes.maps_of_group();
    const long long area = sizes.area();
    const int column_tiles = (outputs + COLUMNS - 1) / COLUMNS;
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        // Adjacent blocks share sampled pixels.
        long long rest = tile;
        const int map = static_cast<int>(rest % row_tiles) * ROWS;
        rest /= row_tiles;
        const int column = static_cast<int>(rest % column_tiles) * COLUMNS;
        rest /= column_tiles;
        const int group = static_cast<int>(rest % sizes.groups);
        const long long image = rest / sizes.groups;
        float sums[OWN_ROWS][OWN_COLUMNS] = {};
        // The channels of a group may belong to several parts, each with its own offsets.
        const int begin = group * depth, end = begin + depth;
        for (int channel = begin; channel < end;) {
            const int part = channel / part_depth, stop = min(end, (part + 1) * part_depth);
            for (int tap = 0; tap < taps; ++tap) {
                __syncthreads();  // samples and pixels are read
                if (threadIdx.x < COLUMNS && column + threadIdx.x < outputs) {
                    samples[threadIdx.x] = sample_of(offset, mask, sizes, image, part, tap, column + threadIdx.x);
                }
                for (int first = channel; first < stop; first += DEPTH) {
                    const int count = min(DEPTH, stop - first);
                    __syncthreads();  // samples are written, and the pixels before are read
                    for (int i = threadIdx.x; i < count * ROWS; i += THREADS) {
                        const int row = map + i / count, within = i % count;
                        const long long at = (1LL * (group * maps + row) * depth + first - begin + within) * taps + tap;
                        weights[within][i / count] = row < maps ? static_cast<float>(__ldg(w + at)) : 0.0f;
                    }
                    for (int i = threadIdx.x; i < count * COLUMNS; i += THREADS) {
                        const T* source = x + (image * sizes.channels + first + i / COLUMNS) * area;
                        const bool is_output = column + i % COLUMNS < outputs;
                        pixels[i / COLUMNS][i % COLUMNS] = is_output ? sampled(source, samples[i % COLUMNS]) : 0.0f;
                    }
                    __syncthreads();
#pragma unroll 4
                    for (int k = 0; k < count; ++k) {
                        float own[OWN_COLUMNS];
#pragma unroll
                        for (int j = 0; j < OWN_COLUMNS; ++j) own[j] = pixels[k][first_column + j * SIDE];
#pragma unroll
                        for (int i = 0; i < OWN_ROWS; ++i) {
                            const float weight = weights[k][first_row + i * SIDE];
#pragma unroll
                            for (int j = 0; j < OWN_COLUMNS; ++j) sums[i][j] = fmaf(weight, own[j], sums[i][j]);
                        }
                    }
                }
            }
            channel = stop;
        }
#pragma unroll
        for (int i = 0; i < OWN_ROWS; ++i) {
            const int row = map + first_row + i * SIDE;
            if (row >= maps) continue;
            const int to = group * maps + row;
            const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[to]);
#pragma unroll
            for (int j = 0; j < OWN_COLUMNS; ++j) {
                const int output = column + first_column + j * SIDE;
                if (output < outputs) y[(image * sizes.maps + to) * outputs + output] = static_cast<T>(sums[i][j] + added);
            }
        }
    }
}

// For groups of few channels and outputs: a thread takes an output pixel of MAPS output channels.
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
        const int first = static_cast<int>(rest % map_tiles) * MAPS;
        const long long image = rest / map_tiles;
        if (output >= outputs) continue;
        float sums[MAPS] = {};
        for (int tap = 0; tap < taps; ++tap) {
            // Channels of the same part share the place.
            Sample sample;
            int begin = 0, end = 0;
#pragma unroll
            for (int m = 0; m < MAPS; ++m) {
                const int map = first + m, channel_begin = map / maps * depth;
                if (map >= sizes.maps) break;
                for (int k = 0; k < depth; ++k) {
                    const int channel = channel_begin + k;
                    if (channel < begin || channel >= end) {
                        const int part = channel / part_depth;
                        begin = part * part_depth;
                        end = begin + part_depth;
                        sample = sample_of(offset, mask, sizes, image, part, tap, output);
                    }
                    const float weight = static_cast<float>(__ldg(w + (1LL * map * depth + k) * taps + tap));
                    sums[m] = fmaf(weight, sampled(x + (image * sizes.channels + channel) * area, sample), sums[m]);
                }
            }
        }
#pragma unroll
        for (int m = 0; m < MAPS; ++m) {
            const int map = first + m;
            if (map >= sizes.maps) break;
            const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[map]);
            y[(image * sizes.maps + map) * outputs + output] = static_cast<T>(sums[m] + added);
        }
    }
}
