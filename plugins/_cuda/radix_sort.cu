// Sort keys and their values stably with CUB's one-sweep radix sort: one launch turns digit counts into offsets,
// then one launch for each digit sorts. This is a separate source because CUB takes seconds to compile.

#include "overlap.cuh"
#include "sort_sweep.cuh"

// Turn the count of each digit into the offset of its keys. A block does it for one sweep.
template <int BITS> __global__ void place_digits(int* digits) {
    using Scan = cub::BlockScan<int, 1 << BITS>;
    __shared__ typename Scan::TempStorage storage;
    let_next_launch_begin();
    wait_for_earlier_launches();
    int& mine = digits[(blockIdx.x << BITS) + threadIdx.x];
    int place;
    Scan(storage).ExclusiveSum(mine, place);
    mine = place;
}

// Sort by one digit; a thread takes ITEMS keys. `looked_back`, which has an int for each digit for each block, and `ticket` are
// zero before. Where `is_wanted` is given and 0, nothing is done.
template <typename Key, int ITEMS, typename Value = int, int BITS = DIGIT_BITS>
__global__ void __launch_bounds__(SWEEP_THREADS)
    sweep(Key* keys_out, Value* values_out, const Key* keys, const Value* values, const int* places, int* looked_back,
          int* ticket, int items, int first_bit, const int* is_wanted) {
    let_next_launch_begin();
    wait_for_earlier_launches();
    if (is_wanted != nullptr && *is_wanted == 0) return;
    sweep_once<Key, ITEMS, BITS>(keys_out, values_out, keys, values, places, looked_back, ticket, items, first_bit);
}
