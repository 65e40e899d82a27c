// TopK of short rows, for many results: a warp sorts a row in registers.

#include "rows.cuh"
#include "warp_sort.cuh"

using pluginkit::SHORT_THREADS;  // from launches.py

// A row has at most 32 * EACH elements.
template <typename T, bool LARGEST, int EACH>
__global__ void __launch_bounds__(SHORT_THREADS)
    sort_rows(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows, long long row_count) {
    using Value = Ranked<sizeof(T)>;
    constexpr int WARPS = SHORT_THREADS / 32, ROOM = 33 * EACH;
    __shared__ unsigned all_places[WARPS][ROOM];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long row = 1LL * blockIdx.x * WARPS + warp;
    if (row >= row_count) return;
    const auto source = source_of<T, false>(x, rows, row, 0);
    const auto target = target_of(y, indices, rows, row);
    Value own[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {  // in any order, of which the place is a part
        const int place = i * 32 + lane;
        own[i] = {};
        if (place < source.size) own[i] = Value::of(wanted_key_of<LARGEST, T>(source.bits(place)), place);
    }
    sort(own);
    write_sorted(own, all_places[warp], static_cast<int>(rows.k), source, target);
}
