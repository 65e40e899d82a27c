// Number items in order, with all blocks.

#pragma once

#include "../_cuda/ordered_keys.cuh"
#include "halves.cuh"

using pluginkit::ROUNDS, pluginkit::THREADS;  // from launches.py: a warp reads 32 keys in each of ROUNDS rounds

constexpr int WARPS = THREADS / 32;
constexpr int RUN_TILE = THREADS * ROUNDS;

// Return what is subtracted from the key of each element.
template <typename T> __device__ __forceinline__ Bits<T> lowest_key(const State& state) {
    return static_cast<Bits<T>>(state.highest_complement == 0 ? 0 : ~state.highest_complement);
}

// What a tile publishes for later tiles: nothing yet (0), its own sum, or the sum of all tiles up to it. A flag
// distinguishes the two sums.
constexpr unsigned OWN_SUM = 1u << 30, WHOLE_SUM = 1u << 31, SUM_MASK = OWN_SUM - 1;

// Return the sum over the tiles before this one. One warp calls this.
__device__ __forceinline__ unsigned sum_before(volatile unsigned* tiles, int tile, unsigned sum) {
    const int lane = threadIdx.x % 32;
    if (lane == 0) tiles[tile] = (tile == 0 ? WHOLE_SUM : OWN_SUM) | sum;
    unsigned before = 0;
    bool is_whole = tile == 0;
    for (int last = tile - 1; !is_whole; last -= 32) {
        unsigned told = WHOLE_SUM;  // before the first tile the sum is 0
        if (last >= lane) {
            do { told = tiles[last - lane]; } while (told == 0);
        }
        const unsigned whole = __ballot_sync(~0u, told & WHOLE_SUM);
        is_whole = whole != 0;
        unsigned part = !is_whole || lane < __ffs(whole) ? told & SUM_MASK : 0;
#pragma unroll
        for (int step = 16; step > 0; step /= 2) part += __shfl_xor_sync(~0u, part, step);
        before += part;
    }
    if (lane == 0 && tile > 0) tiles[tile] = WHOLE_SUM | (before + sum);
    return before;
}

// Number the items of a tile for which `is_first` is true, in order. Call `visit(item, is_first, number)` for every item,
// with the number of the last such item up to it, and return how many there are up to the end of the tile. The first warp
// calls `before_tile(total)`, which returns how many there are before the tile, given those in it.
template <int THREADS, int ROUNDS, typename IsFirst, typename Visit, typename BeforeTile>
__device__ __forceinline__ int number_items_of_tile(int tile, int items, IsFirst is_first, Visit visit, BeforeTile before_tile) {
    constexpr int WARPS = THREADS / 32;
    __shared__ unsigned sums[WARPS], before;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int base = tile * (THREADS * ROUNDS) + warp * (32 * ROUNDS) + lane;
    bool flags[ROUNDS];  // all loaded before the first vote, so that the loads overlap
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
        flags[round] = base + 32 * round < items && is_first(base + 32 * round);
    }
    unsigned found[ROUNDS], sum = 0;
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
        found[round] = __ballot_sync(~0u, flags[round]);
        sum += __popc(found[round]);
    }
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    unsigned number = 0, total = 0;
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        number += i < warp ? sums[i] : 0;
        total += sums[i];
    }
    if (warp == 0) {
        const unsigned before_this = before_tile(total);
        if (lane == 0) before = before_this;
    }
    __syncthreads();
    number += before;
    const unsigned up_to_lane = ~0u >> (31 - lane);
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
        const int item = base + 32 * round;
        if (item < items) {
            visit(item, found[round] >> lane & 1, static_cast<int>(number + __popc(found[round] & up_to_lane)) - 1);
        }
        number += __popc(found[round]);
    }
    return static_cast<int>(before + total);
}

// Number items with all blocks, and write how many are numbered to `count`, unless that is null. `tiles` has one word and
// another for each block, all zero before.
template <typename IsFirst, typename Visit>
__device__ __forceinline__ void number_items(unsigned* tiles, int items, int* count, IsFirst is_first, Visit visit) {
    __shared__ int tile;
    if (threadIdx.x == 0) tile = static_cast<int>(atomicAdd(tiles, 1u));  // all tiles before it have started
    __syncthreads();
    const int up_to_end = number_items_of_tile<THREADS, ROUNDS>(
        tile, items, is_first, visit, [&](unsigned total) { return sum_before(tiles + 1, tile, total); });
    if (count != nullptr && threadIdx.x == 0 && tile == (items - 1) / RUN_TILE) *count = up_to_end;
}
