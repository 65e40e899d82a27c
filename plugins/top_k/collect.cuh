// Collect the keys of a row that may be among the first k in shared memory, and write the first k of them. A sample of
// the row says from which key on, so that the row is read once.

#pragma once

#include "rows.cuh"
#include "sort_shared.cuh"
#include "../_cuda/radix_select.cuh"

using pluginkit::CAPACITY;  // from launches.py

static_assert((CAPACITY & (CAPACITY - 1)) == 0, "sort_shared pads to a power of two");

template <typename Key> struct Shared {
    Key keys[CAPACITY];
    int places[CAPACITY];
    int count;
    int equal;
    Histogram histogram;
    Walk walk;

    __device__ __forceinline__ void append(Key key, int place) {
        const int position = atomicAdd(&count, 1);
        keys[position] = key, places[position] = place;
    }
};

// Narrow the selection by its next digit, the same in all threads. Bins below `floor` are not counted, which saves most
// atomics. Return false if the k-th key is in one of those.
template <typename Key, typename KeyAt>
__device__ bool narrow_once(const KeyAt& key_at, int size, int k, int floor, Selection<Key>& selection,
                            Histogram& histogram) {
    histogram.clear();
    for_each_key<Key>(key_at, size, [&](int, Key key) {
        const int digit = selection.next_digit(key);
        if (digit >= floor && static_cast<Key>(key & selection.mask) == selection.prefix) {
            atomicAdd(&histogram.bins[digit], 1);
        }
    });
    __syncthreads();
    histogram.find_bin(k, selection.above);
    const bool is_found = histogram.bin >= 0;
    if (is_found) {
        selection.know_next(histogram.bin);
        selection.above = histogram.above, selection.equal = histogram.equal;
    }
    __syncthreads();
    return is_found;
}

// The sample takes CHUNK contiguous elements at a time, since whole sectors are read anyway.
constexpr int SAMPLE = THREADS * LOADS, CHUNK = 8;

// How many keys of a sample are taken for the first k of the row: the expected number, four standard deviations and
// more than a chunk. So hardly ever are fewer than k keys of the row above the last of them, and never if it is sorted.
__device__ __forceinline__ int wanted_of_sample(int size, int k) {
    const float expected = static_cast<float>(k) * SAMPLE / static_cast<float>(size);
    return static_cast<int>(expected + 4 * sqrtf(expected)) + CHUNK + 2;
}

// Load a sample into shared memory.
template <typename Key, typename KeyAt> __device__ void take_sample(const KeyAt& key_at, int size, Key* sample) {
    const int stride = size / (SAMPLE / CHUNK);
    for_each_key<Key>([&](int i) { return key_at(i / CHUNK * stride + i % CHUNK); }, SAMPLE,
                      [&](int i, Key key) { sample[i] = key; });
    __syncthreads();
}

// Return one of the values that a vector holds.
template <typename Key> __device__ __forceinline__ Key lane_of(const uint4& vector, int lane) {
    const unsigned words[] = {vector.x, vector.y, vector.z, vector.w};
    if constexpr (sizeof(Key) == 8) {
        return static_cast<Key>(words[2 * lane + 1]) << 32 | words[2 * lane];
    } else {
        constexpr int PER_WORD = 4 / sizeof(Key);
        return static_cast<Key>(words[lane / PER_WORD] >> lane % PER_WORD * 8 * sizeof(Key));
    }
}

// Append the keys that are at least `lowest`, of elements that are read once. `count` may exceed the capacity; what is
// beyond is lost, and soon no more is read.
template <bool LARGEST, typename T, bool CONTIGUOUS, typename KeyAt>
__device__ void append_from(Bits<T> lowest, const Source<T, CONTIGUOUS>& source, const KeyAt& key_at,
                            Shared<Bits<T>>& shared) {
    using Key = Bits<T>;
    const Threshold<LARGEST, T> threshold(lowest);
    const auto look_at = [&](int i) {
        const Key key = key_at(i);
        if (key < lowest) return;
        const int position = atomicAdd(&shared.count, 1);
        if (position < CAPACITY) shared.keys[position] = key, shared.places[position] = i;
    };
    if constexpr (CONTIGUOUS) {
        constexpr int LANES = sizeof(uint4) / sizeof(T), VECTORS = 32 / LANES < 4 ? 32 / LANES : 4;
        const int misaligned = static_cast<int>(reinterpret_cast<unsigned long long>(source.values) % sizeof(uint4));
        const int before = misaligned == 0 ? 0 : static_cast<int>((sizeof(uint4) - misaligned) / sizeof(T));
        const int head = min(before, source.size);
        const int vectors = (source.size - head) / LANES, tail = head + vectors * LANES;
        const auto* all = reinterpret_cast<const uint4*>(source.values + head);
        for (int base = threadIdx.x; base < vectors; base += VECTORS * THREADS) {
            if (*static_cast<volatile int*>(&shared.count) > CAPACITY) return;
            uint4 loaded[VECTORS];
#pragma unroll
            for (int v = 0; v < VECTORS; ++v) {
                loaded[v] = base + v * THREADS < vectors ? __ldg(all + base + v * THREADS) : uint4{};
            }
            unsigned passed = 0;
#pragma unroll
            for (int v = 0; v < VECTORS; ++v) {
                unsigned mask = 0;
#pragma unroll
                for (int lane = 0; lane < LANES; ++lane) {
                    mask |= threshold.passes(lane_of<Key>(loaded[v], lane)) ? 1u << lane : 0u;
                }
                passed |= base + v * THREADS < vectors ? mask << (v * LANES) : 0u;
            }
            for (; passed != 0; passed &= passed - 1) {
                const int bit = __ffs(passed) - 1;
                look_at(head + (base + bit / LANES * THREADS) * LANES + bit % LANES);
            }
        }
        if (threadIdx.x < head) look_at(threadIdx.x);
        if (tail + threadIdx.x < source.size) look_at(tail + threadIdx.x);
    } else {
        for_each_key<Key>([&](int i) { return source.bits(i); }, source.size, [&](int i, Key bits) {
            if (threshold.passes(bits)) look_at(i);
        });
    }
}

