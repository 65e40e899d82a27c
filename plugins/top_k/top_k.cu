// TopK: radix select, then a sort of what is selected. One block takes one row, or a segment of one.
//
// Values become unsigned keys whose order is the wanted one, largest first; NaN counts as largest. Digit by digit, from
// the most significant, a histogram tells in which digit's bin the k-th key lies.
//
//   select_segment   the k of a segment, in the order of their indices: an ordered walk once the k-th key is known
//   top_k            the k of a row, or of what its segments gave, in their own order: keys are narrowed until they fit
//                    into shared memory, collected and sorted there, equal ones by index
//   top_k_large      any k: an ordered walk into the workspace, where sorted runs are merged

#include <cuda_bf16.h>
#include <cuda_fp16.h>

constexpr int THREADS = 512;
constexpr int WARPS = THREADS / 32;
constexpr int LOADS = 8;  // of one thread, under way at once
constexpr int DIGIT_BITS = 11;
constexpr int BINS = 1 << DIGIT_BITS;
constexpr int CAPACITY = 4096;  // keys that are sorted in shared memory; a power of two
constexpr int SAMPLE = THREADS * LOADS;

template <int BYTES> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = unsigned char; };
template <> struct UnsignedOf<2> { using type = unsigned short; };
template <> struct UnsignedOf<4> { using type = unsigned int; };
template <> struct UnsignedOf<8> { using type = unsigned long long; };

template <typename T> struct Traits {
    using Key = typename UnsignedOf<sizeof(T)>::type;
    static constexpr bool IS_INTEGER = true;
};
template <> struct Traits<float> {
    using Key = unsigned int;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7f800000;
};
template <> struct Traits<__half> {
    using Key = unsigned short;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7c00;
};
template <> struct Traits<__nv_bfloat16> {
    using Key = unsigned short;
    static constexpr bool IS_INTEGER = false;
    static constexpr Key INFINITE = 0x7f80;
};

// The key whose unsigned order, largest first, is the order of the result, of a value's bits.
template <bool LARGEST, typename T>
__device__ __forceinline__ typename Traits<T>::Key key_of(typename Traits<T>::Key bits) {
    using Key = typename Traits<T>::Key;
    constexpr Key SIGN = static_cast<Key>(Key{1} << (8 * sizeof(Key) - 1));
    if constexpr (Traits<T>::IS_INTEGER) {
        bits = static_cast<Key>(bits ^ SIGN);
    } else {
        const Key magnitude = static_cast<Key>(bits & ~SIGN);
        if (magnitude == 0) bits = 0;  // -0.0 equals 0.0
        bits = static_cast<Key>(bits & SIGN ? ~bits : bits | SIGN);
        if (magnitude > Traits<T>::INFINITE) bits = static_cast<Key>(~Key{0});  // NaN
    }
    return LARGEST ? bits : static_cast<Key>(~bits);
}

// Where rows lie. Element i of row r is at x[r / inner * x_step + r % inner + i * inner], and likewise in y.
struct Rows {
    long long inner;
    long long x_step;
    long long y_step;
    long long size;      // elements of a row
    long long k;         // elements that are wanted of each
    long long segment;   // elements of a segment
    long long segments;  // of a row
};

// What a block works on: a row or one segment of it. CONTIGUOUS says that its elements are neighbours.
template <typename T, bool CONTIGUOUS> struct Source {
    using Key = typename Traits<T>::Key;
    const Key* values;
    long long stride;
    int first;  // index of its first element
    int size;

    __device__ __forceinline__ Key bits(int i) const { return __ldg(CONTIGUOUS ? values + i : values + i * stride); }
};

template <typename Key> struct Selection {
    Key prefix = 0;  // the digits of the k-th key that are known
    Key mask = 0;    // where they stand
    int above = 0;   // keys whose known digits are larger
    int equal = 0;   // keys whose known digits are these
    int shift = 8 * sizeof(Key);

    __device__ __forceinline__ int count() const { return above + equal; }
    __device__ __forceinline__ bool has(Key key) const { return static_cast<Key>(key & mask) >= prefix; }
};

