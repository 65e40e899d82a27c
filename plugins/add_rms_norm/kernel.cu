// A sum and its RMSNorm. The threads of one row (threadIdx.x) load x and residual once, add, store the sum and keep it
// in registers, sum the squares, and store what they kept, normalized. A block has one row or, where rows are short,
// several (threadIdx.y).
//
// Where rows do not begin at multiples of a vector (SHIFTED), vectors begin at the first such place in a row, and what
// lies before and behind them is left to the row's first threads, an element each.
//
// `total` may be the memory of `residual`: a thread stores only where it has loaded. So nothing here is __restrict__,
// loads are put before stores by hand, and what is beyond the registers is read again by plain loads from `total`, by
// the thread that wrote it.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda/std/type_traits>

template <typename T, int N> struct alignas(sizeof(T) * N > 16 ? 16 : sizeof(T) * N) Pack {
    T value[N];
};

// The weights of a vector, which in a shifted row may begin anywhere.
template <typename W, int N, bool SHIFTED> __device__ __forceinline__ Pack<W, N> weights_at(const W* weight, int at) {
    if constexpr (!SHIFTED) return *reinterpret_cast<const Pack<W, N>*>(weight + at);
    Pack<W, N> weights;
#pragma unroll
    for (int i = 0; i < N; ++i) weights.value[i] = weight[at + i];
    return weights;
}

template <typename T, int N> __device__ __forceinline__ Pack<T, N> rounded(const float (&wide)[N]) {
    Pack<T, N> pack;
    if constexpr (cuda::std::is_same_v<T, __nv_bfloat16> && N % 2 == 0) {  // one by one takes an instruction more each
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const __nv_bfloat162 pair = __floats2bfloat162_rn(wide[i], wide[i + 1]);
            pack.value[i] = pair.x, pack.value[i + 1] = pair.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) pack.value[i] = static_cast<T>(wide[i]);
    }
    return pack;
}

template <typename T, int N> __device__ __forceinline__ Pack<T, N> sum_of(const Pack<T, N>& a, const Pack<T, N>& b) {
    float sums[N];
#pragma unroll
    for (int i = 0; i < N; ++i) sums[i] = static_cast<float>(a.value[i]) + static_cast<float>(b.value[i]);
    return rounded<T>(sums);
}

template <typename T, int N> __device__ __forceinline__ float squares_of(const Pack<T, N>& pack) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float value = static_cast<float>(pack.value[i]);
        sum += value * value;
    }
    return sum;
}

// Times a weight of the same type in what the normalized value is rounded to, of another type in float32.
template <typename T, typename W, int N>
__device__ __forceinline__ Pack<T, N> scaled(const Pack<T, N>& pack, const Pack<W, N>& weight, float inverse) {
    float wide[N];
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] = static_cast<float>(pack.value[i]) * inverse;
    if constexpr (cuda::std::is_same_v<T, W>) {
        const auto normalized = rounded<T>(wide);
#pragma unroll
        for (int i = 0; i < N; ++i) wide[i] = static_cast<float>(normalized.value[i]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] *= static_cast<float>(weight.value[i]);
    return rounded<T>(wide);
}

// The sum of `value` over a row's threads. Rows of fewer than 32 are powers of two and share a warp; others are whole
// warps.
__device__ __forceinline__ float sum_over_row(float value) {
    __shared__ float sums[32];
    const int threads = blockDim.x, lanes = threads < 32 ? threads : 32;
    for (int step = lanes / 2; step; step /= 2) value += __shfl_xor_sync(~0u, value, step);
    if (threads <= 32) return value;
    const int warps = threads / 32, first = threadIdx.y * warps;
    if (threadIdx.x % 32 == 0) sums[first + threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
    for (int warp = 0; warp < warps; ++warp) value += sums[first + warp];
    return value;
}

template <typename T, typename W, int LANES, int KEPT, bool SHIFTED>
__global__ void __launch_bounds__(1024) add_rms_norm(
    T* y, T* total, const T* x, const T* residual, const W* weight, long long rows, int inner, float epsilon
) {
    using Values = Pack<T, LANES>;
    using Value = Pack<T, 1>;
    const long long row = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y, start = row * inner;
    // Threads of rows that are not there stay, with nothing to load: their warp needs them.
    const int own = row < rows ? inner : 0, threads = blockDim.x, thread = threadIdx.x;
    const int head = SHIFTED ? static_cast<int>((LANES - start % LANES) % LANES) : 0;  // before the first vector
    const int vectors = max(own - head, 0) / LANES, edges = SHIFTED ? own - vectors * LANES : 0;
    x += start, residual += start, y += start, total += start;
    const Values* xs = reinterpret_cast<const Values*>(x + head);
    const Values* residuals = reinterpret_cast<const Values*>(residual + head);
    Values* totals = reinterpret_cast<Values*>(total + head);
    Values* ys = reinterpret_cast<Values*>(y + head);
    const auto weights = [&](int at) { return weights_at<W, LANES, SHIFTED>(weight, head + at * LANES); };

    constexpr int AT_ONCE = KEPT < 4 ? KEPT : 4;
    Values kept[KEPT];
    float squares = 0;
#pragma unroll
    for (int first = 0; first < KEPT; first += AT_ONCE) {
        Values others[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (at < vectors) kept[first + k] = xs[at], others[k] = residuals[at];
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (at >= vectors) continue;
            kept[first + k] = sum_of(kept[first + k], others[k]);
            totals[at] = kept[first + k];
            squares += squares_of(kept[first + k]);
        }
    }
    for (int at = thread + KEPT * threads; at < vectors; at += threads) {
        const Values sum = sum_of(xs[at], residuals[at]);
        totals[at] = sum;
        squares += squares_of(sum);
    }
    const int edge = thread < head ? thread : thread + vectors * LANES;
    Value edge_sum;
    if (thread < edges) {
        edge_sum = sum_of(Value{x[edge]}, Value{residual[edge]});
        total[edge] = edge_sum.value[0];
        squares += squares_of(edge_sum);
    }

    const float inverse = 1.0f / sqrtf(sum_over_row(squares) / static_cast<float>(inner) + epsilon);
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        const int at = thread + k * threads;
        if (at < vectors) ys[at] = scaled<T, W>(kept[k], weights(at), inverse);
    }
    for (int at = thread + KEPT * threads; at < vectors; at += threads) {
        ys[at] = scaled<T, W>(totals[at], weights(at), inverse);
    }
    if (thread < edges) y[edge] = scaled<T, W>(edge_sum, Pack<W, 1>{weight[edge]}, inverse).value[0];
}
