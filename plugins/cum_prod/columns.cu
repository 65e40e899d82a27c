// CumProd where rows are short and not contiguous: a thread takes one, or as many adjacent ones as a vector has elements, and
// AT_ONCE elements of each at once.

#include "../_cuda/vectors.cuh"
#include "rows.cuh"

using pluginkit::THREADS;  // from launches.py

template <typename T, bool IS_VECTOR, int AT_ONCE>
__global__ void __launch_bounds__(THREADS)
    cum_prod_of_columns(T* __restrict__ y, const T* __restrict__ x, long long rows, long long size, long long inner,
                        bool is_exclusive, bool is_reverse) {
    constexpr int WIDE = IS_VECTOR ? sizeof(uint4) / sizeof(T) : 1;
    using Values = Vector<T, WIDE>;
    const long long number = 1LL * blockIdx.x * blockDim.x + threadIdx.x;
    if (number >= rows / WIDE) return;
    longlong2 at = {0, number};  // along the first axis
    if (rows > inner) at = divided(number, inner / WIDE);
    const long long step = is_reverse ? -inner : inner;
    const long long place = (at.x * size + (is_reverse ? size - 1 : 0)) * inner + at.y * WIDE;
    const T* from = x + place;
    T* to = y + place;
    Product<T> before[WIDE];
#pragma unroll
    for (int k = 0; k < WIDE; ++k) before[k] = one<T>();
    for (long long left = size; left > 0; left -= AT_ONCE) {
        const int count = static_cast<int>(min(left, static_cast<long long>(AT_ONCE)));
        Values values[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i, from += step) {
            if (i < count) values[i] = Values::read(from);
        }
#pragma unroll
        for (int k = 0; k < WIDE; ++k) {
            Pack<T, AT_ONCE> pack;
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) pack.value[i] = i < count ? values[i].element[k] : static_cast<T>(1.0f);
            const Run<T, AT_ONCE> run(pack);
            const Pack<T, AT_ONCE> results = run.results(before[k], is_exclusive);
            before[k] = before[k].times(run.all()).normalised();
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i) values[i].element[k] = results.value[i];
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i, to += step) {
            if (i < count) values[i].write(to);
        }
    }
}
