// TopK with one block for a row, for k elements that fit into shared memory. It collects the keys that are as large as a
// key of a sample. If the sample misleads, a histogram of one digit shows which bin the k-th key is in; this is repeated,
// from the most significant digit on, until the candidates fit into shared memory. There they are sorted, equal ones by
// index. In split.cu several blocks share a row.

#include "collect.cuh"

using pluginkit::COUNTER_BYTES;  // from launches.py

// Write the first k of a row that no sample helps with.
template <bool LARGEST, typename T, bool CONTIGUOUS>
__device__ void write_by_digits(const Source<T, CONTIGUOUS>& source, const Target<T>& target, int k, int floor,
                                Shared<Bits<T>>& shared) {
    using Key = Bits<T>;
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    const int size = source.size;
    Selection<Key> selection;
    selection.equal = size;
    if (size > CAPACITY && !narrow_once(key_at, size, k, floor, selection, shared.histogram)) {
        narrow_once(key_at, size, k, 0, selection, shared.histogram);
    }
    while (selection.count() > CAPACITY && selection.shift > 0) {
        narrow_once(key_at, size, k, 0, selection, shared.histogram);
    }
    int count = selection.count();
    if (threadIdx.x == 0) shared.count = 0;
    __syncthreads();
    if (size <= CAPACITY) {
        for_each_key<Key>(key_at, size, [&](int i, Key key) { shared.keys[i] = key, shared.places[i] = i; });
        __syncthreads();
    } else if (count <= CAPACITY) {
        for_each_key<Key>(key_at, size, [&](int i, Key key) {
            if (selection.has(key)) shared.append(key, i);
        });
        __syncthreads();
    } else {  // more equal keys than shared memory holds
        count = k, selection.shift = 0;
        select_in_order(key_at, size, k, selection, Met{}, shared.walk, [&](int i, Key key, int position) {
            shared.keys[position] = key, shared.places[position] = i;
        });
    }
    write_first(count, k, selection, source, target, shared);
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
    const auto target = target_of(y, indices, rows, blockIdx.x);
    const int size = source.size, k = static_cast<int>(rows.k);

    Guess<Key> guess;
    if (size >= 4 * SAMPLE) guess = guess_of<Key>(key_at, size, k, shared);
    if (guess.advice != Advice::none) {
        if (threadIdx.x == 0) shared.count = shared.equal = 0;
        __syncthreads();
        if (guess.advice == Advice::few) {
            append_from<LARGEST>(guess.key, source, key_at, shared);
        } else {
            append_above(guess.key, key_at, size, shared);
        }
        __syncthreads();
        int count = shared.count;
        if (count < k && count + shared.equal >= k) {
            take_ties(guess.key, key_at, size, k - count, count, shared);
            count = k;
        }
        if (count >= k && count <= CAPACITY) {
            Selection<Key> selection;
            selection.equal = count;
            write_first(count, k, selection, source, target, shared);
            return;
        }
        __syncthreads();
    }
    write_by_digits<LARGEST>(source, target, k, guess.floor, shared);
}
