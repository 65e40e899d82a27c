// What split.cu tries first, for few results of rows that are not too long for a sample:
//
//   guess_rows      samples each row
//   filter_rows     collects the keys of each segment that are as large as a key of the sample
//   finish_rows     writes the results of each row if enough keys have been collected, and not too many

#include "row_state.cuh"

template <typename Key> __device__ Shared<Key>& dynamic_memory() {
    extern __shared__ __align__(16) unsigned char memory[];
    return *reinterpret_cast<Shared<Key>*>(memory);
}

template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS) guess_rows(Row* states, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    rows.segment = rows.size;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, blockIdx.x, 0);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    const Guess<Key> guess =
        guess_of<Key>(key_at, source.size, static_cast<int>(rows.k), dynamic_memory<Key>());
    if (threadIdx.x == 0) states[blockIdx.x].advice = guess.advice, states[blockIdx.x].lowest = guess.key;
}

// `all_keys` and `all_places` have room for CAPACITY keys of each row, `met` a count for each segment.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    filter_rows(Row* states, Met* __restrict__ met, Bits<T>* __restrict__ all_keys, int* __restrict__ all_places,
                const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    __shared__ int begin;
    Shared<Key>& shared = dynamic_memory<Key>();
    const long long row = blockIdx.x / rows.segments;
    Row& state = states[row];
    const Advice advice = state.advice;
    if (advice == Advice::none) return;
    const Key lowest = static_cast<Key>(state.lowest);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, blockIdx.x % rows.segments);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    if (threadIdx.x == 0) shared.count = shared.equal = 0;
    __syncthreads();
    if (advice == Advice::few) {
        append_from<LARGEST>(lowest, source, key_at, shared);
    } else {
        append_above(lowest, key_at, source.size, shared);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        begin = atomicAdd(&state.collected, shared.count);
        if (shared.equal != 0) atomicAdd(&state.equal, shared.equal);
        met[blockIdx.x].equal = shared.equal;
    }
    __syncthreads();
    const int count = min(shared.count, CAPACITY - begin);
    for (int i = threadIdx.x; i < count; i += THREADS) {
        all_keys[row * CAPACITY + begin + i] = shared.keys[i];
        all_places[row * CAPACITY + begin + i] = source.first + shared.places[i];
    }
}

template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    finish_rows(T* __restrict__ y, long long* __restrict__ indices, Row* states, const Met* __restrict__ met,
                const Bits<T>* __restrict__ all_keys, const int* __restrict__ all_places, const T* __restrict__ x,
                Rows rows) {
    using Key = Bits<T>;
    Shared<Key>& shared = dynamic_memory<Key>();
    const long long row = blockIdx.x;
    Row& state = states[row];
    const int k = static_cast<int>(rows.k), collected = state.collected;
    if (state.advice == Advice::none || collected > CAPACITY || collected + state.equal < k) return;
    all_keys += row * CAPACITY, all_places += row * CAPACITY;
    for (int i = threadIdx.x; i < collected; i += THREADS) shared.keys[i] = all_keys[i], shared.places[i] = all_places[i];
    int count = collected;
    for (int segment = 0; count < k; ++segment) {  // of equal keys take the first
        const int equal = met[row * rows.segments + segment].equal, taken = min(equal, k - count);
        if (equal == 0) continue;
        const auto source = source_of<T, CONTIGUOUS>(x, rows, row, segment);
        const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
        take_ties(static_cast<Key>(state.lowest), key_at, source.size, taken, source.first, count, shared);
        count += taken;
    }
    __syncthreads();
    Selection<Key> selection;
    selection.equal = count;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    write_first(count, k, selection, source, target_of(y, indices, rows, row), shared);
    if (threadIdx.x == 0) state.is_finished = 1;
}
