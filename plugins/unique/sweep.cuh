// One sweep of a stable radix sort of 4-byte keys: all blocks together sort keys and their positions by one digit, reading
// and writing each once. A block ranks its keys: lanes of a warp with the same digit find each other by votes. Then it
// learns from the blocks before it how many keys of each digit they have (Merrill and Garland's decoupled look-back; the
// one-sweep sort of Adinets and Merrill). CUB has the same, but takes seconds to compile.

#pragma once

#include "../_cuda/device.cuh"

using pluginkit::DIGIT_BITS, pluginkit::SHORT_ITEMS, pluginkit::SHORT_THREADS;  // from sort_levels.py

constexpr int DIGITS = 1 << DIGIT_BITS;
constexpr int SHORT_WARPS = SHORT_THREADS / 32, SHORT_TILE = SHORT_THREADS * SHORT_ITEMS;

__device__ __forceinline__ int digit_of(unsigned key, int first_bit) {
    return static_cast<int>(key >> first_bit) & (DIGITS - 1);
}

// Small numbers, of which several share a register: registers say how many blocks a multiprocessor runs.
template <int COUNT, int BITS> struct PackedNumbers {
    unsigned words[(COUNT * BITS + 31) / 32] = {};

    __device__ __forceinline__ void set(int i, int number) {  // once
        words[i * BITS / 32] |= static_cast<unsigned>(number) << i * BITS % 32;
    }
    __device__ __forceinline__ int get(int i) const {
        return static_cast<int>(words[i * BITS / 32] >> i * BITS % 32 & ((1u << BITS) - 1));
    }
};
template <int ITEMS> using Ranks = PackedNumbers<ITEMS, 16>;

// For each warp how many of its keys have a digit; then how many keys come before the first of them.
using DigitCounts = int[SHORT_WARPS][DIGITS];

// Return the lanes of the warp whose digit is this one's.
__device__ __forceinline__ unsigned lanes_with(int digit) {
    unsigned lanes = ~0u;
#pragma unroll
    for (int bit = 0; bit < DIGIT_BITS; ++bit) {
        const bool is_set = (digit >> bit & 1) != 0;
        const unsigned set = __ballot_sync(~0u, is_set);
        lanes &= is_set ? set : ~set;
    }
    return lanes;
}

// Return the ranks of a lane's keys among those of the warp that have the same digit, and count these.
template <int ITEMS, typename DigitAt>
__device__ __forceinline__ Ranks<ITEMS> ranks_in_warp(int (&counts)[DIGITS], const DigitAt& digit_at) {
    const int lane = threadIdx.x % 32;
    for (int digit = lane; digit < DIGITS; digit += 32) counts[digit] = 0;
    __syncwarp();
    Ranks<ITEMS> ranks;
#pragma unroll
    for (int item = 0; item < ITEMS; ++item) {
        const int digit = digit_at(item);
        const unsigned equal = lanes_with(digit), before = equal & ((1u << lane) - 1);
        const int count = counts[digit];
        ranks.set(item, count + __popc(before));
        __syncwarp();
        if (before == 0) counts[digit] = count + __popc(equal);
        __syncwarp();
    }
    return ranks;
}

// Return the sum over the warps for the digit of this thread, which is one of the first DIGITS.
__device__ __forceinline__ int count_of_digit(const DigitCounts& counts) {
    int sum = 0;
#pragma unroll
    for (int warp = 0; warp < SHORT_WARPS; ++warp) sum += counts[warp][threadIdx.x];
    return sum;
}

// Return the sum of the values of the threads before this one, of the first DIGITS. The whole block calls this.
__device__ __forceinline__ int sum_of_lower_digits(int value) {
    constexpr int WARPS = DIGITS / 32;
    __shared__ int sums[WARPS];
    const int warp = threadIdx.x / 32, inclusive = inclusive_sum_over_warp(value);
    if (threadIdx.x % 32 == 31 && warp < WARPS) sums[warp] = inclusive;
    __syncthreads();
    int sum = inclusive - value;
#pragma unroll
    for (int other = 0; other < WARPS; ++other) sum += other < warp ? sums[other] : 0;
    __syncthreads();  // before the next call writes
    return sum;
}

// Turn the counts of this thread's digit into places, of which the first is `place`.
__device__ __forceinline__ void place_counts(DigitCounts& counts, int place) {
#pragma unroll
    for (int warp = 0; warp < SHORT_WARPS; ++warp) {
        const int count = counts[warp][threadIdx.x];
        counts[warp][threadIdx.x] = place;
        place += count;
    }
}

