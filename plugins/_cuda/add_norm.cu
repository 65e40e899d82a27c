// Add two tensors and normalize the rows of the sum by their root mean square or, if they are CENTRED, by their mean and
// their standard deviation. The threads of a row (threadIdx.x) load x and residual once, add them, store the sum and
// keep it in registers, sum the squares, and store the normalized values. The squares of a centred row are summed after
// its mean is known. A block has one row or, where rows are short, several (threadIdx.y).
//
// If rows are not aligned to vectors (SHIFTED), the vectors of a row begin at its first aligned element. The row's
// first threads take the elements before and after the vectors, one each.
//
// `total` may share the memory of `residual`, since a thread stores only where it has loaded. So no pointer is
// __restrict__, and all loads come before the stores. Values that do not fit into the registers are read again from
// `total` with plain loads, by the thread that wrote them.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::EARLY_BYTES, pluginkit::MAX_THREADS, pluginkit::VECTOR_BYTES, pluginkit::WARP;  // from add_norm.py

// As in <cuda/std/type_traits>, which takes a second to compile.
template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

template <typename T, int N> struct alignas(sizeof(T) * N > VECTOR_BYTES ? VECTOR_BYTES : sizeof(T) * N) Pack {
    T value[N];
};

// Load the weights of a vector, which are not aligned in a shifted row.
template <typename W, int N, bool SHIFTED> __device__ __forceinline__ Pack<W, N> weights_at(const W* weight, int at) {
    if constexpr (!SHIFTED) return *reinterpret_cast<const Pack<W, N>*>(weight + at);
    Pack<W, N> weights;
#pragma unroll
    for (int i = 0; i < N; ++i) weights.value[i] = weight[at + i];
    return weights;
}

template <typename T, int N> __device__ __forceinline__ Pack<T, N> rounded(const float (&wide)[N]) {
    Pack<T, N> pack;
    if constexpr (is_same<T, __nv_bfloat16> && N % 2 == 0) {  // in pairs, one instruction less each
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

template <typename T, int N> __device__ __forceinline__ float squares_of(const Pack<T, N>& pack, float mean = 0.0f) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float value = static_cast<float>(pack.value[i]) - mean;
        sum += value * value;
    }
    return sum;
}

// Return what is summed over a row first: the values of a centred row, else their squares.
template <bool CENTRED, typename T, int N> __device__ __forceinline__ float summand_of(const Pack<T, N>& pack) {
    if constexpr (!CENTRED) return squares_of(pack);
    float sum = 0;
#pragma unroll
    for (int i = 0; i < N; ++i) sum += static_cast<float>(pack.value[i]);
    return sum;
}

// How a row is normalized: less its mean, times the inverse of what it is divided by.
struct Norm {
    float mean, inverse;
};

// Normalize, multiply by the weights and, in a centred row, add the bias. With a weight of type T a normalized value that
// is not centred is rounded to T first; all others are rounded once, at the end.
template <bool CENTRED, typename T, typename W, int N>
__device__ __forceinline__ Pack<T, N> scaled(
    const Pack<T, N>& pack, const Pack<W, N>& weight, const Pack<W, N>& bias, Norm norm
) {
    float wide[N];
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] = (static_cast<float>(pack.value[i]) - norm.mean) * norm.inverse;
    if constexpr (CENTRED) {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            wide[i] = wide[i] * static_cast<float>(weight.value[i]) + static_cast<float>(bias.value[i]);
        }
        return rounded<T>(wide);
    } else if constexpr (is_same<T, W>) {
        const auto normalized = rounded<T>(wide);
#pragma unroll
        for (int i = 0; i < N; ++i) wide[i] = static_cast<float>(normalized.value[i]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] *= static_cast<float>(weight.value[i]);
    return rounded<T>(wide);
}

// Return the sum of `value` over a row's threads, which are a power of two up to a warp, or whole warps. Each USE has
// shared memory of its own, so that nothing waits for the readers of an earlier one.
template <int USE> __device__ __forceinline__ float sum_over_row(float value) {
    __shared__ float sums[MAX_THREADS / WARP];
    const int threads = blockDim.x, lanes = threads < WARP ? threads : WARP;
    for (int step = lanes / 2; step; step /= 2) value += __shfl_xor_sync(~0u, value, step);
    if (threads <= WARP) return value;
    const int warps = threads / WARP, first = threadIdx.y * warps;
    if (threadIdx.x % WARP == 0) sums[first + threadIdx.x / WARP] = value;
    __syncthreads();
    const int lane = (threadIdx.y * threads + threadIdx.x) % WARP;
    value = lane < warps ? sums[first + lane] : 0;
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) value += __shfl_xor_sync(~0u, value, step);
    return value;
}

