// MultiScaleDeformableAttention of few samples: a thread takes a pack of the channels of a row, which is one head of one query,
// and finds the samples itself, as its neighbours do. Blocks read locations and write results that lie beside each other, and
// no thread waits for others.

#include "samples.cuh"

using pluginkit::THREADS;  // from launches.py

struct Divisors {
    Divisor packs, heads, queries;
};

template <typename T, typename S, bool IS_WIDE>
__global__ void __launch_bounds__(THREADS, IS_WIDE ? sizeof(T) == 4 ? 6 : 5 : 8)
    attention_of_few(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                     const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                     const T* __restrict__ attn_weight, int count, Sizes sizes, Divisors by) {
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1;
    const int own = blockIdx.x * THREADS + threadIdx.x, samples = sizes.levels * sizes.points;
    if (own >= count) return;
    int row = own;
    const int pack = by.packs.split(row);
    int item = row;
    const int head = by.heads.split(item), stride = sizes.heads * sizes.channels;
    by.queries.split(item);
    const T* source = value + 1LL * item * sizes.pixels * stride + head * sizes.channels + pack * N;
    const Pack<T, 2>* locations = reinterpret_cast<const Pack<T, 2>*>(sampling_loc) + 1LL * row * samples;
    const T* attentions = attn_weight + 1LL * row * samples;
    float sum[N] = {};
    Level level = {};
    int number = 0, point = 0;  // of the next sample
    for (int i = 0; i < samples; ++i) {
        const Pack<T, 2> location = locations[i];
        const float x = static_cast<float>(location.value[0]), y = static_cast<float>(location.value[1]);
        const float attention = static_cast<float>(attentions[i]);
        // The location is read first: no load waits for a level.
        if (point == 0) level = level_at(spatial_shapes, level_start_index, number, sizes.pixels);
        if (++point == sizes.points) point = 0, ++number;
        const Sample one[] = {sample_at(x, y, attention, level, stride)};
        add_samples<false>(sum, source, one);
    }
    Pack<T, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.value[i] = static_cast<T>(sum[i]);
    reinterpret_cast<Pack<T, N>*>(output)[own] = result;
}
