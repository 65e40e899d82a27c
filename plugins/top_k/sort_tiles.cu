// Sort the candidates that split.cu has collected with CUB's radix sort; a block sorts a tile. This is a separate source
// because CUB takes long to compile.

#include <cub/block/block_radix_sort.cuh>

#include "candidates.cuh"

using pluginkit::THREADS, pluginkit::TILE;  // from launches.py

constexpr int ITEMS = TILE / THREADS;  // keys of a thread

// The keys of a tile come in the order of their indices and the sort is stable, so only keys are compared.
template <typename T, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    sort_tiles(T* __restrict__ y, long long* __restrict__ indices, Bits<T>* __restrict__ all_keys,
               int* __restrict__ all_places, const Candidates* __restrict__ candidates, const T* __restrict__ x, Rows rows,
               int tiles) {
    using Key = Bits<T>;
    using Sort = cub::BlockRadixSort<Key, THREADS, ITEMS, int>;
    __shared__ typename Sort::TempStorage storage;
    const long long row = blockIdx.x / tiles, first = blockIdx.x % tiles * static_cast<long long>(TILE);
    const int count = static_cast<int>(min(candidates[row].count - first, static_cast<long long>(TILE)));
    if (count <= 0) return;
    all_keys += row * room_of(rows) + first, all_places += row * room_of(rows) + first;
    Key keys[ITEMS];
    int places[ITEMS];
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int i = threadIdx.x * ITEMS + item;
        keys[item] = i < count ? all_keys[i] : Key{0}, places[item] = i < count ? all_places[i] : 0;
    }
    Sort(storage).SortDescendingBlockedToStriped(keys, places);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    const auto target = target_of(y, indices, rows, row);
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int i = item * THREADS + threadIdx.x;
        if (i >= count) continue;
        if (tiles == 1 && i < rows.k) {
            target.write(i, source.bits(places[item]), places[item]);
        } else if (tiles > 1) {
            all_keys[i] = keys[item], all_places[i] = places[item];
        }
    }
}
