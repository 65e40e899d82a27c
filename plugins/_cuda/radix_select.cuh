// Find the k-th largest key digit by digit, with histograms, and visit the keys that are selected.

#pragma once

#include "device.cuh"

using pluginkit::DIGIT_BITS, pluginkit::LOADS, pluginkit::THREADS;  // from the plugin that selects

constexpr int WARPS = THREADS / 32;
constexpr int BINS = 1 << DIGIT_BITS;

// The digits of the k-th key that have been found.
template <typename Key> struct Selection {
    Key prefix = 0;  // its known digits
    Key mask = 0;    // the bits of the known digits
    int above = 0;   // keys whose known digits are larger
    int equal = 0;   // keys whose known digits are these
    int shift = 8 * sizeof(Key);

    __device__ __forceinline__ int count() const { return above + equal; }
    __device__ __forceinline__ bool has(Key key) const { return static_cast<Key>(key & mask) >= prefix; }

    __device__ __forceinline__ int next_bits() const { return min(DIGIT_BITS, shift); }
    __device__ __forceinline__ int next_digit(Key key) const {
        const int bits = next_bits();
        return static_cast<int>(key >> (shift - bits)) & ((1 << bits) - 1);
    }
    __device__ __forceinline__ void know_next(int digit) {
        const int bits = next_bits();
        shift -= bits;
        prefix = static_cast<Key>(prefix | static_cast<Key>(static_cast<Key>(digit) << shift));
        mask = static_cast<Key>(mask | static_cast<Key>(static_cast<Key>((1 << bits) - 1) << shift));
    }
};

struct Histogram {
    int bins[BINS];
    int counts[WARPS];
    int bin, above, equal;  // the results of find_bin

    __device__ void clear() {
        for (int i = threadIdx.x; i < BINS; i += THREADS) bins[i] = 0;
        if (threadIdx.x == 0) bin = -1;
        __syncthreads();
    }

    // Set `bin` to the bin of the k-th key, counted from the top, `above` to the number of keys above that bin, and
    // `equal` to the number of keys in it. `before` keys are above all bins. With fewer than k keys nothing is set.
    __device__ void find_bin(int k, int before) {
        constexpr int OWNED = BINS / THREADS;
        const int top = BINS - 1 - threadIdx.x * OWNED, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        int own = 0;
#pragma unroll
        for (int i = 0; i < OWNED; ++i) own += bins[top - i];
        const int inclusive = inclusive_sum_over_warp(own);
        if (lane == 31) counts[warp] = inclusive;
        __syncthreads();
        int sum = before + inclusive - own;
        for (int i = 0; i < warp; ++i) sum += counts[i];
        if (sum < k && sum + own >= k) {
            int found = top;
            while (sum + bins[found] < k) sum += bins[found--];
            bin = found, above = sum, equal = bins[found];
        }
        __syncthreads();
    }
};

// Call visit(i, key) for every key. Several loads are in flight at once.
template <typename Key, typename KeyAt, typename Visit>
__device__ __forceinline__ void for_each_key(const KeyAt& key_at, int size, const Visit& visit) {
    int i = threadIdx.x;
    for (; i + (LOADS - 1) * THREADS < size; i += LOADS * THREADS) {
        Key keys[LOADS];
#pragma unroll
        for (int load = 0; load < LOADS; ++load) keys[load] = key_at(i + load * THREADS);
#pragma unroll
        for (int load = 0; load < LOADS; ++load) visit(i + load * THREADS, keys[load]);
    }
    for (; i < size; i += THREADS) visit(i, key_at(i));
}

// Load several keys at once; beyond the end they are 0.
template <typename Key, typename KeyAt>
__device__ __forceinline__ void load_keys(const KeyAt& key_at, int size, int base, Key (&keys)[LOADS]) {
#pragma unroll
    for (int load = 0; load < LOADS; ++load) {
        const int i = base + load * THREADS + threadIdx.x;
        keys[load] = i < size ? key_at(i) : Key{0};
    }
}

// How many keys a walk has met that are above the k-th key, and how many equal to it.
struct Met {
    int above = 0;
    int equal = 0;
};

// Shared memory of a walk.
struct Walk {
    int counts[LOADS * WARPS];
    int total;
};

// Walk over keys in order and call take(i, key, position) for each selected key: all keys above the k-th, and of those
// equal to it the first ones, until there are k. `met` counts the earlier keys of the row. Positions count the selected
// keys in the row's order.
template <typename Key, typename KeyAt, typename Take>
__device__ void select_in_order(const KeyAt& key_at, int size, int k, const Selection<Key>& selection, const Met& met,
                                Walk& walk, const Take& take) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned before = (1u << lane) - 1;
    int equal_taken = min(met.equal, k - selection.above), equal_left = k - selection.above - equal_taken;
    int above_taken = met.above;
    for (int base = 0; base < size && above_taken + equal_taken < k; base += THREADS * LOADS) {
        Key keys[LOADS];
        unsigned above[LOADS], equal[LOADS];
        load_keys(key_at, size, base, keys);
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const bool is_inside = base + load * THREADS + threadIdx.x < size;
            const Key known = static_cast<Key>(keys[load] & selection.mask);
            above[load] = __ballot_sync(~0u, is_inside && known > selection.prefix);
            equal[load] = __ballot_sync(~0u, is_inside && known == selection.prefix);
            // Both counts share a word, since neither exceeds THREADS * LOADS.
            if (lane == 0) walk.counts[load * WARPS + warp] = __popc(above[load]) << 16 | __popc(equal[load]);
        }
        __syncthreads();
        if (warp == 0) {
            constexpr int OWNED = LOADS * WARPS / 32;
            int sums[OWNED], total = 0;
#pragma unroll
            for (int i = 0; i < OWNED; ++i) sums[i] = total, total += walk.counts[lane * OWNED + i];
            const int inclusive = inclusive_sum_over_warp(total);
#pragma unroll
            for (int i = 0; i < OWNED; ++i) walk.counts[lane * OWNED + i] = sums[i] + inclusive - total;
            if (lane == 31) walk.total = inclusive;
        }
        __syncthreads();
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int counts = walk.counts[load * WARPS + warp];
            const int above_before = (counts >> 16) + __popc(above[load] & before);
            const int equal_before = (counts & 0xffff) + __popc(equal[load] & before);
            const bool is_above = above[load] >> lane & 1, is_equal = equal[load] >> lane & 1;
            if (is_above || (is_equal && equal_before < equal_left)) {
                const int position = above_taken + equal_taken + above_before + min(equal_before, equal_left);
                take(base + load * THREADS + threadIdx.x, keys[load], position);
            }
        }
        const int equal_now = min(walk.total & 0xffff, equal_left);
        above_taken += walk.total >> 16;
        equal_taken += equal_now, equal_left -= equal_now;
        __syncthreads();
    }
}
