// As add_norm.cu, where rows are short and not aligned to vectors. A block takes as many as its threads have vectors for.
// These add the vectors as they lie, and bring the sums into shared memory, where lanes gather over each row; then each
// thread normalizes its vector.

#include "add_norm.cuh"

using pluginkit::SHORT_THREADS;  // from add_norm.py

// Return where the norm of a row is kept: gaps spread those that adjacent threads read over the banks.
template <int LANES> __device__ __forceinline__ int place(int row) { return row + row / LANES; }

// Add up each SIZE adjacent values, a power of two.
template <int SIZE, int LANES> __device__ __forceinline__ void add_up(float (&values)[LANES]) {
#pragma unroll
    for (int step = 1; step < SIZE; step *= 2) {
        float others[LANES];
#pragma unroll
        for (int i = 0; i < LANES; ++i) others[i] = values[i ^ step];
#pragma unroll
        for (int i = 0; i < LANES; ++i) values[i] += others[i];
    }
}

// `in_block` rows of a block begin at a whole vector. WHOLE: of how many elements rows are, if a thread has whole ones, or 0.
template <bool CENTRED, typename T, typename W, int WHOLE>
__global__ void __launch_bounds__(SHORT_THREADS)
    add_norm_short(T* y, T* total, const T* x, const T* residual, const W* weight, const W* bias, long long rows, int inner,
                   int in_block, float epsilon) {
    constexpr int LANES = VECTOR_BYTES / sizeof(T), COUNT = SHORT_THREADS * LANES;
    using Values = Pack<T, LANES>;
    __shared__ Values sums[SHORT_THREADS];
    __shared__ Norm norms[COUNT + SHORT_THREADS];
    const int size = WHOLE ? WHOLE : inner;
    const long long first_row = 1LL * blockIdx.x * in_block, start = first_row * size;
    const int own_rows = static_cast<int>(min(rows - first_row, 1LL * in_block)), count = own_rows * size;
    const int thread = threadIdx.x, first = thread * LANES;
    const bool is_whole = first + LANES <= count;
    x += start, residual += start, y += start, total += start;
    Values own = {}, other = {};
    if (is_whole) {
        own = *reinterpret_cast<const Values*>(x + first), other = *reinterpret_cast<const Values*>(residual + first);
    } else {
#pragma unroll
        for (int i = 0; i < LANES; ++i) {
            if (first + i < count) own.value[i] = x[first + i], other.value[i] = residual[first + i];
        }
    }
    Pack<W, LANES> factor, addend = {};
    const int row = first / size, column = first - row * size;
#pragma unroll
    for (int i = 0, at = column; i < LANES; ++i) {  // while those are on their way
        factor.value[i] = weight[at];
        if (CENTRED && bias != nullptr) addend.value[i] = bias[at];
        if (++at == size) at = 0;
    }
    own = sum_of(own, other);
    const auto store = [&](T* target, const Values& values) {
        if (is_whole) {
            *reinterpret_cast<Values*>(target + first) = values;
        } else {
#pragma unroll
            for (int i = 0; i < LANES; ++i) {
                if (first + i < count) target[first + i] = values.value[i];
            }
        }
    };
    store(total, own);
    Norm norm[LANES];
    if constexpr (WHOLE != 0) {
        float means[LANES] = {}, squares[LANES];
#pragma unroll
        for (int i = 0; i < LANES; ++i) means[i] = CENTRED ? static_cast<float>(own.value[i]) : 0.0f;
        add_up<WHOLE>(means);
#pragma unroll
        for (int i = 0; i < LANES; ++i) {
            means[i] = __fdividef(means[i], static_cast<float>(size));
            const float apart = static_cast<float>(own.value[i]) - means[i];
            squares[i] = apart * apart;
        }
        add_up<WHOLE>(squares);
#pragma unroll
        for (int i = 0; i < LANES; ++i) norm[i] = {means[i], norm_from(squares[i], size, epsilon).inverse};
    } else {
        sums[thread] = own;
        __syncthreads();
        const T* const values = sums[0].value;
        const int lanes = 1 << min(31 - __clz(max(SHORT_THREADS / in_block, 1)), 5), lane = thread % lanes;
        for (int base = 0; base < own_rows; base += SHORT_THREADS / lanes) {
            const int row = base + thread / lanes, end = row < own_rows ? size : 0;
            float mean = 0.0f, squares = 0.0f;
            if (CENTRED) {
                for (int i = lane; i < end; i += lanes) mean += static_cast<float>(values[row * size + i]);
                for (int step = lanes / 2; step; step /= 2) mean += __shfl_xor_sync(~0u, mean, step);
                mean = __fdividef(mean, static_cast<float>(size));
            }
            for (int i = lane; i < end; i += lanes) {
                const float apart = static_cast<float>(values[row * size + i]) - mean;
                squares += apart * apart;
            }
            for (int step = lanes / 2; step; step /= 2) squares += __shfl_xor_sync(~0u, squares, step);
            if (lane == 0 && end > 0) norms[place<LANES>(row)] = {mean, norm_from(squares, size, epsilon).inverse};
        }
        __syncthreads();
#pragma unroll
        for (int i = 0, of = row, at = column; i < LANES; ++i) {
            norm[i] = norms[place<LANES>(min(of, own_rows - 1))];
            if (++at == size) at = 0, ++of;
        }
    }
    if (first >= count) return;
    store(y, scaled<CENTRED>(own, factor, addend, [&](int i) { return norm[i]; }));
}