// Append the keys above `tied`, and count those that equal it.
template <typename Key, typename KeyAt>
__device__ void append_above(Key tied, const KeyAt& key_at, int size, Shared<Key>& shared) {
    int equal = 0;
    for_each_key<Key>(key_at, size, [&](int i, Key key) {
        equal += key == tied;
        if (key > tied && *static_cast<volatile int*>(&shared.count) <= CAPACITY) {
            const int position = atomicAdd(&shared.count, 1);
            if (position < CAPACITY) shared.keys[position] = key, shared.places[position] = i;
        }
    });
    equal = sum_over_warp(equal);
    if (threadIdx.x % 32 == 0) atomicAdd(&shared.equal, equal);
}

// Write up to `most` of the first keys that equal `tied` to shared memory from `at` on.
template <typename Key, typename KeyAt>
__device__ void take_ties(Key tied, const KeyAt& key_at, int size, int most, int at, Shared<Key>& shared) {
    Selection<Key> ties;  // of keys that are 1 where they equal `tied`, else 0
    ties.prefix = 1, ties.mask = static_cast<Key>(~Key{0});
    select_in_order([&](int i) { return static_cast<Key>(key_at(i) == tied); }, size, most, ties, Met{}, shared.walk,
                    [&](int i, Key, int position) {
                        shared.keys[at + position] = tied, shared.places[at + position] = i;
                    });
}

// What a sample says of a row: the k-th key is likely to be at least `key`, and few more are, or many equal it.
enum class Advice { none, few, ties };
template <typename Key> struct Guess {
    Advice advice = Advice::none;
    Key key = 0;
    int floor = 0;  // the bin of the key
};

// Sample a row, which is long.
template <typename Key, typename KeyAt>
__device__ Guess<Key> guess_of(const KeyAt& key_at, int size, int k, Shared<Key>& shared) {
    Guess<Key> guess;
    const int wanted = wanted_of_sample(size, k);
    if (wanted >= SAMPLE) return guess;
    take_sample<Key>(key_at, size, shared.keys);
    const auto sampled_key_at = [&](int i) { return shared.keys[i]; };
    Selection<Key> sampled;
    narrow_once(sampled_key_at, SAMPLE, wanted, 0, sampled, shared.histogram);
    guess.floor = static_cast<int>(sampled.prefix >> sampled.shift);
    const long long scale = (size + SAMPLE - 1) / SAMPLE, most = CAPACITY * 3 / 4;
    if (wanted * scale > most) return guess;
    while ((sampled.count() > wanted + wanted / 2 || sampled.count() * scale > most) && sampled.shift > 0) {
        narrow_once(sampled_key_at, SAMPLE, wanted, 0, sampled, shared.histogram);
    }
    guess.key = sampled.prefix;
    if (sampled.count() * scale <= most) guess.advice = Advice::few;
    if (guess.advice == Advice::none && sampled.shift == 0) guess.advice = Advice::ties;
    return guess;
}

// Drop the keys in shared memory that are not selected.
template <typename Key> __device__ void compact(int count, const Selection<Key>& selection, Shared<Key>& shared) {
    constexpr int OWNED = CAPACITY / THREADS;
    Key keys[OWNED];
    int places[OWNED];
#pragma unroll
    for (int i = 0; i < OWNED; ++i) {
        const int at = i * THREADS + threadIdx.x;
        if (at < count) keys[i] = shared.keys[at], places[i] = shared.places[at];
    }
    if (threadIdx.x == 0) shared.count = 0;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < OWNED; ++i) {
        if (i * THREADS + threadIdx.x < count && selection.has(keys[i])) shared.append(keys[i], places[i]);
    }
    __syncthreads();
}

// Write the first k of the keys in shared memory. `selection` has all of them; if its shift is 0, it has no more than k.
template <typename T, bool CONTIGUOUS>
__device__ void write_first(int count, int k, Selection<Bits<T>> selection, const Source<T, CONTIGUOUS>& source,
                            const Target<T>& target, Shared<Bits<T>>& shared) {
    using Key = Bits<T>;
    const int worth_sorting = 2 * next_power_of_two(k);
    if (count > worth_sorting && selection.shift > 0) {
        const auto shared_key_at = [&](int i) { return shared.keys[i]; };
        while (selection.count() > worth_sorting && selection.shift > 0) {
            narrow_once(shared_key_at, count, k, 0, selection, shared.histogram);
        }
        compact(count, selection, shared);
        count = selection.count();
    }
    sort_shared(shared.keys, shared.places, count);
    for (int j = threadIdx.x; j < k; j += THREADS) target.write(j, source.bits(shared.places[j]), shared.places[j]);
}
