// MultiScaleDeformableAttention: a lane takes a pack of the channels of a row, which is one head of one query. A block takes the
// same head of adjacent queries, which often read the same pixels; its packs are shared out to lanes one after the other.
//
// The lanes of a warp first share out the samples of its rows: each computes the four pixels and weights of some samples and
// leaves them in shared memory. Then all lanes read them and gather their channels. Where packs are few, SHARES lanes gather
// some of the samples of a pack each, and add up their sums.

#include "samples.cuh"

using pluginkit::MOST_LEVELS, pluginkit::SAMPLES, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;

struct Divisors {
    Divisor queries, packs, points;
};

// LANES is the number of packs of a row, or 0.
template <typename T, typename S, bool IS_WIDE, int LANES, int SHARES>
__global__ void __launch_bounds__(THREADS, 4)
    deformable_attention(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                         const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                         const T* __restrict__ attn_weight, long long rows, Sizes sizes, Divisors divisors,
                         int row_turns) {
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1, UNITS = 32 / SHARES;
    constexpr bool IS_BATCHED = SHARES > 1 || !IS_WIDE, IS_PACKED = !IS_WIDE;
    constexpr int AT_ONCE = IS_WIDE ? 2 : 4;
    // The rows of a warp, if that is known, and how many samples of them are in shared memory at a time.
    constexpr int ROWS = LANES > 0 ? UNITS / LANES : 0, KEPT = ROWS > 0 ? SAMPLES * SHARES : 0;
    constexpr int SLOTS = ROWS > 0 ? ROWS * (KEPT + 1) : 96;
    __shared__ Sample kept[WARPS][SLOTS];
    __shared__ int kept_counts[WARPS][IS_PACKED ? 32 : 1];  // of the rows of a warp
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
    asm volatile("" : "+l"(source));  // or the compiler adds up offsets anew for each load
    __builtin_assume(__isGlobal(source));
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
        int before = 0;  // the samples of the first lane's row that are kept already
        for (int i = lane; i - lane < warp_rows * count; i += 32) {
            const int at = ROWS == 1 ? 0 : static_cast<int>((i + 0.5f) * of_a_count), within = i - at * count;
            const int turn = turns > 1 ? within / samples : 0;
            const int number = begin + within - turn * samples;
            const long long at_row = first_row + turn * warp_rows + at;
            Sample sample = NOWHERE;
            if (i < warp_rows * count && at_row < rows) {
                int level = number;
                divisors.points.split(level);
                const long long place = (at_row * sizes.heads + head) * samples + number;
                const Pack<T, 2> location = reinterpret_cast<const Pack<T, 2>*>(sampling_loc)[place];
                sample = sample_at(
                    static_cast<float>(location.value[0]), static_cast<float>(location.value[1]),
                    static_cast<float>(attn_weight[place]),
                    reads_levels ? level_at(spatial_shapes, level_start_index, level, sizes.pixels) : levels[level], stride);
            }
            if (!IS_PACKED) {
                if (i < warp_rows * count) kept[warp][at * kept_of_row + within] = sample;
                continue;
            }
            // Those outside are left out, and the others of a row follow each other: lanes of wide packs would gain less
            // than their loops of different lengths cost.
            const bool is_kept = max(max(sample.place.x, sample.place.y), max(sample.place.z, sample.place.w)) >= 0;
            const unsigned earlier = __ballot_sync(~0u, is_kept) & ((1u << lane) - 1);
            const int own = __popc(earlier >> max(lane - within, 0)) + (within > lane ? before : 0);
            if (is_kept) kept[warp][at * kept_of_row + own] = sample;
            if (within == count - 1) kept_counts[warp][at] = own + is_kept;
            before = __shfl_sync(~0u, own + is_kept, 31);
        }
        __syncwarp();
        if (row >= rows) continue;
        const Sample* own = kept[warp] + row_of_warp * kept_of_row;
        const int own_count = IS_PACKED ? kept_counts[warp][row_of_warp] : count;
        if constexpr (IS_BATCHED) {
            for (int first = share; first < own_count; first += AT_ONCE * SHARES) {
                Sample some[AT_ONCE];
#pragma unroll
                for (int i = 0; i < AT_ONCE; ++i) {
                    const int number = first + i * SHARES;
                    some[i] = number < own_count ? own[number] : NOWHERE;
                }
                add_samples<false>(sum, source, some);
            }
        } else {
#pragma unroll 2
            for (int i = 0; i < own_count; ++i) {
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
