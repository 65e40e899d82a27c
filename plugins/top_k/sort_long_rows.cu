// TopK of many results of rows that a block holds: it sorts them with CUB's radix sort. This is a separate source because
// CUB takes long to compile.

#include <cub/block/block_radix_sort.cuh>

#include "rows.cuh"

// A thread has up to ITEMS neighbours of the row. The sort is stable, so that equal keys stay in the order of their places.
template <typename T, bool LARGEST, int THREADS, int ITEMS>
__global__ void __launch_bounds__(THREADS)
    sort_long_rows(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    using Sort = cub::BlockRadixSort<Key, THREADS, ITEMS, unsigned short>;
    __shared__ typename Sort::TempStorage storage;
    const auto source = source_of<T, false>(x, rows, blockIdx.x, 0);
    const auto target = target_of(y, indices, rows, blockIdx.x);
    Key keys[ITEMS];
    unsigned short places[ITEMS];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int place = threadIdx.x * ITEMS + item;
        keys[item] = place < source.size ? wanted_key_of<LARGEST, T>(source.bits(place)) : Key{0};
        places[item] = static_cast<unsigned short>(place);
    }
    Sort(storage).SortDescendingBlockedToStriped(keys, places);
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int at = item * THREADS + threadIdx.x;
        if (at < rows.k) target.write(at, source.bits(places[item]), places[item]);
    }
}
