// MultiScaleDeformableAttention: a lane takes a pack of the channels of a row, which is one head of one query. A block takes the
// same head of adjacent queries, which often read the same pixels; its packs are shared out to lanes one after the other.
//
// The lanes of a warp first share out the samples of its rows: each computes the four pixels and weights of some samples and
// leaves them in shared memory. Then all lanes read them and gather their channels. Where packs are few, SHARES lanes gather
// some of the samples of a pack each, and add up their sums.

#include "../_cuda/division.cuh"
#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::MOST_LEVELS, pluginkit::SAMPLES, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;
constexpr int OUTSIDE = -1;

struct Sizes {
    int pixels, heads, channels, levels, points;
};

struct Divisors {
    Divisor queries, packs, points;
};

// Where the pixels around a location are, in elements of an item of value, and their weights. What lies outside has
// none.
struct Sample {
    int4 place;
    float4 weight;
};
__device__ constexpr Sample NOWHERE = {{OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE}, {0.0f, 0.0f, 0.0f, 0.0f}};

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

// A level that does not lie in value as a whole has no pixels.
struct Level {
    int height, width, start;
};

template <typename S>
__device__ __forceinline__ Level level_at(const S* spatial_shapes, const S* level_start_index, int level, int pixels) {
    const long long height = spatial_shapes[2 * level], width = spatial_shapes[2 * level + 1];
    const long long start = level_start_index[level];
    const bool fits = height > 0 && width > 0 && start >= 0 && height <= pixels && width <= pixels &&
                      start <= pixels && height * width <= pixels - start;
    if (!fits) return {0, 0, 0};
    return {static_cast<int>(height), static_cast<int>(width), static_cast<int>(start)};
}

// Return what a location reads from a level. Positions round as on a CPU. NaN is outside.
__device__ __forceinline__ Sample sample_at(float x, float y, float attention, const Level& level, int stride) {
    const float width = static_cast<float>(level.width), height = static_cast<float>(level.height);
    const float column = __fadd_rn(__fmul_rn(x, width), -0.5f), row = __fadd_rn(__fmul_rn(y, height), -0.5f);
    Sample sample = NOWHERE;
    if (!(column > -1.0f && column < width && row > -1.0f && row < height)) return sample;
    const float left = floorf(column), top = floorf(row), right_share = column - left, bottom_share = row - top;
    const int c = static_cast<int>(left), r = static_cast<int>(top);
    const int first = (level.start + r * level.width + c) * stride, below = first + level.width * stride;
    const float top_weight = (1.0f - bottom_share) * attention, bottom_weight = bottom_share * attention;
    const bool has_top = r >= 0, has_bottom = r + 1 < level.height, has_left = c >= 0, has_right = c + 1 < level.width;
    if (has_top && has_left) sample.place.x = first, sample.weight.x = top_weight * (1.0f - right_share);
    if (has_top && has_right) sample.place.y = first + stride, sample.weight.y = top_weight * right_share;
    if (has_bottom && has_left) sample.place.z = below, sample.weight.z = bottom_weight * (1.0f - right_share);
    if (has_bottom && has_right) sample.place.w = below + stride, sample.weight.w = bottom_weight * right_share;
    return sample;
}

// Load a pack of a pixel's channels, or zeros.
template <typename T, int N, bool IS_INSIDE>
__device__ __forceinline__ Pack<T, N> load_pack(const T* __restrict__ channels, int place) {
    Pack<T, N> pack = {};
    if (IS_INSIDE || place != OUTSIDE) pack = *reinterpret_cast<const Pack<T, N>*>(channels + place);
    return pack;
}

template <typename T, int N>
__device__ __forceinline__ void add_pack(float (&sum)[N], const Pack<T, N>& pack, float weight) {
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] += weight * static_cast<float>(pack.value[i]);
}

// Add the four pixels of each of some samples. IS_INSIDE says that none is outside.
template <bool IS_INSIDE, int COUNT, typename T, int N>
__device__ __forceinline__ void add_samples(float (&sum)[N], const T* __restrict__ source,
                                            const Sample (&samples)[COUNT]) {
    Pack<T, N> packs[COUNT][4];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        packs[i][0] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.x);
        packs[i][1] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.y);
        packs[i][2] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.z);
        packs[i][3] = load_pack<T, N, IS_INSIDE>(source, samples[i].place.w);
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        add_pack(sum, packs[i][0], samples[i].weight.x);
        add_pack(sum, packs[i][1], samples[i].weight.y);
        add_pack(sum, packs[i][2], samples[i].weight.z);
        add_pack(sum, packs[i][3], samples[i].weight.w);
    }
}

