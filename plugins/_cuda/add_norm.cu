// Add two tensors and normalize the rows of the sum by their root mean square or, if they are CENTRED, by their mean and
// their standard deviation. The threads of a row (threadIdx.x) load x and residual once, add them, store the sum and
// keep it in registers, sum the squares, and store the normalized values. Of a centred row they combine the means and
// squares of its parts, which keeps the digits that a sum of squares would lose to a large mean. A block has one row or,
// where rows are short, several (threadIdx.y).
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

// Values of two bytes are added and multiplied in pairs: to round a float result to them is the same, and takes longer.
template <typename T> struct PairOf;
template <> struct PairOf<__half> { using type = __half2; };
template <> struct PairOf<__nv_bfloat16> { using type = __nv_bfloat162; };
template <typename T, int N> constexpr bool IN_PAIRS = sizeof(T) == 2 && N % 2 == 0;

template <typename T, int N> __device__ __forceinline__ Pack<T, N> sum_of(const Pack<T, N>& a, const Pack<T, N>& b) {
    Pack<T, N> sum;
    if constexpr (IN_PAIRS<T, N>) {
        using Pair = typename PairOf<T>::type;
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            const auto& own = reinterpret_cast<const Pair&>(a.value[i]);
            reinterpret_cast<Pair&>(sum.value[i]) = __hadd2(own, reinterpret_cast<const Pair&>(b.value[i]));
        }
    } else {
#pragma unroll
        for (int i = 0; i < N; ++i) {
            sum.value[i] = static_cast<T>(static_cast<float>(a.value[i]) + static_cast<float>(b.value[i]));
        }
    }
    return sum;
}

// Values of a centred row: how many, their mean, and the sum of the squares of their differences from it.
struct Moments {
    float count, mean, squares;
};

__device__ __forceinline__ float combined(float a, float b) { return a + b; }
__device__ __forceinline__ Moments combined(const Moments& a, const Moments& b) {  // as Chan, Golub and LeVeque do
    const float count = a.count + b.count, share = count > 0 ? __fdividef(b.count, count) : 0.0f;
    const float apart = b.mean - a.mean;
    return {count, a.mean + apart * share, a.squares + b.squares + apart * apart * a.count * share};
}

__device__ __forceinline__ float shuffled(float value, int step) { return __shfl_xor_sync(~0u, value, step); }
__device__ __forceinline__ Moments shuffled(const Moments& of, int step) {
    return {shuffled(of.count, step), shuffled(of.mean, step), shuffled(of.squares, step)};
}

// What is gathered over a row: the moments of a centred one, else the sum of the squares.
template <bool CENTRED> struct GatheredOf { using type = float; };
template <> struct GatheredOf<true> { using type = Moments; };

template <bool CENTRED, typename T, int N>
__device__ __forceinline__ typename GatheredOf<CENTRED>::type gathered_from(const Pack<T, N>& pack) {
    float mean = 0, squares = 0;
    if constexpr (CENTRED) {
#pragma unroll
        for (int i = 0; i < N; ++i) mean += static_cast<float>(pack.value[i]);
        mean /= N;
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const float value = static_cast<float>(pack.value[i]) - mean;
        squares += value * value;
    }
    if constexpr (CENTRED) return {N, mean, squares};
    else return squares;
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
        auto normalized = rounded<T>(wide);
        if constexpr (IN_PAIRS<T, N>) {
            using Pair = typename PairOf<T>::type;
#pragma unroll
            for (int i = 0; i < N; i += 2) {
                auto& pair = reinterpret_cast<Pair&>(normalized.value[i]);
                pair = __hmul2(pair, reinterpret_cast<const Pair&>(weight.value[i]));
            }
            return normalized;
        }
#pragma unroll
        for (int i = 0; i < N; ++i) wide[i] = static_cast<float>(normalized.value[i]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) wide[i] *= static_cast<float>(weight.value[i]);
    return rounded<T>(wide);
}

