// MultiScaleDeformableAttention: LANES adjacent lanes of a warp take one head of one query, and each lane a pack of its
// channels; a block takes the same head of adjacent queries, which often read the same pixels, so that these stay in L1.
//
// The lanes of a warp first share out the samples: each computes the four pixels and weights of some samples and leaves
// them in shared memory. Then all lanes read them and gather their channels.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::SAMPLES, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32;
constexpr int OUTSIDE = -1;

struct Sizes {
    int queries, pixels, heads, channels, levels, points;
};

// The pixels around a location, as rows of value, and their weights.
struct Sample {
    int4 pixel;
    float4 weight;
};

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

// Return a pixel's number in value, or OUTSIDE.
__device__ __forceinline__ int pixel_at(long long row, long long column, long long height, long long width,
                                        long long start, int pixels) {
    if (row < 0 || row >= height || column < 0 || column >= width) return OUTSIDE;
    const long long pixel = start + row * width + column;
    return pixel >= 0 && pixel < pixels ? static_cast<int>(pixel) : OUTSIDE;
}

// Return what a location reads from a level. Positions round as on a CPU. NaN is outside.
__device__ __forceinline__ Sample sample_at(float x, float y, float attention, long long height, long long width,
                                            long long start, int pixels) {
    const float column = __fadd_rn(__fmul_rn(x, static_cast<float>(width)), -0.5f);
    const float row = __fadd_rn(__fmul_rn(y, static_cast<float>(height)), -0.5f);
    Sample sample = {{OUTSIDE, OUTSIDE, OUTSIDE, OUTSIDE}, {0.0f, 0.0f, 0.0f, 0.0f}};
    const bool is_near = column > -1.0f && column < static_cast<float>(width) && row > -1.0f &&
                         row < static_cast<float>(height);
    if (!is_near) return sample;
    const float left = floorf(column), top = floorf(row);
    const float right_share = column - left, bottom_share = row - top;
    const int c = static_cast<int>(left), r = static_cast<int>(top);
    const float top_weight = (1.0f - bottom_share) * attention, bottom_weight = bottom_share * attention;
    sample.pixel = {pixel_at(r, c, height, width, start, pixels), pixel_at(r, c + 1, height, width, start, pixels),
                    pixel_at(r + 1, c, height, width, start, pixels),
                    pixel_at(r + 1, c + 1, height, width, start, pixels)};
    sample.weight = {top_weight * (1.0f - right_share), top_weight * right_share, bottom_weight * (1.0f - right_share),
                     bottom_weight * right_share};
    return sample;
}

template <typename T, int N>
__device__ __forceinline__ void add_pixel(float (&sum)[N], const T* __restrict__ channels, long long stride, int pixel,
                                          float weight) {
    if (pixel == OUTSIDE) return;
    const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(channels + pixel * stride);
#pragma unroll
    for (int i = 0; i < N; ++i) sum[i] += weight * static_cast<float>(pack.value[i]);
}

template <typename T, typename S, bool IS_WIDE, int LANES>
__global__ void __launch_bounds__(THREADS)
    deformable_attention(T* __restrict__ output, const T* __restrict__ value, const S* __restrict__ spatial_shapes,
                         const S* __restrict__ level_start_index, const T* __restrict__ sampling_loc,
                         const T* __restrict__ attn_weight, long long rows, Sizes sizes, int parts) {
    constexpr int N = IS_WIDE ? 16 / sizeof(T) : 1, WARP_ROWS = 32 / LANES;
    // An odd number of samples, so that the rows of a warp are in different banks.
    __shared__ Sample kept[WARPS][WARP_ROWS][SAMPLES + 1];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / LANES;
    const int head = blockIdx.y / parts, channel = (blockIdx.y % parts * LANES + lane % LANES) * N;
    const long long first_row = (1LL * blockIdx.x * WARPS + warp) * WARP_ROWS, row = first_row + group;
    const long long stride = 1LL * sizes.heads * sizes.channels;
    const int samples = sizes.levels * sizes.points;
    const bool is_there = row < rows && channel < sizes.channels;
    const T* source = value + (is_there ? row / sizes.queries * sizes.pixels * stride + 1LL * head * sizes.channels +
                                              channel
                                        : 0);
    float sum[N] = {};
    for (int begin = 0; begin < samples; begin += SAMPLES) {
        const int count = min(SAMPLES, samples - begin);
        __syncwarp();
        for (int i = lane; i < WARP_ROWS * SAMPLES; i += 32) {
            const long long at_row = first_row + i / SAMPLES;
            const int in_chunk = i % SAMPLES, number = begin + in_chunk;
            if (at_row >= rows || in_chunk >= count) continue;
            const int level = number / sizes.points;
            const long long at = (at_row * sizes.heads + head) * samples + number;
            const float x = static_cast<float>(sampling_loc[2 * at]), y = static_cast<float>(sampling_loc[2 * at + 1]);
            kept[warp][i / SAMPLES][in_chunk] =
                sample_at(x, y, static_cast<float>(attn_weight[at]), spatial_shapes[2 * level],
                          spatial_shapes[2 * level + 1], level_start_index[level], sizes.pixels);
        }
        __syncwarp();
        if (!is_there) continue;
#pragma unroll 2
        for (int i = 0; i < count; ++i) {
            const Sample sample = kept[warp][group][i];
            add_pixel<T, N>(sum, source, stride, sample.pixel.x, sample.weight.x);
            add_pixel<T, N>(sum, source, stride, sample.pixel.y, sample.weight.y);
            add_pixel<T, N>(sum, source, stride, sample.pixel.z, sample.weight.z);
            add_pixel<T, N>(sum, source, stride, sample.pixel.w, sample.weight.w);
        }
    }
    if (!is_there) return;
    Pack<T, N> result;
#pragma unroll
    for (int i = 0; i < N; ++i) result.value[i] = static_cast<T>(sum[i]);
    *reinterpret_cast<Pack<T, N>*>(output + (row * sizes.heads + head) * sizes.channels + channel) = result;
}
