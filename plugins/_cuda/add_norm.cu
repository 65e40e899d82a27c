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

#include "add_norm.cuh"

// The threads of a block, at most, and whether these have registers for many vectors each, as they are few. Else as many
// threads of several blocks are on a multiprocessor as one block can have.
template <int FULL> constexpr int MOST_THREADS = FULL ? FULL : MAX_THREADS;
template <int FULL, int KEPT> constexpr bool HAS_REGISTERS = MOST_THREADS<FULL> <= MAX_THREADS / 2 && KEPT > 2;

// ALONE: whether a block has one row, of which its threads keep all vectors. ALIGNED: the bytes of a vector, of which rows
// are whole ones, or 0. FULL: how many threads keep a block's row if each keeps KEPT vectors, or 0.
template <bool CENTRED, typename T, typename W, int KEPT, bool ALONE, int ALIGNED, int FULL>
__global__ void __launch_bounds__(MOST_THREADS<FULL>, HAS_REGISTERS<FULL, KEPT> ? 1 : MAX_THREADS / MOST_THREADS<FULL>)
    add_norm(
        T* y, T* total, const T* x, const T* residual, const W* weight, const W* bias, long long rows, int size,
        float epsilon
    ) {
    constexpr bool SHIFTED = ALIGNED == 0;
    constexpr int BYTES = SHIFTED ? VECTOR_BYTES : ALIGNED, LANES = BYTES > sizeof(T) ? BYTES / sizeof(T) : 1;
    using Values = Pack<T, LANES>;
    using Value = Pack<T, 1>;
    const long long row = ALONE ? blockIdx.x : static_cast<long long>(blockIdx.x) * blockDim.y + threadIdx.y;
    const int inner = FULL ? FULL * KEPT * LANES : size;
    const long long start = row * inner;
    // Threads beyond the last row load nothing, but take part in the shuffles of their warp.
    const int own = ALONE || row < rows ? inner : 0, threads = FULL ? FULL : blockDim.x, thread = threadIdx.x;
    const int head = SHIFTED ? static_cast<int>((LANES - start % LANES) % LANES) : 0;  // before the first vector
    const int vectors = max(own - head, 0) / LANES, edges = SHIFTED ? own - vectors * LANES : 0;
    const auto has = [&](int at) { return FULL || at < vectors; };
    // The first vector that a thread does not keep.
    const int rest = ALONE || KEPT < MOST_KEPT ? vectors : thread + KEPT * threads;
    x += start, residual += start, y += start, total += start;
    const Values* xs = reinterpret_cast<const Values*>(x + head);
    const Values* residuals = reinterpret_cast<const Values*>(residual + head);
    Values* totals = reinterpret_cast<Values*>(total + head);
    Values* ys = reinterpret_cast<Values*>(y + head);
    const auto weights = [&](int at) { return weights_of<W, LANES, SHIFTED>(weight, at, head); };
    const bool has_bias = CENTRED && bias != nullptr;
    const auto biases = [&](int at) {
        return has_bias ? weights_of<W, LANES, SHIFTED>(bias, at, head) : Pack<W, LANES>{};
    };

    // Weights that fit into few registers are loaded at once with what is added last.
    constexpr int WEIGHT_BYTES = (CENTRED ? 2 : 1) * LANES * sizeof(W);
    constexpr int FITTING = (HAS_REGISTERS<FULL, KEPT> ? 2 : 1) * EARLY_BYTES / WEIGHT_BYTES;
    constexpr int LOADED = FITTING < KEPT ? FITTING : KEPT;
    constexpr bool EARLY = LOADED == KEPT && !SHIFTED;
    Pack<W, LANES> factors[LOADED], addends[LOADED] = {};
    const auto load_weights = [&](int first) {
#pragma unroll
        for (int k = 0; k < LOADED; ++k) {
            if (has(thread + (first + k) * threads)) factors[k] = weights(thread + (first + k) * threads);
        }
#pragma unroll
        for (int k = 0; has_bias && k < LOADED; ++k) {
            if (has(thread + (first + k) * threads)) addends[k] = biases(thread + (first + k) * threads);
        }
    };
    constexpr bool FITS = HAS_REGISTERS<FULL, KEPT> || KEPT <= 4 || BYTES < VECTOR_BYTES;
    constexpr int AT_ONCE = FITS ? KEPT : CENTRED ? 2 : 4;
    Values kept[KEPT];
    typename GatheredOf<CENTRED>::type gathered = {};
#pragma unroll
    for (int first = 0; first < KEPT; first += AT_ONCE) {
        Values others[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (!has(at)) continue;
            kept[first + k] = xs[at], others[k] = residuals[at];
        }
        if (EARLY && first + AT_ONCE == KEPT) load_weights(0);
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (!has(at)) continue;
            totals[at] = kept[first + k] = sum_of(kept[first + k], others[k]);
            gathered = combined(gathered, gathered_from<CENTRED>(kept[first + k]), 1.0f / (first + k + 1));
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

    if constexpr (FULL) gathered = combined_over_full_row<FULL>(gathered);
    else gathered = combined_over_row<ALONE>(gathered);
    const Norm norm = norm_from(gathered, inner, epsilon);
    const auto norm_at = [&](int) { return norm; };
#pragma unroll
    for (int first = 0; first < KEPT; first += LOADED) {
        if (!EARLY) load_weights(first);
#pragma unroll
        for (int k = 0; k < LOADED; ++k) {
            const int at = thread + (first + k) * threads;
            if (has(at)) ys[at] = scaled<CENTRED>(kept[first + k], factors[k], addends[k], norm_at);
        }
    }
    for (int at = rest; at < vectors; at += threads) {
        ys[at] = scaled<CENTRED>(totals[at], weights(at), biases(at), norm_at);
    }
    if (SHIFTED && thread < edges) {
        const Pack<W, 1> factor = {weight[edge]}, addend = {has_bias ? bias[edge] : W{}};
        y[edge] = scaled<CENTRED>(edge_sum, factor, addend, norm_at).value[0];
    }
}