// Combine `value` over a row's threads, which are a power of two up to a warp, or whole warps. Steps without a partner
// are made as well: a loop that ends earlier takes longer.
template <bool ALONE, typename V> __device__ __forceinline__ V combined_over_row(V value) {
    __shared__ V parts[MAX_THREADS / WARP];
    const int threads = blockDim.x;
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) {
        const V other = shuffled(value, step);
        if (ALONE || step < threads) value = combined(value, other);
    }
    if (!ALONE && threads <= WARP) return value;
    const int warps = threads / WARP, first = ALONE ? 0 : threadIdx.y * warps, lane = threadIdx.x % WARP;
    if (lane == 0) parts[first + threadIdx.x / WARP] = value;
    __syncthreads();
    value = lane < warps ? parts[first + lane] : V{};
#pragma unroll
    for (int step = WARP / 2; step; step /= 2) value = combined(value, shuffled(value, step));
    return value;
}

// ALONE: whether a block has one row, of which its threads keep all vectors.
template <bool CENTRED, typename T, typename W, int LANES, int KEPT, bool ALONE, bool SHIFTED>
__global__ void __launch_bounds__(MAX_THREADS) add_norm(
    T* y, T* total, const T* x, const T* residual, const W* weight, const W* bias, long long rows, int inner,
    float epsilon
) {
    using Values = Pack<T, LANES>;
    using Value = Pack<T, 1>;
    const long long row = ALONE ? blockIdx.x : static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y;
    const long long start = row * inner;
    // Threads beyond the last row load nothing, but take part in the shuffles of their warp.
    const int own = ALONE || row < rows ? inner : 0, threads = blockDim.x, thread = threadIdx.x;
    const int head = SHIFTED ? static_cast<int>((LANES - start % LANES) % LANES) : 0;  // before the first vector
    const int vectors = max(own - head, 0) / LANES, edges = SHIFTED ? own - vectors * LANES : 0;
    const int rest = ALONE ? vectors : thread + KEPT * threads;  // the first vector that a thread does not keep
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
    constexpr bool EARLY = (CENTRED ? 2 : 1) * KEPT * LANES * sizeof(W) <= EARLY_BYTES && !SHIFTED;
    Pack<W, LANES> early[EARLY ? KEPT : 1], early_biases[EARLY ? KEPT : 1];
#pragma unroll
    for (int k = 0; EARLY && k < KEPT; ++k) {
        const int at = thread + k * threads;
        if (at < vectors) early[k] = weights(at), early_biases[k] = biases(at);
    }

    constexpr int AT_ONCE = KEPT < 4 ? KEPT : CENTRED ? 2 : 4;
    Values kept[KEPT];
    typename GatheredOf<CENTRED>::type gathered = {};
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
            gathered = combined(gathered, gathered_from<CENTRED>(kept[first + k]));
        }
    }
    for (int at = rest; at < vectors; at += threads) {
        const Values sum = sum_of(xs[at], residuals[at]);
        totals[at] = sum;
        gathered = combined(gathered, gathered_from<CENTRED>(sum));
    }
    const int edge = thread < head ? thread : thread + vectors * LANES;
    Value edge_sum;
    if (SHIFTED && thread < edges) {
        edge_sum = sum_of(Value{x[edge]}, Value{residual[edge]});
        total[edge] = edge_sum.value[0];
        gathered = combined(gathered, gathered_from<CENTRED>(edge_sum));
    }

    const auto found = combined_over_row<ALONE>(gathered);
    Norm norm;
    float squares;
    if constexpr (CENTRED) norm.mean = found.mean, squares = found.squares;
    else norm.mean = 0.0f, squares = found;
    norm.inverse = rsqrtf(__fdividef(squares, static_cast<float>(inner)) + epsilon);
#pragma unroll
    for (int k = 0; k < KEPT; ++k) {
        const int at = thread + k * threads;
        if (at >= vectors) continue;
        const int loaded = EARLY ? k : 0;
        const auto factors = EARLY ? early[loaded] : weights(at), addends = EARLY ? early_biases[loaded] : biases(at);
        ys[at] = scaled<CENTRED>(kept[k], factors, addends, norm);
    }
    for (int at = rest; at < vectors; at += threads) {
        ys[at] = scaled<CENTRED>(totals[at], weights(at), biases(at), norm);
    }
    if (SHIFTED && thread < edges) {
        const Pack<W, 1> factor = {weight[edge]}, addend = {has_bias ? bias[edge] : W{}};
        y[edge] = scaled<CENTRED>(edge_sum, factor, addend, norm).value[0];
    }
}