template <typename Key> struct Shared {
    Key keys[CAPACITY];
    int places[CAPACITY];
    int histogram[BINS];
    int counts[LOADS * WARPS];
    int bin, above, equal, count;
};

// visit(i, key) for every key; several loads are under way at once.
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

// Several keys at once; 0 beyond the end.
template <typename Key, typename KeyAt>
__device__ __forceinline__ void load_keys(const KeyAt& key_at, int size, int base, Key (&keys)[LOADS]) {
#pragma unroll
    for (int load = 0; load < LOADS; ++load) {
        const int i = base + load * THREADS + threadIdx.x;
        keys[load] = i < size ? key_at(i) : Key{0};
    }
}

// The bin, counted over the histogram from the top, in which the k-th key lies: shared.bin, and how many keys are above
// it and in it. Nothing is written where there are fewer than k.
template <typename Key> __device__ void find_bin(int k, int before, Shared<Key>& shared) {
    constexpr int OWNED = BINS / THREADS;
    const int top = BINS - 1 - threadIdx.x * OWNED, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int own = 0;
#pragma unroll
    for (int i = 0; i < OWNED; ++i) own += shared.histogram[top - i];
    int inclusive = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(~0u, inclusive, step);
        if (lane >= step) inclusive += other;
    }
    if (lane == 31) shared.counts[warp] = inclusive;
    __syncthreads();
    int above = before + inclusive - own;
    for (int i = 0; i < warp; ++i) above += shared.counts[i];
    if (above < k && above + own >= k) {
        int bin = top;
        while (above + shared.histogram[bin] < k) above += shared.histogram[bin--];
        shared.bin = bin, shared.above = above, shared.equal = shared.histogram[bin];
    }
    __syncthreads();
}

template <typename Key> __device__ void clear_histogram(Shared<Key>& shared) {
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) shared.histogram[bin] = 0;
    if (threadIdx.x == 0) shared.bin = -1;
    __syncthreads();
}

// Narrow the selection by its next digit; all threads get the same. Bins below `floor` are not counted, which saves most
// atomics: false when the k-th key turns out to lie there.
template <typename Key, typename KeyAt>
__device__ bool next_digit(const KeyAt& key_at, int size, int k, int floor, Selection<Key>& selection,
                           Shared<Key>& shared) {
    clear_histogram(shared);
    const int bits = min(DIGIT_BITS, selection.shift), shift = selection.shift - bits;
    const Key lowest = static_cast<Key>(selection.prefix | static_cast<Key>(static_cast<Key>(floor) << shift));
    for_each_key<Key>(key_at, size, [&](int, Key key) {
        if (key >= lowest && static_cast<Key>(key & selection.mask) == selection.prefix) {
            atomicAdd(&shared.histogram[static_cast<int>(key >> shift) & ((1 << bits) - 1)], 1);
        }
    });
    __syncthreads();
    find_bin(k, selection.above, shared);
    const int bin = shared.bin;
    if (bin < 0) return false;
    selection.prefix = static_cast<Key>(selection.prefix | static_cast<Key>(static_cast<Key>(bin) << shift));
    selection.mask = static_cast<Key>(selection.mask | static_cast<Key>(static_cast<Key>((1 << bits) - 1) << shift));
    selection.above = shared.above, selection.equal = shared.equal, selection.shift = shift;
    __syncthreads();
    return true;
}

// A bin below which the k-th key of a long row hardly lies, from a sample of it.
template <typename Key, typename KeyAt>
__device__ int likely_floor(const KeyAt& key_at, int size, int k, Shared<Key>& shared) {
    if (size < 4 * SAMPLE) return 0;
    clear_histogram(shared);
    const int shift = max(8 * static_cast<int>(sizeof(Key)) - DIGIT_BITS, 0), stride = size / SAMPLE;
    // A warp's worth of neighbours here and there: whole sectors are read anyway.
    for_each_key<Key>([&](int i) { return key_at(i / 32 * 32 * stride + i % 32); }, SAMPLE,
                      [&](int, Key key) { atomicAdd(&shared.histogram[static_cast<int>(key >> shift)], 1); });
    __syncthreads();
    const int wanted = static_cast<int>(2LL * k * SAMPLE / size) + 32;
    if (wanted >= SAMPLE) return 0;
    find_bin(wanted, 0, shared);
    const int floor = shared.bin;
    __syncthreads();
    return floor;
}

