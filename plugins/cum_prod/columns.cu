// CumProd where rows are short and not contiguous: a thread takes one, or as many adjacent ones as a vector has elements.

#include "../_cuda/vectors.cuh"
#include "rows.cuh"

using pluginkit::THREADS;  // from launches.py

template <typename T, bool IS_VECTOR>
__global__ void __launch_bounds__(THREADS)
    cum_prod_of_columns(T* __restrict__ y, const T* __restrict__ x, long long rows, long long size, long long inner,
                        bool is_exclusive, bool is_reverse) {
    constexpr int WIDE = IS_VECTOR ? sizeof(uint4) / sizeof(T) : 1;
    constexpr int AT_ONCE = IS_VECTOR ? ITEMS / 2 : ITEMS;  // loads that wait for memory together
    using Values = Vector<T, WIDE>;
    const long long number = 1LL * blockIdx.x * THREADS + threadIdx.x;
    if (number >= rows / WIDE) return;
    const longlong2 at = divided(number, inner / WIDE);
    const long long step = is_reverse ? -inner : inner;
    long long place = (at.x * size + (is_reverse ? size - 1 : 0)) * inner + at.y * WIDE;
    Product<T> before[WIDE];
#pragma unroll
    for (int k = 0; k < WIDE; ++k) before[k] = one<T>();
    for (long long left = size; left > 0; left -= AT_ONCE, place += AT_ONCE * step) {
        Values loaded[AT_ONCE];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            if (i < left) loaded[i] = Values::read(x + place + i * step);
        }
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) {
            if (i >= left) break;
            Values results;
#pragma unroll
            for (int k = 0; k < WIDE; ++k) {
                const auto element = static_cast<typename Product<T>::Plain>(loaded[i].element[k]);
                const Product<T> after = before[k].times(product_of<T>(element)).normalised();
                results.element[k] = static_cast<T>((is_exclusive ? before[k] : after).value());
                before[k] = after;
            }
            results.write(y + place + i * step);
        }
    }
}
