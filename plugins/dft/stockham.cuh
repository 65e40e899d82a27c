// Stockham's algorithm: each thread transforms the numbers in its registers, and the threads of a transform exchange
// them through shared memory between one radix and the next.

#pragma once

#include "butterfly.cuh"

using pluginkit::Arrangement, pluginkit::MOST_SHARED;

// A thread's place in its block.
struct Place {
    unsigned lane;       // among the threads of a transform
    unsigned transform;  // among the transforms of the block
};

// Return the radix of a stage.
template <int... RADICES> __device__ constexpr int radix_of(int stage) {
    constexpr int ALL[] = {RADICES...};
    return ALL[stage];
}

// Return the most numbers that a thread takes for a radix.
template <int LANES, int... RADICES> __device__ constexpr int most_numbers() {
    constexpr int POINTS = (RADICES * ...);
    int most = 0;
    for (const int radix : {RADICES...}) {
        const int numbers = (POINTS / radix + LANES - 1) / LANES * radix;
        if (numbers > most) most = numbers;
    }
    return most;
}

// Return whether shared memory has gaps of `done` numbers, so that numbers that lie radix * done apart are in different banks.
__device__ constexpr bool has_gaps(int radix, int done) { return radix % 2 == 0 && done < 16; }

// Return after how many numbers gaps are: where less than all banks hold radix * done, no gap splits neighbours.
__device__ constexpr int gap_every(int radix, int done, int banks) {
    return banks % (radix * done) == 0 ? banks : radix * done;
}

// Return the numbers in shared memory from one transform to the next: so many that `together` neighbouring elements of
// each of some neighbouring transforms are in different banks.
template <int... RADICES> __device__ constexpr int pitch_of(int together, int banks) {
    constexpr int POINTS = (RADICES * ...);
    int pitch = POINTS, done = 1;
    for (const int radix : {RADICES...}) {
        const bool is_apart = done * radix < POINTS && has_gaps(radix, done);
        const int taken = POINTS + (is_apart ? POINTS / gap_every(radix, done, banks) * done : 0);
        if (taken > pitch) pitch = taken;
        done *= radix;
    }
    while (pitch % banks != together % banks) ++pitch;
    return pitch;
}

