// What add_norm.cu does, for rows that are few and long: a block has a part of a row, and what normalizes the row is known
// only to a second kernel, which reads the sum again. So that much of it is still in the L2 cache, the second kernel
// begins with the parts that were written last, and what is used once is loaded and stored past the cache.

#include "add_norm.cuh"
#include "overlap.cuh"
#include "streaming.cuh"

using pluginkit::PART_THREADS, pluginkit::PART_VECTORS;  // from add_norm.py

// The vectors of a block's part of its row, and of that the vectors and the edge, if any, of a thread.
template <typename T, bool SHIFTED> struct PartOfRow {
    static constexpr int LANES = VECTOR_BYTES / sizeof(T);
    long long start;
    int head, first, end, edge;
    bool has_edge;

    __device__ PartOfRow(int inner, int row, int which, int part) : start(static_cast<long long>(row) * inner) {
        head = SHIFTED ? static_cast<int>((LANES - start % LANES) % LANES) : 0;
        const int vectors = (inner - head) / LANES, thread = threadIdx.x;
        first = which * part + thread, end = min((which + 1) * part, vectors);
        edge = thread < head ? thread : thread + vectors * LANES;
        has_edge = SHIFTED && which == 0 && edge < inner;
    }
};

template <bool CENTRED, typename T, bool SHIFTED>
__global__ void __launch_bounds__(PART_THREADS) add_parts(
    T* total, const T* x, const T* residual, typename GatheredOf<CENTRED>::type* parts, int inner, int part
) {
    let_next_launch_begin();
    const PartOfRow<T, SHIFTED> own(inner, blockIdx.y, blockIdx.x, part);
    using Values = Pack<T, own.LANES>;
    const Values* xs = reinterpret_cast<const Values*>(x + own.start + own.head);
    const Values* residuals = reinterpret_cast<const Values*>(residual + own.start + own.head);
    Values* totals = reinterpret_cast<Values*>(total + own.start + own.head);
    typename GatheredOf<CENTRED>::type gathered = {};
    for (int first = own.first; first < own.end; first += PART_VECTORS * PART_THREADS) {
        Values sums[PART_VECTORS], others[PART_VECTORS];
#pragma unroll
        for (int k = 0; k < PART_VECTORS; ++k) {
            const int at = first + k * PART_THREADS;
            if (at < own.end) sums[k] = load_once(xs + at), others[k] = load_once(residuals + at);
        }
#pragma unroll
        for (int k = 0; k < PART_VECTORS; ++k) {
            const int at = first + k * PART_THREADS;
            if (at >= own.end) continue;
            totals[at] = sums[k] = sum_of(sums[k], others[k]);
            gathered = combined(gathered, gathered_from<CENTRED>(sums[k]));
        }
    }
    if (own.has_edge) {
        const long long edge = own.start + own.edge;
        const auto sum = sum_of(Pack<T, 1>{x[edge]}, Pack<T, 1>{residual[edge]});
        total[edge] = sum.value[0];
        gathered = combined(gathered, gathered_from<CENTRED>(sum));
    }
    gathered = combined_over_row<true>(gathered);
    if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = gathered;
}

template <bool CENTRED, typename T, typename W, bool SHIFTED>
__global__ void __launch_bounds__(PART_THREADS) scale_parts(
    T* y, const T* total, const W* weight, const W* bias, const typename GatheredOf<CENTRED>::type* parts, int inner,
    int part, float epsilon
) {
    const int row = gridDim.y - 1 - blockIdx.y;
    const PartOfRow<T, SHIFTED> own(inner, row, gridDim.x - 1 - blockIdx.x, part);
    using Values = Pack<T, own.LANES>;
    const Values* totals = reinterpret_cast<const Values*>(total + own.start + own.head);
    Values* ys = reinterpret_cast<Values*>(y + own.start + own.head);
    Norm norm;
    const auto norm_at = [&](int) { return norm; };
    const bool has_bias = CENTRED && bias != nullptr;
    int first = own.first;
    bool is_first = true;
    do {
        Values sums[PART_VECTORS];
        Pack<W, own.LANES> weights[PART_VECTORS], biases[PART_VECTORS] = {};
#pragma unroll
        for (int k = 0; k < PART_VECTORS; ++k) {
            const int at = first + k * PART_THREADS;
            if (at >= own.end) continue;
            weights[k] = weights_of<W, own.LANES, SHIFTED>(weight, at, own.head);
            if (has_bias) biases[k] = weights_of<W, own.LANES, SHIFTED>(bias, at, own.head);
        }
        if (is_first) wait_for_earlier_launches();
#pragma unroll
        for (int k = 0; k < PART_VECTORS; ++k) {
            if (first + k * PART_THREADS < own.end) sums[k] = totals[first + k * PART_THREADS];
        }
        if (is_first) {  // while those are on their way
            typename GatheredOf<CENTRED>::type gathered = {};
            for (int at = threadIdx.x; at < gridDim.x; at += PART_THREADS) {
                gathered = combined(gathered, parts[row * gridDim.x + at]);
            }
            norm = norm_from(combined_over_row<true>(gathered), inner, epsilon);
            is_first = false;
        }
#pragma unroll
        for (int k = 0; k < PART_VECTORS; ++k) {
            const int at = first + k * PART_THREADS;
            if (at < own.end) store_once(ys + at, scaled<CENTRED>(sums[k], weights[k], biases[k], norm_at));
        }
    } while ((first += PART_VECTORS * PART_THREADS) < own.end);
    if (own.has_edge) {
        const Pack<W, 1> factor = {weight[own.edge]}, addend = {has_bias ? bias[own.edge] : W{}};
        y[own.start + own.edge] = scaled<CENTRED>(Pack<T, 1>{total[own.start + own.edge]}, factor, addend, norm_at).value[0];
    }
}
