// What add_norm.cu does, for rows of at most a warp of small vectors: each lane has one vector of LANE_ROWS rows, which lie a
// block's rows apart. How many lanes a row has is known when it is compiled, so that it takes few instructions.

#include "add_norm.cuh"

using pluginkit::LANE_ROWS, pluginkit::LANE_THREADS;  // from add_norm_lanes.py

// Add each row's value over its lanes.
template <int LANES> __device__ __forceinline__ void add_over_rows(float (&values)[LANE_ROWS]) {
#pragma unroll
    for (int step = LANES / 2; step; step /= 2) {
#pragma unroll
        for (float& value : values) value += __shfl_xor_sync(~0u, value, step);
    }
}

// LANES: those of a row, a power of two. BYTES: of a vector. There are fewer than 2^31 elements.
template <bool CENTRED, typename T, typename W, int LANES, int BYTES>
__global__ void __launch_bounds__(LANE_THREADS)
    add_norm_lanes(const T* x, const T* residual, const W* weight, const W* bias, int rows, int vectors, float epsilon, T* total,
                   T* y) {
    constexpr int N = BYTES > sizeof(T) ? BYTES / sizeof(T) : 1, APART = LANE_THREADS / LANES;
    using Values = Pack<T, N>;
    const int lane = threadIdx.x % LANES, row = blockIdx.x * (APART * LANE_ROWS) + threadIdx.x / LANES;
    const bool is_within = lane < vectors;
    const auto is_there = [&](int r) { return is_within && row + r * APART < rows; };
    const auto at = [&](int r) { return row * vectors + lane + r * APART * vectors; };
    Values kept[LANE_ROWS] = {}, others[LANE_ROWS] = {};
    Pack<W, N> factors = {}, addends = {};
#pragma unroll
    for (int r = 0; r < LANE_ROWS; ++r) {
        if (!is_there(r)) continue;
        kept[r] = reinterpret_cast<const Values*>(x)[at(r)], others[r] = reinterpret_cast<const Values*>(residual)[at(r)];
    }
    if (is_within) factors = weights_of<W, N, false>(weight, lane, 0);
    if (CENTRED && bias != nullptr && is_within) addends = weights_of<W, N, false>(bias, lane, 0);
    const float share = __fdividef(1.0f, static_cast<float>(vectors * N));
    float means[LANE_ROWS] = {}, squares[LANE_ROWS] = {};
#pragma unroll
    for (int r = 0; r < LANE_ROWS; ++r) {
        kept[r] = sum_of(kept[r], others[r]);
        if (is_there(r)) reinterpret_cast<Values*>(total)[at(r)] = kept[r];
#pragma unroll
        for (int i = 0; CENTRED && i < N; ++i) means[r] += static_cast<float>(kept[r].value[i]);
    }
    if (CENTRED) add_over_rows<LANES>(means);
#pragma unroll
    for (int r = 0; r < LANE_ROWS; ++r) {
        means[r] *= share;
#pragma unroll
        for (int i = 0; i < N; ++i) {
            const float apart = static_cast<float>(kept[r].value[i]) - means[r];
            if (!CENTRED || is_within) squares[r] += apart * apart;
        }
    }
    add_over_rows<LANES>(squares);
#pragma unroll
    for (int r = 0; r < LANE_ROWS; ++r) {
        const Norm norm = {means[r], rsqrtf(squares[r] * share + epsilon)};
        if (!is_there(r)) continue;
        reinterpret_cast<Values*>(y)[at(r)] = scaled<CENTRED>(kept[r], factors, addends, [&](int) { return norm; });
    }
}