// What a block publishes of a digit for later blocks: nothing yet (0), how many of its own keys have it, or how many up
// to it. A flag distinguishes the two counts.
constexpr unsigned OWN_COUNT = 1u << 30, WHOLE_COUNT = 1u << 31, COUNT_MASK = OWN_COUNT - 1;

// Return how many keys with the digit of this thread the tiles before this one have, and publish how many there are with
// its `own`.
__device__ __forceinline__ int count_before(volatile unsigned* published, int tile, int own) {
    unsigned before = 0;
    bool is_whole = tile == 0;
    for (int other = tile - 1; !is_whole; --other) {
        unsigned told;
        do { told = published[other * DIGITS + threadIdx.x]; } while (told == 0);
        before += told & COUNT_MASK;
        is_whole = (told & WHOLE_COUNT) != 0;
    }
    if (tile > 0) published[tile * DIGITS + threadIdx.x] = WHOLE_COUNT | (before + own);
    return static_cast<int>(before);
}

union SweepMemory {
    DigitCounts counts;
    unsigned keys[SHORT_TILE];  // in the order of their digits, as what follows
    int positions[SHORT_TILE];
};

// Sort by the digit from `first_bit` on, with all blocks. `looked_back`, which has DIGITS ints for each block, and `ticket`
// are zero before; `places` has the offset of the keys of each digit.
__device__ __forceinline__ void sweep_once(unsigned* __restrict__ keys_out, int* __restrict__ positions_out,
                                           const unsigned* __restrict__ keys, const int* __restrict__ positions,
                                           const int* __restrict__ places, int* looked_back, int* ticket, int items,
                                           int first_bit) {
    __shared__ SweepMemory memory;
    __shared__ int offsets[DIGITS], tile_of_block;
    const int thread = threadIdx.x, warp = thread / 32;
    if (thread == 0) tile_of_block = atomicAdd(ticket, 1);  // all tiles before it have started
    __syncthreads();
    const int tile = tile_of_block, size = min(items - tile * SHORT_TILE, SHORT_TILE);
    keys += tile * SHORT_TILE, positions += tile * SHORT_TILE;
    auto* published = reinterpret_cast<volatile unsigned*>(looked_back);

    const int first = warp * 32 * SHORT_ITEMS + thread % 32;  // then every 32nd, so that a warp's keys are adjacent
    unsigned loaded[SHORT_ITEMS];
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) {
        loaded[item] = first + 32 * item < size ? keys[first + 32 * item] : ~0u;
    }
    auto& counts = memory.counts[warp];
    const auto digit_at = [&](int item) { return digit_of(loaded[item], first_bit); };
    const auto ranks_of_warp = ranks_in_warp<SHORT_ITEMS>(counts, digit_at);
    __syncthreads();
    int own = 0;
    if (thread < DIGITS) {
        own = count_of_digit(memory.counts);
        published[tile * DIGITS + thread] = (tile == 0 ? WHOLE_COUNT : OWN_COUNT) | own;
    }
    const int lower = sum_of_lower_digits(own);
    if (thread < DIGITS) place_counts(memory.counts, lower);
    __syncthreads();
    Ranks<SHORT_ITEMS> ranks;
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) ranks.set(item, ranks_of_warp.get(item) + counts[digit_at(item)]);
    __syncthreads();

#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) memory.keys[ranks.get(item)] = loaded[item];
    int moved[SHORT_ITEMS];
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) moved[item] = first + 32 * item < size ? positions[first + 32 * item] : 0;
    if (thread < DIGITS) offsets[thread] = places[thread] - lower + count_before(published, tile, own);
    __syncthreads();
    PackedNumbers<SHORT_ITEMS, DIGIT_BITS> digits;
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) {
        const int at = item * SHORT_THREADS + thread;
        const unsigned key = memory.keys[at];
        const int digit = digit_of(key, first_bit);
        digits.set(item, digit);
        if (at < size) keys_out[offsets[digit] + at] = key;
    }
    __syncthreads();
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) memory.positions[ranks.get(item)] = moved[item];
    __syncthreads();
#pragma unroll
    for (int item = 0; item < SHORT_ITEMS; ++item) {
        const int at = item * SHORT_THREADS + thread;
        if (at < size) positions_out[offsets[digits.get(item)] + at] = memory.positions[at];
    }
}
