// Sort keys and their positions stably with CUB's one-sweep radix sort: one launch turns digit counts into offsets,
// then one launch for each digit sorts. This is a separate source because CUB takes seconds to compile.

#include <cub/block/block_load.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_store.cuh>

#include <cub/agent/agent_radix_sort_onesweep.cuh>  // after the headers above, which it needs and does not include

// From radix_sort.py.
using pluginkit::DIGIT_BITS, pluginkit::SWEEP_ITEMS_4B, pluginkit::SWEEP_ITEMS_8B, pluginkit::SWEEP_THREADS;

constexpr int DIGITS = 1 << DIGIT_BITS;

// Turn the count of each digit into the offset of its keys. A block does it for one sweep.
__global__ void place_digits(int* digits) {
    using Scan = cub::BlockScan<int, DIGITS>;
    __shared__ typename Scan::TempStorage storage;
    int& mine = digits[blockIdx.x * DIGITS + threadIdx.x];
    int place;
    Scan(storage).ExclusiveSum(mine, place);
    mine = place;
}

// Keys of a thread, where there are many.
template <typename Key> constexpr int SWEEP_ITEMS = sizeof(Key) == 4 ? SWEEP_ITEMS_4B : SWEEP_ITEMS_8B;

// CUB takes the number of items for 4-byte keys and scales it.
template <typename Key, int ITEMS>
using SweepPolicy =
    cub::AgentRadixSortOnesweepPolicy<SWEEP_THREADS, ITEMS * static_cast<int>(sizeof(Key)) / 4, Key, 1,
                                      cub::RADIX_RANK_MATCH_EARLY_COUNTS_ANY, cub::BLOCK_SCAN_RAKING_MEMOIZE,
                                      cub::RADIX_SORT_STORE_DIRECT, DIGIT_BITS>;

// Sort by one digit; a thread takes ITEMS keys. `looked_back`, which has DIGITS ints for each block, and `ticket` are zero
// before. Where `is_wanted` is given and 0, nothing is done.
template <typename Key, int ITEMS>
__global__ void __launch_bounds__(SWEEP_THREADS)
    sweep(Key* keys_out, int* positions_out, const Key* keys, const int* positions, const int* places,
          int* looked_back, int* ticket, int items, int first_bit, const int* is_wanted) {
    using Policy = SweepPolicy<Key, ITEMS>;
    using Agent = cub::detail::radix_sort::AgentRadixSortOnesweep<Policy, false, Key, int, int, int>;
    static_assert(Agent::BLOCK_THREADS == SWEEP_THREADS && Agent::ITEMS_PER_THREAD == ITEMS);
    __shared__ typename Agent::TempStorage storage;
    if (is_wanted != nullptr && *is_wanted == 0) return;
    Agent(storage, looked_back, ticket, nullptr, places, keys_out, keys, positions_out, positions, items, first_bit,
          DIGIT_BITS)
        .Process();
}
