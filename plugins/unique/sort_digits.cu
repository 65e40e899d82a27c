// Sort keys and their positions stably: one launch turns digit counts into offsets, then one launch for each digit sorts,
// or is skipped. Keys of 8 bytes have sort_long_keys.cu.

#include "halves.cuh"
#include "sweep.cuh"

// Turn the count of each digit into the offset of its keys, for every sweep, and find which sweeps are skipped. Fill
// `near` with the offsets that a sweep of `near_items` positions by the digit from `near_bit` on needs, if there are any.
__global__ void place_digits(int* digits, State* state, int sweeps, int items, int* near, int near_items,
                             int near_bit) {
    int half = state->half[AFTER];
    const bool is_in_order = state->out_of_order == 0;
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        int& mine = digits[sweep * DIGITS + threadIdx.x];
        const bool is_skipped = __syncthreads_or(mine == items) != 0;
        mine = sum_of_lower_digits(mine);
        if (threadIdx.x == 0) state->half[sweep] = half;
        half = is_skipped || is_in_order ? half : 1 - half;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        state->half[sweeps] = half, state->half[AFTER] = half;
        state->half[LAST_SWEEP] = 0, state->half[LAST_SWEEP + 1] = is_in_order ? 0 : 1;
        state->in_order = is_in_order, state->out_of_order = 0;
    }
    if (near_items > 0) near[threadIdx.x] = min(static_cast<int>(threadIdx.x) << near_bit, near_items);
}

// Sort keys of 4 bytes by one digit, unless this sweep, of number `sweep_number`, is skipped. `looked_back`, which has DIGITS
// ints for each block, and `ticket` are zero before. In sweep LAST_SWEEP the keys follow the positions.
template <typename Key>
__global__ void __launch_bounds__(SHORT_THREADS, 2)
    sweep(Key* keys, Key* other_keys, int* positions, int* other_positions, const State* state, const int* places,
          int* looked_back, int* ticket, int items, int first_bit, int sweep_number) {
    const int from = state->half[sweep_number], to = state->half[sweep_number + 1];
    if (from == to) return;
    if (sweep_number == LAST_SWEEP) keys += items;
    if (from != 0) {
        Key* const swapped = keys;
        keys = other_keys, other_keys = swapped;
        int* const swapped_positions = positions;
        positions = other_positions, other_positions = swapped_positions;
    }
    sweep_once(other_keys, other_positions, keys, positions, places, looked_back, ticket, items, first_bit);
}
