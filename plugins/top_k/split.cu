// TopK for any k, where several blocks share a row and each takes a segment of it:
//
//   count_digits    runs for each digit, the most significant first: counts this digit's values among the keys whose
//                   earlier digits equal the k-th key's; the last block of a row finds this digit of the k-th key
//   count_segment   counts the keys of a segment that are above the k-th key, and those equal to it
//   gather          collects the k keys of a row, in the order of their indices
//   sort_few        sorts these keys and writes the results, if they are few; otherwise
//   sort_tiles      sorts tiles of these keys (sort_tiles.cu); if there is only one, it writes the results
//   merge_runs      merges up to FAN sorted runs into one; the last time it writes the results

#include "rows.cuh"
#include "sort_shared.cuh"
#include "../_cuda/radix_select.cuh"

using pluginkit::FAN, pluginkit::FEW_SORTED, pluginkit::MET_BYTES, pluginkit::STATE_BYTES;  // from launches.py

// What has been found of a row's k-th key; all zero at the start.
struct Row {
    unsigned long long prefix;  // its known digits
    int above;                  // keys above it
    int done;                   // blocks that have counted
};
static_assert(sizeof(Row) == STATE_BYTES && sizeof(Met) == MET_BYTES);

template <typename Key> __device__ Selection<Key> selection_of(const Row& row, int digits) {
    Selection<Key> selection;
    for (int digit = 0; digit < digits; ++digit) selection.know_next(0);
    selection.prefix = static_cast<Key>(row.prefix);
    selection.above = row.above;
    return selection;
}

// `histograms` has BINS ints for each row, which are zero before and after.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    count_digits(int* histograms, Row* known, const T* __restrict__ x, Rows rows, int digits) {
    using Key = Bits<T>;
    __shared__ Histogram histogram;
    __shared__ bool is_last;
    const long long row = blockIdx.x / rows.segments;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, blockIdx.x % rows.segments);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    auto selection = selection_of<Key>(known[row], digits);

    histogram.clear();
    for_each_key<Key>(key_at, source.size, [&](int, Key key) {
        if (static_cast<Key>(key & selection.mask) == selection.prefix) {
            atomicAdd(&histogram.bins[selection.next_digit(key)], 1);
        }
    });
    __syncthreads();
    int* total = histograms + row * BINS;
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) {
        if (histogram.bins[bin] != 0) atomicAdd(total + bin, histogram.bins[bin]);
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(&known[row].done, 1) == rows.segments - 1;
    __syncthreads();
    if (!is_last) return;
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) histogram.bins[bin] = atomicExch(total + bin, 0);
    __syncthreads();
    histogram.find_bin(static_cast<int>(rows.k), selection.above);
    if (threadIdx.x == 0) {
        selection.know_next(histogram.bin);
        known[row] = {selection.prefix, histogram.above, 0};
    }
}

// Count the keys of a segment above the k-th key and equal to it.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    count_segment(Met* __restrict__ met, const Row* __restrict__ known, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    __shared__ Met counts[WARPS];
    const long long row = blockIdx.x / rows.segments;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, blockIdx.x % rows.segments);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    const Key kth = static_cast<Key>(known[row].prefix);
    Met own;
    for_each_key<Key>(key_at, source.size, [&](int, Key key) { own.above += key > kth, own.equal += key == kth; });
    own = {sum_over_warp(own.above), sum_over_warp(own.equal)};
    if (threadIdx.x % 32 == 0) counts[threadIdx.x / 32] = own;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (int warp = 1; warp < WARPS; ++warp) own.above += counts[warp].above, own.equal += counts[warp].equal;
    met[blockIdx.x] = own;
}