// LANES is the number of packs of a row, or 0.
template <typename T, typename S, bool IS_WIDE, int LANES, int SHARES>
__global__ void __launch_bounds__(THREADS, 4)
    deformable_attention(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                         const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                         const T* __restrict__ attn_weight, long long rows, Sizes sizes, Divisors divisors,
                         int row_turns) {
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1, UNITS = 32 / SHARES;
    constexpr bool IS_BATCHED = SHARES > 1 || !IS_WIDE;
    constexpr int AT_ONCE = IS_WIDE ? 2 : 4;
    // The rows of a warp, if that is known, and how many samples of them are in shared memory at a time.
    constexpr int ROWS = LANES > 0 ? UNITS / LANES : 0, KEPT = ROWS > 0 ? SAMPLES * SHARES : 0;
    constexpr int SLOTS = ROWS > 0 ? ROWS * (KEPT + 1) : 96;
    __shared__ Sample kept[WARPS][SLOTS];
    __shared__ Level levels[SHARES > 1 ? 1 : MOST_LEVELS];
    const int samples = sizes.levels * sizes.points, queries = static_cast<int>(divisors.queries.count);
    // Where each lane finds one sample or few, it reads levels together with locations, and waits for memory once.
    const bool reads_levels = SHARES > 1 || samples <= SAMPLES;
    if (!reads_levels) {
        for (int level = threadIdx.x; level < sizes.levels; level += THREADS) {
            levels[level] = level_at(spatial_shapes, level_start_index, level, sizes.pixels);
        }
        __syncthreads();
    }
    const int turns = IS_BATCHED ? 1 : row_turns;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, share = lane / UNITS, head = blockIdx.y;
    // The first row of the warp, and which of its packs other warps have.
    long long first_row = 1LL * blockIdx.x * WARPS + warp;
    int row_of_warp = lane % UNITS, channel = 0, warp_rows = ROWS;
    if constexpr (ROWS > 0) {
        first_row *= ROWS * turns, channel = row_of_warp % LANES * N, row_of_warp /= LANES;
    } else {
        first_row *= UNITS * turns;
        const int before = static_cast<int>(divisors.packs.split(first_row));
        row_of_warp += before, channel = divisors.packs.split(row_of_warp) * N;
        warp_rows = before + UNITS - 1, divisors.packs.split(warp_rows), ++warp_rows;
    }
    const int stride = sizes.heads * sizes.channels;
    // An odd number of samples, so that the rows of a warp are in different banks.
    const int most = ROWS > 0 ? KEPT : SLOTS / warp_rows - 1 | 1, at_a_time = turns > 1 ? turns * samples : min(most, samples);
    const int kept_of_row = at_a_time | 1;
    long long row = first_row + row_of_warp;
    long long item = row;
    int query = static_cast<int>(divisors.queries.split(item)), left = samples;
    const T* source = value + item * sizes.pixels * stride + 1LL * head * sizes.channels + channel;
    float sum[N] = {};
    const auto write = [&]() {
        Pack<T, N> result;
#pragma unroll
        for (int i = 0; i < N; ++i) result.value[i] = static_cast<T>(sum[i]), sum[i] = 0.0f;
        *reinterpret_cast<Pack<T, N>*>(output + (row * sizes.heads + head) * sizes.channels + channel) = result;
    };
    for (int begin = 0; begin < samples; begin += at_a_time) {
        const int count = turns > 1 ? at_a_time : min(at_a_time, samples - begin);
        const float of_a_count = __fdividef(1.0f, static_cast<float>(count));
        __syncwarp();
        for (int i = lane; i < warp_rows * count; i += 32) {
            const int at = ROWS == 1 ? 0 : static_cast<int>((i + 0.5f) * of_a_count), within = i - at * count;
            const int turn = turns > 1 ? within / samples : 0;
            const int number = begin + within - turn * samples;
            const long long at_row = first_row + turn * warp_rows + at;
            if (at_row >= rows) continue;
            int level = number;
            divisors.points.split(level);
            const long long place = (at_row * sizes.heads + head) * samples + number;
            const Pack<T, 2> location = reinterpret_cast<const Pack<T, 2>*>(sampling_loc)[place];
            kept[warp][at * kept_of_row + within] = sample_at(
                static_cast<float>(location.value[0]), static_cast<float>(location.value[1]),
                static_cast<float>(attn_weight[place]),
                reads_levels ? level_at(spatial_shapes, level_start_index, level, sizes.pixels) : levels[level], stride);
        }
        __syncwarp();
        if (row >= rows) continue;
        const Sample* own = kept[warp] + row_of_warp * kept_of_row;
        if constexpr (IS_BATCHED) {
            for (int first = share; first < count; first += AT_ONCE * SHARES) {
                Sample some[AT_ONCE];
#pragma unroll
                for (int i = 0; i < AT_ONCE; ++i) {
                    const int number = first + i * SHARES;
                    some[i] = number < count ? own[number] : NOWHERE;
                }
                add_samples<false>(sum, source, some);
            }
        } else {
#pragma unroll 2
            for (int i = 0; i < count; ++i) {
                const Sample one[1] = {own[i]};
                // Mostly no pixel is outside, and then the loads need no conditions.
                const bool is_inside = (one[0].place.x | one[0].place.y | one[0].place.z | one[0].place.w) >= 0;
                if (__all_sync(__activemask(), is_inside)) {
                    add_samples<true>(sum, source, one);
                } else {
                    add_samples<false>(sum, source, one);
                }
                if (turns == 1 || --left > 0) continue;
                write();
                row += warp_rows, query += warp_rows, left = samples;
                if (row >= rows) break;
                for (; query >= queries; query -= queries) source += 1LL * sizes.pixels * stride;
            }
        }
    }
#pragma unroll
    for (int step = UNITS; step < 32; step *= 2) {
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] += __shfl_xor_sync(~0u, sum[i], step);
    }
    if (turns == 1 && row < rows && share == 0) write();
}
