// MultiScaleDeformableAttention of few samples: a thread takes a pack of the channels of a row, which is one head of one query,
// and finds the samples itself, as its neighbours do. Blocks read locations and write results that lie beside each other, and
// no thread waits for others. A thread takes ROWS packs at once, so that it waits for the pixels of all of them once.

#include "samples.cuh"

using pluginkit::THREADS;  // from launches.py

struct Divisors {
    Divisor packs, heads, queries;
};

template <typename T, typename S, bool IS_WIDE, int ROWS>
__global__ void __launch_bounds__(THREADS, ROWS > 1 ? 4 : !IS_WIDE ? 8 : sizeof(T) == 4 ? 6 : 5)
    attention_of_few(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                     const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                     const T* __restrict__ attn_weight, int count, Sizes sizes, Divisors by) {
    constexpr bool IS_SINGLE = IS_WIDE && ROWS == 1;  // takes fewer registers as a whole, which matters more
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1;
    const int first = blockIdx.x * (THREADS * ROWS) + threadIdx.x;
    const int samples = ROWS > 1 ? 1 : sizes.levels * sizes.points;
    const int stride = sizes.heads * sizes.channels;
    if (first >= count) return;
    const T *sources[ROWS], *attentions[ROWS];
    const Pack<T, 2>* locations[ROWS];
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        int row = min(first + i * THREADS, count - 1);  // others compute the last again
        const int pack = by.packs.split(row);
        int item = row;
        const int head = by.heads.split(item);
        by.queries.split(item);
        sources[i] = value + 1LL * item * sizes.pixels * stride + head * sizes.channels + pack * N;
        if constexpr (!IS_SINGLE) asm volatile("" : "+l"(sources[i]));  // or the compiler adds up offsets anew for each load
        locations[i] = reinterpret_cast<const Pack<T, 2>*>(sampling_loc) + 1LL * row * samples;
        attentions[i] = attn_weight + 1LL * row * samples;
    }
    float sums[ROWS][N] = {};
    Level level = {};
    int number = 0, left = 0;  // the next level, and the points of this one
    for (int sample = 0; sample < samples; ++sample) {
        Pack<T, 2> location[ROWS];
        float attention[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            location[i] = locations[i][sample], attention[i] = static_cast<float>(attentions[i][sample]);
        }
        // Locations are read first: no load waits for a level.
        if (left == 0) level = level_at(spatial_shapes, level_start_index, number++, sizes.pixels), left = sizes.points;
        --left;
        if constexpr (IS_SINGLE) {
            const float x = static_cast<float>(location[0].value[0]), y = static_cast<float>(location[0].value[1]);
            const Sample one[] = {sample_at(x, y, attention[0], level, stride)};
            add_samples<false>(sums[0], sources[0], one);
            continue;
        }
        Corners<T, N> corners[ROWS];
#pragma unroll
        for (int i = 0; i < ROWS; ++i) {
            const float x = static_cast<float>(location[i].value[0]), y = static_cast<float>(location[i].value[1]);
            corners[i] = Corners<T, N>(sources[i], x, y, level, stride);
        }
#pragma unroll
        for (int i = 0; i < ROWS; ++i) corners[i].add_to(sums[i], attention[i]);
    }
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
        Pack<T, N> result;
#pragma unroll
        for (int k = 0; k < N; ++k) result.value[k] = static_cast<T>(sums[i][k]);
        if (first + i * THREADS < count) reinterpret_cast<Pack<T, N>*>(output)[first + i * THREADS] = result;
    }
}