// Write the keys that are selected, and their indices, to keys and places, which are [rows, k].
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    gather(Bits<T>* __restrict__ keys, int* __restrict__ places, const Met* __restrict__ met,
           const Row* __restrict__ known, const T* __restrict__ x, Rows rows) {
    using Key = Bits<T>;
    __shared__ Walk walk;
    const long long row = blockIdx.x / rows.segments;
    const int segment = static_cast<int>(blockIdx.x % rows.segments);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, segment);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    Met before;
    for (int i = threadIdx.x % 32; i < segment; i += 32) {
        const Met other = met[row * rows.segments + i];
        before.above += other.above, before.equal += other.equal;
    }
    before = {sum_over_warp(before.above), sum_over_warp(before.equal)};
    const auto selection = selection_of<Key>(known[row], (8 * sizeof(Key) + DIGIT_BITS - 1) / DIGIT_BITS);
    keys += row * rows.k, places += row * rows.k;
    select_in_order(key_at, source.size, static_cast<int>(rows.k), selection, before, walk,
                    [&](int i, Key key, int position) { keys[position] = key, places[position] = source.first + i; });
}

// Sort the keys of a row, which gather has collected, and write the results. CUB's sort_tiles is slower for so few.
template <typename T, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    sort_few(T* __restrict__ y, long long* __restrict__ indices, const Bits<T>* __restrict__ all_keys,
             const int* __restrict__ all_places, const T* __restrict__ x, Rows rows) {
    __shared__ Bits<T> keys[FEW_SORTED];
    __shared__ int places[FEW_SORTED];
    const long long row = blockIdx.x;
    const int k = static_cast<int>(rows.k);
    for (int i = threadIdx.x; i < k; i += THREADS) {
        keys[i] = all_keys[row * k + i], places[i] = all_places[row * k + i];
    }
    sort_shared(keys, places, k);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    const auto target = target_of(y, indices, rows, row);
    for (int i = threadIdx.x; i < k; i += THREADS) target.write(i, source.bits(places[i]), places[i]);
}

// Merge runs of `width` keys; each thread finds the position of one key among the other runs. Equal keys in an earlier
// run have smaller indices, so only keys are compared.
template <typename T, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    merge_runs(T* __restrict__ y, long long* __restrict__ indices, Bits<T>* __restrict__ merged_keys,
               int* __restrict__ merged_places, const Bits<T>* __restrict__ keys,
               const int* __restrict__ places, const T* __restrict__ x, Rows rows, int blocks, long long width) {
    using Key = Bits<T>;
    const long long row = blockIdx.x / blocks, k = rows.k, offset = row * k;
    const long long i = blockIdx.x % blocks * static_cast<long long>(THREADS) + threadIdx.x;
    if (i >= k) return;
    keys += offset, places += offset;
    const long long group = i / (width * FAN) * width * FAN;
    const int own = static_cast<int>((i - group) / width), place = places[i];
    const Key key = keys[i];
    int low[FAN], left[FAN];  // for each other run, how many keys come before, and how many are not compared yet
#pragma unroll
    for (int run = 0; run < FAN; ++run) {
        const long long begin = group + run * width;
        low[run] = 0, left[run] = run == own ? 0 : static_cast<int>(max(0LL, min(width, k - begin)));
    }
    for (long long most = width; most > 0; most /= 2) {  // all runs at once, so that their loads overlap
#pragma unroll
        for (int run = 0; run < FAN; ++run) {
            if (left[run] == 0) continue;
            const int half = left[run] / 2;
            const Key other = keys[group + run * width + low[run] + half];
            const bool is_before = run < own ? other >= key : other > key;
            low[run] += is_before ? half + 1 : 0;
            left[run] = is_before ? left[run] - half - 1 : half;
        }
    }
    long long position = i - own * width;
#pragma unroll
    for (int run = 0; run < FAN; ++run) position += low[run];
    if (width * FAN < k) {
        merged_keys[offset + position] = key, merged_places[offset + position] = place;
    } else {
        const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
        target_of(y, indices, rows, row).write(static_cast<int>(position), source.bits(place), place);
    }
}