// Narrow by one digit after the other until no more than `limit` keys are left, or all digits are known.
template <typename Key, typename KeyAt>
__device__ void narrow(const KeyAt& key_at, int size, int k, int limit, Selection<Key>& selection,
                       Shared<Key>& shared) {
    if (selection.mask == 0 && selection.count() > limit) {
        const int floor = likely_floor(key_at, size, k, shared);
        if (!next_digit(key_at, size, k, floor, selection, shared)) {
            next_digit(key_at, size, k, 0, selection, shared);
        }
    }
    while (selection.count() > limit && selection.shift > 0) next_digit(key_at, size, k, 0, selection, shared);
}

// Walk over a row in order: take(i, key, position) for each key above the selection, and for as many equal ones as are
// still wanted, the first of them. Positions count from 0 in the order of the row.
template <typename Key, typename KeyAt, typename Take>
__device__ void select_in_order(const KeyAt& key_at, int size, int k, const Selection<Key>& selection,
                                Shared<Key>& shared, const Take& take) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const unsigned before = (1u << lane) - 1;
    int above_taken = 0, equal_left = k - selection.above, equal_taken = 0;
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
            // Counts of both in one word: neither exceeds THREADS * LOADS.
            if (lane == 0) shared.counts[load * WARPS + warp] = __popc(above[load]) << 16 | __popc(equal[load]);
        }
        __syncthreads();
        if (warp == 0) {
            constexpr int OWNED = LOADS * WARPS / 32;
            int sums[OWNED], total = 0;
#pragma unroll
            for (int i = 0; i < OWNED; ++i) sums[i] = total, total += shared.counts[lane * OWNED + i];
            int inclusive = total;
#pragma unroll
            for (int step = 1; step < 32; step *= 2) {
                const int other = __shfl_up_sync(~0u, inclusive, step);
                if (lane >= step) inclusive += other;
            }
#pragma unroll
            for (int i = 0; i < OWNED; ++i) shared.counts[lane * OWNED + i] = sums[i] + inclusive - total;
            if (lane == 31) shared.count = inclusive;
        }
        __syncthreads();
#pragma unroll
        for (int load = 0; load < LOADS; ++load) {
            const int counts = shared.counts[load * WARPS + warp];
            const int above_before = (counts >> 16) + __popc(above[load] & before);
            const int equal_before = (counts & 0xffff) + __popc(equal[load] & before);
            const bool is_above = above[load] >> lane & 1, is_equal = equal[load] >> lane & 1;
            if (is_above || (is_equal && equal_before < equal_left)) {
                const int position = above_taken + equal_taken + above_before + min(equal_before, equal_left);
                take(base + load * THREADS + threadIdx.x, keys[load], position);
            }
        }
        const int equal_now = min(shared.count & 0xffff, equal_left);
        above_taken += shared.count >> 16;
        equal_taken += equal_now, equal_left -= equal_now;
        __syncthreads();
    }
}

// Sort (key, place) pairs, largest key first and equal keys by place; count is a power of two.
template <typename Key> __device__ void sort_shared(Key* keys, int* places, int count) {
    for (int width = 2; width <= count; width *= 2) {
        for (int step = width / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < count / 2; i += THREADS) {
                const int low = 2 * i - (i & (step - 1)), high = low + step;
                const bool forwards = (low & width) == 0;
                const Key a = keys[low], b = keys[high];
                const int p = places[low], q = places[high];
                const bool in_order = a > b || (a == b && p < q);
                if (in_order != forwards) {
                    keys[low] = b, keys[high] = a;
                    places[low] = q, places[high] = p;
                }
            }
            __syncthreads();
        }
    }
}

