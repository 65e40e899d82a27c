// Sort keys and their values stably by one digit with CUB's one-sweep radix sort. Only sources whose kernels sort
// include this, because CUB takes seconds to compile.

#pragma once

#include <cub/block/block_load.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_store.cuh>

#include <cub/agent/agent_radix_sort_onesweep.cuh>  // after the headers above, which it needs and does not include

// From radix_sort.py.
using pluginkit::DIGIT_BITS, pluginkit::SWEEP_ITEMS_4B, pluginkit::SWEEP_ITEMS_8B, pluginkit::SWEEP_THREADS;

constexpr int DIGITS = 1 << DIGIT_BITS;

// Keys of a thread, where there are many.
template <typename Key> constexpr int SWEEP_ITEMS = sizeof(Key) == 4 ? SWEEP_ITEMS_4B : SWEEP_ITEMS_8B;

// CUB takes the number of items for 4-byte keys and scales it.
template <typename Key, int ITEMS, int BITS>
using SweepPolicy =
    cub::AgentRadixSortOnesweepPolicy<SWEEP_THREADS, ITEMS * static_cast<int>(sizeof(Key)) / 4, Key, 1,
                                      cub::RADIX_RANK_MATCH_EARLY_COUNTS_ANY, cub::BLOCK_SCAN_RAKING_MEMOIZE,
                                      cub::RADIX_SORT_STORE_DIRECT, BITS>;

// Sort by the digit of BITS from `first_bit` on, with all blocks; a thread takes ITEMS keys. `looked_back`, which has an int
// for each digit for each block, and `ticket` are zero before; `places` has the offset of the keys of each digit.
template <typename Key, int ITEMS, int BITS = DIGIT_BITS, typename Value>
__device__ __forceinline__ void sweep_once(Key* keys_out, Value* values_out, const Key* keys, const Value* values,
                                           const int* places, int* looked_back, int* ticket, int items,
                                           int first_bit) {
    using Policy = SweepPolicy<Key, ITEMS, BITS>;
    using Agent = cub::detail::radix_sort::AgentRadixSortOnesweep<Policy, false, Key, Value, int, int>;
    static_assert(Agent::BLOCK_THREADS == SWEEP_THREADS && Agent::ITEMS_PER_THREAD == ITEMS);
    __shared__ typename Agent::TempStorage storage;
    Agent(storage, looked_back, ticket, nullptr, places, keys_out, keys, values_out, values, items, first_bit, BITS)
        .Process();
}