// Transforms of as many points as the product of the radices, LANES threads for each, PER_BLOCK in a block. Before the
// radix R a thread has elements lane + j * LANES + q * POINTS / R in v[j * R + q], and after the last radix as well.
template <Arrangement ARRANGEMENT, int LANES, int PER_BLOCK, int... RADICES> struct Stockham {
    static constexpr int POINTS = (RADICES * ...), STAGES = sizeof...(RADICES), THREADS_EACH = LANES;
    static constexpr int FIRST = radix_of<RADICES...>(0), LAST = radix_of<RADICES...>(STAGES - 1);

    // Butterflies of R points for each thread, and numbers.
    template <int R> static constexpr int OWN = (POINTS / R + LANES - 1) / LANES;
    static constexpr int NUMBERS = most_numbers<LANES, RADICES...>();

    // The neighbouring elements that half a warp takes of each of its transforms.
    static constexpr int TOGETHER = ARRANGEMENT == Arrangement::ROWS ? LANES : PER_BLOCK > 16 ? 1 : 16 / PER_BLOCK;
    // Whether real and imaginary parts are exchanged one after the other, in half as much shared memory.
    static constexpr bool IS_SPLIT = pitch_of<RADICES...>(TOGETHER, 16) * PER_BLOCK > MOST_SHARED;
    static constexpr int BANKS = IS_SPLIT ? 32 : 16;  // of numbers
    static constexpr int PITCH = pitch_of<RADICES...>(IS_SPLIT ? 2 * TOGETHER : TOGETHER, BANKS);
    static constexpr int SHARED_FLOATS = PITCH * PER_BLOCK * (IS_SPLIT ? 1 : 2);

    __device__ static __forceinline__ Place place(bool is_across) {
        const unsigned i = threadIdx.x;
        if (PER_BLOCK == 1) return {i, 0};
        return is_across ? Place{i / PER_BLOCK, i % PER_BLOCK} : Place{i % LANES, i / LANES};
    }

    // Where a thread is before the first exchange, and after it.
    __device__ static __forceinline__ Place before() { return place(ARRANGEMENT == Arrangement::COLUMNS); }
    __device__ static __forceinline__ Place after() { return place(ARRANGEMENT != Arrangement::ROWS); }

    __device__ static __forceinline__ void sync() {
        if constexpr (ARRANGEMENT == Arrangement::ROWS && 32 % LANES == 0) {
            __syncwarp();
        } else {
            __syncthreads();
        }
    }

    // Call function(first, butterfly) for each of a thread's butterflies of R points; it begins with number `first`.
    template <int R, typename Function>
    __device__ static __forceinline__ void each_butterfly(unsigned lane, Function function) {
#pragma unroll
        for (int j = 0; j < OWN<R>; ++j) {
            const unsigned butterfly = lane + j * LANES;
            if (POINTS / R % LANES == 0 || butterfly < POINTS / R) function(j * R, butterfly);
        }
    }

    // Call function(number, butterfly, q) for each number.
    template <int R, typename Function>
    __device__ static __forceinline__ void each(unsigned lane, Function function) {
        each_butterfly<R>(lane, [&](int i, unsigned butterfly) {
#pragma unroll
            for (int q = 0; q < R; ++q) function(i + q, butterfly, q);
        });
    }

    // Hand the numbers of all threads over to those that take them before the next radix.
    template <int STAGE, int DONE, bool IS_AGAIN>
    __device__ static __forceinline__ void exchange(float2 (&v)[NUMBERS], float* shared) {
        constexpr int R = radix_of<RADICES...>(STAGE), NEXT = radix_of<RADICES...>(STAGE + 1);
        constexpr int APART = POINTS / NEXT;
        constexpr int BLOCK = R * DONE, GAP = has_gaps(R, DONE) ? DONE : 0, EVERY = gap_every(R, DONE, BANKS);
        const Place from = STAGE == 0 && !IS_AGAIN ? before() : after(), to = after();
        const auto put = [&](auto store) {
            each<R>(from.lane, [&](int i, unsigned own, int q) {
                const unsigned first = own / DONE * BLOCK;
                store(from.transform * PITCH + first + first / EVERY * GAP + own % DONE + q * DONE, i);
            });
        };
        const auto get = [&](auto load) {
            each<NEXT>(to.lane, [&](int i, unsigned own, int q) {
                const unsigned at = own + q * APART;
                const unsigned gaps = APART % EVERY == 0 ? own / EVERY + q * (APART / EVERY) : at / EVERY;
                load(to.transform * PITCH + at + gaps * GAP, i);
            });
        };
        if constexpr (STAGE > 0) sync();
        pass_through(v, shared, put, get);
    }

    // Store numbers where `put` says, and load others from where `get` says.
    template <typename Put, typename Get>
    __device__ static __forceinline__ void pass_through(float2 (&v)[NUMBERS], float* shared, Put put, Get get) {
        if constexpr (IS_SPLIT) {
            put([&](int at, int i) { shared[at] = v[i].x; });
            sync();
            get([&](int at, int i) { v[i].x = shared[at]; });
            sync();
            put([&](int at, int i) { shared[at] = v[i].y; });
            sync();
            get([&](int at, int i) { v[i].y = shared[at]; });
        } else {
            float2* const pairs = reinterpret_cast<float2*>(shared);
            put([&](int at, int i) { pairs[at] = v[i]; });
            sync();
            get([&](int at, int i) { v[i] = pairs[at]; });
        }
    }

    // Transform v in place, which may be results (IS_AGAIN) if the first radix is the last one.
    template <bool IS_AGAIN = false, int STAGE = 0, int DONE = 1>
    __device__ static __forceinline__ void run(float2 (&v)[NUMBERS], float* shared) {
        constexpr int R = radix_of<RADICES...>(STAGE);
        const unsigned lane = (STAGE == 0 ? before() : after()).lane;
#pragma unroll
        for (int j = 0; j < OWN<R>; ++j) {
            float2 own[R];
#pragma unroll
            for (int q = 0; q < R; ++q) own[q] = v[j * R + q];
            if constexpr (DONE > 1) {
                // Later butterflies turn the factors of the first one, if all lanes turn them equally.
                constexpr int TURN = DONE % LANES == 0 ? DONE / LANES : 1;
                constexpr bool ARE_SAME = TURN > 1 || LANES % DONE == 0;
                // They are apart by constants, so that the compiler reads many at once, ahead of the exchange.
                const float2* const stored = TWIDDLES<R, DONE>.of + (lane + (ARE_SAME ? 0 : j * LANES)) % DONE;
                float2 factors[R];
#pragma unroll
                for (int q = 1; q < R; ++q) {
                    const int rest = q % 4;
                    factors[q] = q < 4 || rest == 0 ? stored[q * DONE] : factors[q - rest] * factors[rest];
                    own[q] = own[q] * (TURN > 1 ? turned<R * TURN>(factors[q], q * j) : factors[q]);
                }
            }
            butterfly(own);
#pragma unroll
            for (int q = 0; q < R; ++q) v[j * R + q] = own[q];
        }
        if constexpr (STAGE + 1 < STAGES) {
            exchange<STAGE, DONE, IS_AGAIN>(v, shared);
            run<IS_AGAIN, STAGE + 1, DONE * R>(v, shared);
        }
    }

    // Put element POINTS - e into `mirrored` where v has element e, for 0 < e <= POINTS / 2.
    __device__ static __forceinline__ void mirror(const float2 (&v)[NUMBERS], float2 (&mirrored)[NUMBERS],
                                                  float* shared) {
        if constexpr (LANES == 1 && STAGES == 1) {
#pragma unroll
            for (int i = 0; i < POINTS; ++i) mirrored[i] = v[(POINTS - i) % POINTS];
            return;
        }
        constexpr int APART = POINTS / LAST;
        const Place own = after();
        const unsigned row = own.transform * PITCH;
#pragma unroll
        for (int i = 0; i < NUMBERS; ++i) mirrored[i] = v[i];
        const auto put = [&](auto store) {
            each<LAST>(own.lane, [&](int i, unsigned butterfly, int q) {
                if (2 * (q + 1) * APART > POINTS) store(row + butterfly + q * APART, i);
            });
        };
        const auto get = [&](auto load) {
            each<LAST>(own.lane, [&](int i, unsigned butterfly, int q) {
                const unsigned element = butterfly + q * APART;
                if (2 * q * APART <= POINTS && 0 < element && 2 * element <= POINTS) load(row + POINTS - element, i);
            });
        };
        if constexpr (STAGES > 1) sync();
        pass_through(mirrored, shared, put, get);
    }
};