template <typename Key> __device__ __forceinline__ void append(Key key, int place, Shared<Key>& shared) {
    const int position = atomicAdd(&shared.count, 1);
    shared.keys[position] = key, shared.places[position] = place;
}

// Keep those of the keys in shared memory that the selection has.
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
        if (i * THREADS + threadIdx.x < count && selection.has(keys[i])) append(keys[i], places[i], shared);
    }
    __syncthreads();
}

__device__ __forceinline__ int next_power_of_two(int n) {
    return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

template <typename T, bool CONTIGUOUS>
__device__ Source<T, CONTIGUOUS> row_of(const T* x, const Rows& rows, long long row, long long segment) {
    const long long first = segment * rows.segment, size = min(rows.segment, rows.size - first);
    const long long offset = row / rows.inner * rows.x_step + row % rows.inner + first * rows.inner;
    const auto* values = reinterpret_cast<const typename Traits<T>::Key*>(x) + offset;
    return {values, rows.inner, static_cast<int>(first), static_cast<int>(size)};
}

// Write the j-th result of a row for each j.
template <typename T, bool CONTIGUOUS, typename PlaceAt>
__device__ void write_results(T* y, long long* indices, const Rows& rows, long long row,
                              const Source<T, CONTIGUOUS>& source, const PlaceAt& place_at) {
    const long long offset = row / rows.inner * rows.y_step + row % rows.inner;
    auto* values = reinterpret_cast<typename Traits<T>::Key*>(y) + offset;
    for (int j = threadIdx.x; j < rows.k; j += THREADS) {
        const int place = place_at(j);
        values[j * rows.inner] = source.bits(place);
        indices[offset + j * rows.inner] = place;
    }
}

// Of each segment of each row, the indices of its k elements, ascending, into `found`: [row, segment, k].
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS) select_segment(int* __restrict__ found, const T* __restrict__ x, Rows rows) {
    using Key = typename Traits<T>::Key;
    extern __shared__ __align__(16) unsigned char memory[];
    Shared<Key>& shared = *reinterpret_cast<Shared<Key>*>(memory);
    const auto source = row_of<T, CONTIGUOUS>(x, rows, blockIdx.x / rows.segments, blockIdx.x % rows.segments);
    const auto key_at = [&](int i) { return key_of<LARGEST, T>(source.bits(i)); };
    const int k = static_cast<int>(rows.k);
    Selection<Key> selection;
    selection.equal = source.size;
    narrow(key_at, source.size, k, k, selection, shared);
    int* target = found + blockIdx.x * rows.k;
    select_in_order(key_at, source.size, k, selection, shared,
                    [&](int i, Key, int position) { target[position] = source.first + i; });
}

