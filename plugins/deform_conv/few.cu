// DeformConv where there is little to do: a warp takes 32 / SHARES output pixels of MAPS output channels, and SHARES lanes
// share the terms of each, a tap of a channel. A lane has read the offsets of several terms before it uses any.

#include "../_cuda/division.cuh"
#include "places.cuh"

using pluginkit::TERMS_AT_ONCE, pluginkit::THREADS;  // from launches.py

struct Divisors {
    Divisor outputs, map_tiles, groups, out_width, taps, taps_x, part_depth;
};

// The channels of a group, its output channels, and the outputs in all, where several maps that a thread takes are one.
struct Work {
    int depth, maps, count;
};

template <typename T, int MAPS, int SHARES>
__global__ void __launch_bounds__(THREADS)
    deform_few(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ w, const T* __restrict__ offset,
               const T* __restrict__ bias, const T* __restrict__ mask, Sizes sizes, Divisors by, Work work) {
    constexpr int UNITS = 32 / SHARES, AT_ONCE = TERMS_AT_ONCE;
    const int lane = threadIdx.x % 32, share = lane / UNITS;
    const int own = (blockIdx.x * (THREADS / 32) + threadIdx.x / 32) * UNITS + lane % UNITS;
    int image = min(own, work.count - 1);
    const int output = by.outputs.split(image), first_map = by.map_tiles.split(image) * MAPS, group = by.groups.split(image);
    int row = output;
    const int column = by.out_width.split(row) * sizes.stride_x - sizes.pad_x;
    row = row * sizes.stride_y - sizes.pad_y;
    const int taps = static_cast<int>(by.taps.count), terms = work.depth * taps, begin = group * work.depth;
    const int map = group * work.maps + first_map, last = min(MAPS, work.maps - first_map) - 1;
    const int outputs = static_cast<int>(by.outputs.count), area = sizes.height * sizes.width;
    const long long first_part = 1LL * image * sizes.offset_groups;
    const T* planes = x + (1LL * image * sizes.channels + begin) * area;
    const T* weights = w + 1LL * map * terms;
    float sums[MAPS] = {};
    const T* factors = mask == nullptr ? offset : mask;  // some that are not used, so that no load is behind a branch
    T down[AT_ONCE], across[AT_ONCE], factor[AT_ONCE];
    const auto read_moves = [&](int first) {
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            int part = min(first + i * SHARES, terms - 1);
            const int tap = by.taps.split(part);
            part += begin;
            by.part_depth.split(part);
            const long long at = (first_part + part) * taps + tap;
            down[i] = offset[2 * at * outputs + output], across[i] = offset[(2 * at + 1) * outputs + output];
            factor[i] = factors[at * outputs + output];
        }
    };
    if (share < terms) read_moves(share);
    for (int first = share; first < terms; first += AT_ONCE * SHARES) {
        Sample samples[AT_ONCE];
        const T* plane[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            int channel = min(first + i * SHARES, terms - 1), tap_y = by.taps.split(channel);
            const int tap_x = by.taps_x.split(tap_y);
            const Moved moved = {static_cast<float>(down[i]), static_cast<float>(across[i]),
                                 mask == nullptr ? 1.0f : static_cast<float>(factor[i])};
            samples[i] = Sample(moved, sizes, row + tap_y * sizes.dilation_y, column + tap_x * sizes.dilation_x);
            plane[i] = planes + 1LL * channel * area;
        }
        if (first + AT_ONCE * SHARES < terms) read_moves(first + AT_ONCE * SHARES);  // which the next turn waits for
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            const int term = min(first + i * SHARES, terms - 1);
            const float value = sampled(plane[i], samples[i]);
#pragma unroll
            for (int m = 0; m < MAPS; ++m) {
                const float sum = fmaf(static_cast<float>(__ldg(weights + min(m, last) * terms + term)), value, sums[m]);
                sums[m] = first + i * SHARES < terms ? sum : sums[m];
            }
        }
    }
#pragma unroll
    for (int step = UNITS; step < 32; step *= 2) {
#pragma unroll
        for (int m = 0; m < MAPS; ++m) sums[m] += __shfl_xor_sync(~0u, sums[m], step);
    }
    if (own >= work.count || share > 0) return;
#pragma unroll
    for (int m = 0; m < MAPS; ++m) {
        if (m > last) break;
        const float added = bias == nullptr ? 0.0f : static_cast<float>(bias[map + m]);
        y[(1LL * image * sizes.maps + map + m) * outputs + output] = static_cast<T>(sums[m] + added);
    }
}