template <bool CENTRED, typename T, typename W, int LANES, int KEPT, bool SHIFTED>
__global__ void __launch_bounds__(MAX_THREADS) add_norm(
    T* y, T* total, const T* x, const T* residual, const W* weight, const W* bias, long long rows, int inner,
    float epsilon
) {
    using Values = Pack<T, LANES>;
    using Value = Pack<T, 1>;
    const long long row = static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y, start = row * inner;
    // Threads beyond the last row load nothing, but take part in the shuffles of their warp.
    const int own = row < rows ? inner : 0, threads = blockDim.x, thread = threadIdx.x;
    const int head = SHIFTED ? static_cast<int>((LANES - start % LANES) % LANES) : 0;  // before the first vector
    const int vectors = max(own - head, 0) / LANES, edges = SHIFTED ? own - vectors * LANES : 0;
    x += start, residual += start, y += start, total += start;
    const Values* xs = reinterpret_cast<const Values*>(x + head);
    const Values* residuals = reinterpret_cast<const Values*>(residual + head);
    Values* totals = reinterpret_cast<Values*>(total + head);
    Values* ys = reinterpret_cast<Values*>(y + head);
    const auto weights = [&](int at) { return weights_at<W, LANES, SHIFTED>(weight, head + at * LANES); };
    const bool has_bias = CENTRED && bias != nullptr;
    const auto biases = [&](int at) {
        return has_bias ? weights_at<W, LANES, SHIFTED>(bias, head + at * LANES) : Pack<W, LANES>{};
    };

    // Weights that fit into few registers are loaded before the sum over the row, which need not wait for memory twice.
    constexpr bool EARLY = KEPT * LANES * sizeof(W) <= EARLY_BYTES && !SHIFTED;
    Pack<W, LANES> early[EARLY ? KEPT : 1], early_biases[EARLY ? KEPT : 1];
#pragma unroll
    for (int k = 0; EARLY && k < KEPT; ++k) {
        const int at = thread + k * threads;
        if (at < vectors) early[k] = weights(at), early_biases[k] = biases(at);
    }

    constexpr int AT_ONCE = KEPT < 4 ? KEPT : 4;
    Values kept[KEPT];
    float summed = 0;
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
            summed += summand_of<CENTRED>(kept[first + k]);
        }
    }
    for (int at = thread + KEPT * threads; at < vectors; at += threads) {
        const Values sum = sum_of(xs[at], residuals[at]);
        totals[at] = sum;
        summed += summand_of<CENTRED>(sum);
    }
    const int edge = thread < head ? thread : thread + vectors * LANES;
    Value edge_sum;
    if (thread < edges) {
        edge_sum = sum_of(Value{x[edge]}, Value{residual[edge]});
        total[edge] = edge_sum.value[0];
        summed += summand_of<CENTRED>(edge_sum);
    }

    Norm norm = {0.0f, 0.0f};
    if constexpr (CENTRED) {
        norm.mean = sum_over_row<0>(summed) / static_cast<float>(inner);
        summed = 0;
#pragma unroll
        for (int k = 0; k < KEPT; ++k) {
            if (thread + k * threads < vectors) summed += squares_of(kept[k], norm.mean);
        }
        for (int at = thread + KEPT * threads; at < vectors; at += threads) summed += squares_of(totals[at], norm.mean);
        if (thread < edges) summed += squares_of(edge_sum, norm.mean);
    }
    norm.inverse = 1.0f / sqrtf(sum_over_row<1>(summed) / static_cast<float>(inner) + epsilon);
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        const int at = thread + k * threads;
        if (at >= vectors) continue;
        const int loaded = EARLY ? k : 0;
        const auto factors = EARLY ? early[loaded] : weights(at), addends = EARLY ? early_biases[loaded] : biases(at);
        ys[at] = scaled<CENTRED>(kept[k], factors, addends, norm);
    }
    for (int at = thread + KEPT * threads; at < vectors; at += threads) {
        ys[at] = scaled<CENTRED>(totals[at], weights(at), biases(at), norm);
    }
    if (thread < edges) {
        const Pack<W, 1> factor = {weight[edge]}, addend = {has_bias ? bias[edge] : W{}};
        y[edge] = scaled<CENTRED>(edge_sum, factor, addend, norm).value[0];
    }
}
