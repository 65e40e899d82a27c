// MultiScaleDeformableAttention: LANES adjacent lanes of a warp take one head of one query, and each lane a pack of its
// channels. A block takes the same head of adjacent queries, which often read the same pixels.
//
// The lanes of a warp first share out the samples: each computes the four pixels and weights of some samples and leaves
// them in shared memory. Then all lanes read them and gather their channels. Where queries are few, a warp takes one head
// of one query (IS_SHARED): groups of LANES lanes gather some of the samples each, many at once, and add up their sums.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::AT_ONCE, pluginkit::MOST_LEVELS, pluginkit::SAMPLES, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;
constexpr int OUTSIDE = -1;

struct Sizes {
    int queries, pixels, heads, channels, levels, points;
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

template <typename T, typename S, bool IS_WIDE, int LANES, bool IS_SHARED>
__global__ void __launch_bounds__(THREADS, 4)
    deformable_attention(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                         const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                         const T* __restrict__ attn_weight, long long rows, Sizes sizes, int parts, int row_turns) {
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1, SHARES = IS_SHARED ? 32 / LANES : 1;
    constexpr int GROUP = LANES * SHARES, WARP_ROWS = 32 / GROUP, KEPT = SAMPLES * SHARES;
    const int turns = IS_SHARED || !IS_WIDE ? 1 : row_turns;
    // An odd number of samples, so that the rows of a warp are in different banks.
    __shared__ Sample kept[WARPS][WARP_ROWS][KEPT + 1];
    __shared__ Level levels[IS_SHARED ? 1 : MOST_LEVELS];
    const int samples = sizes.levels * sizes.points;
    // Where each lane finds one sample or few, it reads levels together with locations, and waits for memory once.
    const bool reads_levels = IS_SHARED || samples <= KEPT;
    if (!reads_levels) {
        for (int level = threadIdx.x; level < sizes.levels; level += THREADS) {
            levels[level] = level_at(spatial_shapes, level_start_index, level, sizes.pixels);
        }
        __syncthreads();
    }
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / GROUP, share = lane % GROUP / LANES;
    const int head = blockIdx.y / parts, channel = (blockIdx.y % parts * LANES + lane % LANES) * N;
    const long long first_row = (1LL * blockIdx.x * WARPS + warp) * WARP_ROWS * turns;
    const int stride = sizes.heads * sizes.channels;
    const float of_a_point = 1.0f / static_cast<float>(sizes.points), of_a_row = 1.0f / static_cast<float>(samples);
    long long row = first_row + group;
    int query = static_cast<int>(row % sizes.queries), left = samples;
    const T* source = value + row / sizes.queries * sizes.pixels * stride + 1LL * head * sizes.channels + channel;
    float sum[N] = {};
    const auto write = [&]() {
        Pack<T, N> result;
#pragma unroll
        for (int i = 0; i < N; ++i) result.value[i] = static_cast<T>(sum[i]), sum[i] = 0.0f;
        *reinterpret_cast<Pack<T, N>*>(output + (row * sizes.heads + head) * sizes.channels + channel) = result;
    };
    for (int begin = 0; begin < samples; begin += KEPT) {
        const int count = turns > 1 ? turns * samples : min(KEPT, samples - begin);
        __syncwarp();
        for (int i = lane; i < WARP_ROWS * KEPT; i += 32) {
            const int in_chunk = i % KEPT, turn = turns > 1 ? static_cast<int>((in_chunk + 0.5f) * of_a_row) : 0;
            const int number = begin + in_chunk - turn * samples;
            const long long at_row = first_row + turn * WARP_ROWS + i / KEPT;
            if (at_row >= rows || in_chunk >= count) continue;
            const int level = static_cast<int>((number + 0.5f) * of_a_point);  // number / points
            const long long at = (at_row * sizes.heads + head) * samples + number;
            const Pack<T, 2> location = reinterpret_cast<const Pack<T, 2>*>(sampling_loc)[at];
            kept[warp][i / KEPT][in_chunk] = sample_at(
                static_cast<float>(location.value[0]), static_cast<float>(location.value[1]),
                static_cast<float>(attn_weight[at]),
                reads_levels ? level_at(spatial_shapes, level_start_index, level, sizes.pixels) : levels[level], stride);
        }
        __syncwarp();
        if (row >= rows || channel >= sizes.channels) continue;
        const Sample* own = kept[warp][group];
        if constexpr (IS_SHARED) {
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
                row += WARP_ROWS, query += WARP_ROWS, left = samples;
                if (row >= rows) break;
                for (; query >= sizes.queries; query -= sizes.queries) source += 1LL * sizes.pixels * stride;
            }
        }
    }
#pragma unroll
    for (int step = LANES; step < GROUP; step *= 2) {
#pragma unroll
        for (int i = 0; i < N; ++i) sum[i] += __shfl_xor_sync(~0u, sum[i], step);
    }
    if (turns == 1 && row < rows && channel < sizes.channels && share == 0) write();
}
