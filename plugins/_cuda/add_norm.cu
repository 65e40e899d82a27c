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

// ALONE: whether a block has one row, of which its threads keep all vectors.
template <bool CENTRED, typename T, typename W, int LANES, int KEPT, bool ALONE, bool SHIFTED>
__global__ void __launch_bounds__(MAX_THREADS, 1) add_norm(
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

    // Weights that fit into few registers are loaded before the sum over the row, which need not wait for memory twice.
    constexpr bool EARLY = (CENTRED ? 2 : 1) * KEPT * LANES * sizeof(W) <= EARLY_BYTES && !SHIFTED;
    Pack<W, LANES> early[EARLY ? KEPT : 1], early_biases[EARLY ? KEPT : 1];

    constexpr int AT_ONCE = KEPT <= 4 ? KEPT : CENTRED ? 2 : 4;
    Values kept[KEPT];
    typename GatheredOf<CENTRED>::type gathered = {};
#pragma unroll
    for (int first = 0; first < KEPT; first += AT_ONCE) {
        Values others[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (at >= vectors) continue;
            kept[first + k] = xs[at], others[k] = residuals[at];
            if constexpr (EARLY) early[first + k] = weights(at), early_biases[first + k] = biases(at);
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) {
            const int at = thread + (first + k) * threads;
            if (at >= vectors) continue;
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

    const Norm norm = norm_from(combined_over_row<ALONE>(gathered), inner, epsilon);
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