// The k of a row, k at most CAPACITY; of the elements that `found` names, [row, segments, k], unless it is null.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS) top_k(T* __restrict__ y, long long* __restrict__ indices,
                                                 const T* __restrict__ x, const int* __restrict__ found, Rows rows) {
    using Key = typename Traits<T>::Key;
    extern __shared__ __align__(16) unsigned char memory[];
    Shared<Key>& shared = *reinterpret_cast<Shared<Key>*>(memory);
    const int k = static_cast<int>(rows.k);
    const long long row = blockIdx.x;
    auto source = row_of<T, CONTIGUOUS>(x, rows, row, 0);
    source.size = static_cast<int>(found == nullptr ? rows.size : rows.segments * rows.k);
    const int* candidates = found == nullptr ? nullptr : found + row * rows.segments * rows.k;
    const auto place_at = [&](int i) { return candidates == nullptr ? i : __ldg(candidates + i); };
    const auto key_at = [&](int i) { return key_of<LARGEST, T>(source.bits(place_at(i))); };

    Selection<Key> selection;
    selection.equal = source.size;
    narrow(key_at, source.size, k, CAPACITY, selection, shared);
    int count = selection.count();
    if (threadIdx.x == 0) shared.count = 0;
    __syncthreads();
    if (count <= CAPACITY) {
        for_each_key<Key>(key_at, source.size, [&](int i, Key key) {
            if (selection.has(key)) append(key, place_at(i), shared);
        });
        __syncthreads();
        const int worth_sorting = 2 * next_power_of_two(k);
        if (count > worth_sorting && selection.shift > 0) {
            const auto shared_key_at = [&](int i) { return shared.keys[i]; };
            while (selection.count() > worth_sorting && selection.shift > 0) {
                next_digit(shared_key_at, count, k, 0, selection, shared);
            }
            compact(count, selection, shared);
            count = selection.count();
        }
    } else {  // more equal keys than fit; candidates come in the order of their indices too
        count = k;
        select_in_order(key_at, source.size, k, selection, shared, [&](int i, Key key, int position) {
            shared.keys[position] = key, shared.places[position] = place_at(i);
        });
    }
    const int padded = next_power_of_two(count);
    for (int i = count + threadIdx.x; i < padded; i += THREADS) shared.keys[i] = 0, shared.places[i] = 0x7fffffff;
    __syncthreads();
    sort_shared(shared.keys, shared.places, padded);
    write_results(y, indices, rows, row, source, [&](int j) { return shared.places[j]; });
}

// Any k: selects into the workspace, 2 k places for each row, and merges sorted runs there.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS) top_k_large(T* __restrict__ y, long long* __restrict__ indices,
                                                       const T* __restrict__ x, int* workspace, Rows rows) {
    using Key = typename Traits<T>::Key;
    extern __shared__ __align__(16) unsigned char memory[];
    Shared<Key>& shared = *reinterpret_cast<Shared<Key>*>(memory);
    const int k = static_cast<int>(rows.k);
    const auto source = row_of<T, CONTIGUOUS>(x, rows, blockIdx.x, 0);
    const auto key_at = [&](int i) { return key_of<LARGEST, T>(source.bits(i)); };
    int* places = workspace + blockIdx.x * 2 * rows.k;
    int* merged = places + rows.k;

    Selection<Key> selection;
    selection.equal = source.size;
    narrow(key_at, source.size, k, k, selection, shared);
    select_in_order(key_at, source.size, k, selection, shared,
                    [&](int i, Key, int position) { places[position] = i; });
    __syncthreads();
    for (int base = 0; base < k; base += CAPACITY) {
        const int count = min(CAPACITY, k - base), padded = next_power_of_two(count);
        for (int i = threadIdx.x; i < padded; i += THREADS) {
            shared.places[i] = i < count ? places[base + i] : 0x7fffffff;
            shared.keys[i] = i < count ? key_at(shared.places[i]) : Key{0};
        }
        __syncthreads();
        sort_shared(shared.keys, shared.places, padded);
        for (int i = threadIdx.x; i < count; i += THREADS) places[base + i] = shared.places[i];
        __syncthreads();
    }
    // An element's place in the merged run is its own plus how many of the other run come before it; no two pairs of
    // key and place are equal.
    for (long long width = CAPACITY; width < k; width *= 2) {
        for (int i = threadIdx.x; i < k; i += THREADS) {
            const long long run = i / width, pair = run / 2 * 2 * width;
            const int begin = static_cast<int>(min(run % 2 == 0 ? pair + width : pair, static_cast<long long>(k)));
            int low = begin, high = static_cast<int>(min(begin + width, static_cast<long long>(k)));
            const int place = places[i];
            const Key key = key_at(place);
            while (low < high) {
                const int middle = low + (high - low) / 2, other = places[middle];
                const Key other_key = key_at(other);
                if (other_key > key || (other_key == key && other < place)) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            merged[pair + (i - run * width) + (low - begin)] = place;
        }
        __syncthreads();
        int* swapped = places;
        places = merged, merged = swapped;
    }
    write_results(y, indices, rows, blockIdx.x, source, [&](int j) { return places[j]; });
}
