// Sort keys with their places in the registers of a warp. A lane has neighbours of the sorted row, so that most comparisons
// are between its own.

#pragma once

// A key and the complement of its place, in one number where they fit: the larger comes first, of equal keys the first one.
template <int KEY_BYTES> struct Ranked {
    unsigned number;  // places are below 2^16

    __device__ __forceinline__ static Ranked of(unsigned key, unsigned place) { return {key << 16 | (0xffff - place)}; }
    __device__ __forceinline__ unsigned place() const { return 0xffff - (number & 0xffff); }
    __device__ __forceinline__ bool comes_before(const Ranked& other) const { return number > other.number; }
    __device__ __forceinline__ Ranked of_lane(int other_lane) const { return {__shfl_xor_sync(~0u, number, other_lane)}; }
};

template <> struct Ranked<4> {
    unsigned long long number;

    __device__ __forceinline__ static Ranked of(unsigned long long key, unsigned place) { return {key << 32 | ~place}; }
    __device__ __forceinline__ unsigned place() const { return ~static_cast<unsigned>(number); }
    __device__ __forceinline__ bool comes_before(const Ranked& other) const { return number > other.number; }
    __device__ __forceinline__ Ranked of_lane(int other_lane) const { return {__shfl_xor_sync(~0u, number, other_lane)}; }
};

template <> struct Ranked<8> {
    unsigned long long key;
    unsigned rest;

    __device__ __forceinline__ static Ranked of(unsigned long long key, unsigned place) { return {key, ~place}; }
    __device__ __forceinline__ unsigned place() const { return ~rest; }
    __device__ __forceinline__ bool comes_before(const Ranked& other) const {
        return key > other.key || (key == other.key && rest > other.rest);
    }
    __device__ __forceinline__ Ranked of_lane(int other_lane) const {
        return {__shfl_xor_sync(~0u, key, other_lane), __shfl_xor_sync(~0u, rest, other_lane)};
    }
};

// Order the elements of a lane whose places in it differ by the exclusive or with OTHER.
template <int OTHER, int EACH, typename Value> __device__ __forceinline__ void order_own(Value (&row)[EACH]) {
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int other = i ^ OTHER;
        if (other < i || row[i].comes_before(row[other])) continue;
        const Value moved = row[i];
        row[i] = row[other], row[other] = moved;
    }
}

// Order elements of lanes which differ by `other_lane`, at places in them which differ by OTHER.
template <int OTHER, int EACH, typename Value>
__device__ __forceinline__ void order_lanes(Value (&row)[EACH], int other_lane) {
    const int lane = threadIdx.x % 32;
    const bool is_first = (lane ^ other_lane) > lane;
    Value others[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) others[i] = row[i ^ OTHER].of_lane(other_lane);
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        if (others[i].comes_before(row[i]) == is_first) row[i] = others[i];
    }
}

// Order elements of a lane that are STEP apart, then nearer ones.
template <int STEP, int EACH, typename Value> __device__ __forceinline__ void order_near(Value (&row)[EACH]) {
    if constexpr (STEP > 0) {
        order_own<STEP>(row);
        order_near<STEP / 2>(row);
    }
}

// Sort runs of WIDTH elements of a lane. Of two runs in order the first element is compared with the last one, and so on;
// then those of each half that are half of it apart.
template <int WIDTH, int EACH, typename Value> __device__ __forceinline__ void sort_own(Value (&row)[EACH]) {
    if constexpr (WIDTH > 1) {
        sort_own<WIDTH / 2>(row);
        order_own<WIDTH - 1>(row);
        order_near<WIDTH / 4>(row);
    }
}

template <int EACH, typename Value> __device__ __forceinline__ void sort(Value (&row)[EACH]) {
    sort_own<EACH>(row);
#pragma unroll 1
    for (int lanes = 2; lanes <= 32; lanes *= 2) {
        order_lanes<EACH - 1>(row, lanes - 1);
#pragma unroll 1
        for (int step = lanes / 4; step > 0; step /= 2) order_lanes<0>(row, step);
        order_near<EACH / 2>(row);
    }
}

// Write the first k elements of a sorted row. They go through shared memory, with a gap after every 32, to results that lie
// beside each other; `places` has room for 33 * EACH.
template <int EACH, typename Value, typename Source, typename Target>
__device__ __forceinline__ void write_sorted(const Value (&row)[EACH], unsigned* places, int k, const Source& source,
                                             const Target& target) {
    const int lane = threadIdx.x % 32;
    __syncwarp();
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = lane * EACH + i;
        places[at + at / 32] = row[i].place();
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = i * 32 + lane;
        if (at >= k) break;
        const int place = static_cast<int>(places[at + i]);
        target.write(at, source.bits(place), place);
    }
}
