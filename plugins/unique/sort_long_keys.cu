// Sort keys of 8 bytes by one digit with CUB's one-sweep radix sort, which is faster for them than sort_digits.cu. This is a
// separate source because CUB takes seconds to compile.

#include "../_cuda/sort_sweep.cuh"
#include "halves.cuh"

// Sort by one digit, as sweep of sort_digits.cu does. `looked_back`, which has DIGITS ints for each block, and `ticket` are
// zero before.
template <typename Key>
__global__ void __launch_bounds__(SWEEP_THREADS)
    sweep(Key* keys, Key* other_keys, int* positions, int* other_positions, const State* state, const int* places,
          int* looked_back, int* ticket, int items, int first_bit, int sweep_number) {
    const int from = state->half[sweep_number], to = state->half[sweep_number + 1];
    if (from == to) return;
    if (from != 0) {
        Key* const swapped = keys;
        keys = other_keys, other_keys = swapped;
        int* const swapped_positions = positions;
        positions = other_positions, other_positions = swapped_positions;
    }
    sweep_once<Key, SWEEP_ITEMS<Key>>(other_keys, other_positions, keys, positions, places, looked_back, ticket, items,
                                      first_bit);
}
