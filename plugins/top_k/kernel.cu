// TopK with one block for a row, for k elements that fit into shared memory. A histogram of one digit shows which bin
// the k-th key is in; this is repeated, from the most significant digit on, until the candidates fit into shared
// memory. There they are sorted, equal ones by index. In split.cu several blocks share a row.

#include "rows.cuh"
#include "select.cuh"

using pluginkit::CAPACITY, pluginkit::COUNTER_BYTES;  // from launches.py

constexpr int SAMPLE = THREADS * LOADS;
static_assert((CAPACITY & (CAPACITY - 1)) == 0, "sort_shared pads to a power of two");

template <typename Key> struct Shared {
    Key keys[CAPACITY];
    int places[CAPACITY];
    int count;
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

// Return a bin below which the k-th key of a long row is unlikely to be, estimated from a sample of the row.
template <typename Key, typename KeyAt>
__device__ int likely_floor(const KeyAt& key_at, int size, int k, Histogram& histogram) {
    if (size < 4 * SAMPLE) return 0;
    histogram.clear();
    const Selection<Key> nothing;
    const int stride = size / SAMPLE;
    // The sample takes 32 contiguous elements at a time, since whole sectors are read anyway.
    for_each_key<Key>([&](int i) { return key_at(i / 32 * 32 * stride + i % 32); }, SAMPLE,
                      [&](int, Key key) { atomicAdd(&histogram.bins[nothing.next_digit(key)], 1); });
    __syncthreads();
    const int wanted = static_cast<int>(2LL * k * SAMPLE / size) + 32;
    if (wanted >= SAMPLE) return 0;
    histogram.find_bin(wanted, 0);
    const int floor = histogram.bin;
    __syncthreads();
    return floor;
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

__device__ __forceinline__ int next_power_of_two(int n) {
    return n <= 1 ? 1 : 1 << (32 - __clz(n - 1));
}

// Sort (key, position) pairs in shared memory, which has room up to the next power of two. The largest key comes first,
// and equal keys are in the order of their positions.
template <typename Key> __device__ void sort_shared(Key* keys, int* places, int count) {
    const int padded = next_power_of_two(count);
    for (int i = count + threadIdx.x; i < padded; i += THREADS) keys[i] = 0, places[i] = 0x7fffffff;
    __syncthreads();
    for (int width = 2; width <= padded; width *= 2) {
        for (int step = width / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < padded / 2; i += THREADS) {
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

template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    top_k(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    extern __shared__ __align__(16) unsigned char memory[];
    static_assert(sizeof(Shared<Key>) <= CAPACITY * (sizeof(Key) + sizeof(int)) + COUNTER_BYTES);
    Shared<Key>& shared = *reinterpret_cast<Shared<Key>*>(memory);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, blockIdx.x, 0);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    const int size = source.size, k = static_cast<int>(rows.k);

    Selection<Key> selection;
    selection.equal = size;
    if (size > CAPACITY) {
        const int floor = likely_floor<Key>(key_at, size, k, shared.histogram);
        if (!narrow_once(key_at, size, k, floor, selection, shared.histogram)) {
            narrow_once(key_at, size, k, 0, selection, shared.histogram);
        }
    }
    while (selection.count() > CAPACITY && selection.shift > 0) {
        narrow_once(key_at, size, k, 0, selection, shared.histogram);
    }
    int count = selection.count();
    if (threadIdx.x == 0) shared.count = 0;
    __syncthreads();
    if (count <= CAPACITY) {
        for_each_key<Key>(key_at, size, [&](int i, Key key) {
            if (selection.has(key)) shared.append(key, i);
        });
        __syncthreads();
        const int worth_sorting = 2 * next_power_of_two(k);
        if (count > worth_sorting && selection.shift > 0) {
            const auto shared_key_at = [&](int i) { return shared.keys[i]; };
            while (selection.count() > worth_sorting && selection.shift > 0) {
                narrow_once(shared_key_at, count, k, 0, selection, shared.histogram);
            }
            compact(count, selection, shared);
            count = selection.count();
        }
    } else {  // more equal keys than shared memory holds
        count = k;
        select_in_order(key_at, size, k, selection, Met{}, shared.walk, [&](int i, Key key, int position) {
            shared.keys[position] = key, shared.places[position] = i;
        });
    }
    sort_shared(shared.keys, shared.places, count);
    const auto target = target_of(y, indices, rows, blockIdx.x);
    for (int j = threadIdx.x; j < k; j += THREADS) target.write(j, source.bits(shared.places[j]), shared.places[j]);
}
