// A stable radix sort of keys and their positions, by CUB's one-sweep algorithm: one launch for each 8 bits, after one
// that turns counts of digits into places. In a file of its own, since CUB takes seconds to compile.

#include <cub/block/block_load.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_store.cuh>

#include <cub/agent/agent_radix_sort_onesweep.cuh>  // which does not include what it calls

constexpr int DIGITS = 256;

// From how often each digit occurs to where its keys begin; a block for each sweep.
__global__ void place_digits(int* digits) {
    using Scan = cub::BlockScan<int, DIGITS>;
    __shared__ typename Scan::TempStorage storage;
    int& mine = digits[blockIdx.x * DIGITS + threadIdx.x];
    int place;
    Scan(storage).ExclusiveSum(mine, place);
    mine = place;
}

constexpr int SWEEP_THREADS = 384;
constexpr int SWEEP_ITEMS_4B = 23, SWEEP_ITEMS_8B = 15;  // of a thread
template <typename Key> constexpr int SWEEP_ITEMS = sizeof(Key) == 4 ? SWEEP_ITEMS_4B : SWEEP_ITEMS_8B;

// CUB scales the number of items, which it wants for 4-byte keys.
template <typename Key>
using SweepPolicy =
    cub::AgentRadixSortOnesweepPolicy<SWEEP_THREADS, SWEEP_ITEMS<Key> * static_cast<int>(sizeof(Key)) / 4, Key, 1,
                                      cub::RADIX_RANK_MATCH_EARLY_COUNTS_ANY, cub::BLOCK_SCAN_RAKING_MEMOIZE,
                                      cub::RADIX_SORT_STORE_DIRECT, 8>;

// `looked_back`, DIGITS ints for each block, and `ticket` are zero before.
template <typename Key>
__global__ void __launch_bounds__(SWEEP_THREADS)
    sweep(Key* keys_out, int* positions_out, const Key* keys, const int* positions, const int* places,
          int* looked_back, int* ticket, int items, int first_bit) {
    using Agent = cub::detail::radix_sort::AgentRadixSortOnesweep<SweepPolicy<Key>, false, Key, int, int, int>;
    static_assert(Agent::BLOCK_THREADS == SWEEP_THREADS && Agent::ITEMS_PER_THREAD == SWEEP_ITEMS<Key>);
    __shared__ typename Agent::TempStorage storage;
    Agent(storage, looked_back, ticket, nullptr, places, keys_out, keys, positions_out, positions, items, first_bit, 8)
        .Process();
}
