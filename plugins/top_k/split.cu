// TopK for any k, where several blocks share a row and each takes a segment of it:
//
//   select_keys  finds digits of the k-th key of each row until few keys may be among the first k, and collects these, its
//                candidates, in the order of their indices
//   rank_keys    sorts the candidates if they are few, and writes the results; otherwise
//   sort_tiles   sorts tiles of them (sort_tiles.cu); if there is only one, it writes the results
//   merge_runs   merges up to FAN sorted runs into one; the last time it writes the results
//
// select_keys does in one launch what each need all keys of a row: there are blocks for the first digit, for the second,
// and so on. Blocks take these tasks in the order in which they start. So what a block waits for has started before.

#include "candidates.cuh"
#include "../_cuda/radix_select.cuh"

using pluginkit::DIGIT_BYTES, pluginkit::FAN, pluginkit::PARTS, pluginkit::RANK_THREADS;  // from launches.py

// What the blocks of a row know of one digit of the k-th key; all zero at the start.
struct Digit {
    unsigned long long prefix;  // the digits before it
    int above;                  // keys whose digits before it are larger
    int counted;                // blocks that have counted it
};

static_assert(sizeof(Digit) == DIGIT_BYTES);

// What a segment publishes once it has counted its candidates: this bit, those above the k-th key and, in the low half,
// those equal to it, as far as its digits are known.
constexpr unsigned long long MET = 1ull << 63;

template <typename Key> constexpr int DIGITS = (8 * sizeof(Key) + DIGIT_BITS - 1) / DIGIT_BITS;

// Wait until all blocks of a row have counted a digit. Return false if its candidates are chosen without it.
__device__ __forceinline__ bool wait_for(const volatile Digit& known, int digit, const volatile Candidates& candidates,
                                         const Rows& rows) {
    bool is_chosen = false;
    if (threadIdx.x == 0) {
        while (known.counted < rows.segments && !is_chosen) {
            const int digits = candidates.digits;
            is_chosen = digits != 0 && digits <= digit;
        }
        __threadfence();
    }
    return __syncthreads_or(is_chosen) == 0;
}

// Return what is known of the k-th key with a digit that has been counted.
template <typename Key>
__device__ Selection<Key> selection_with(const volatile Digit& known, int digit, const volatile int* counts, int k,
                                         Histogram& histogram) {
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) histogram.bins[bin] = counts[bin];
    Selection<Key> selection;
    for (int earlier = 0; earlier < digit; ++earlier) selection.know_next(0);
    selection.prefix = static_cast<Key>(known.prefix), selection.above = known.above;
    __syncthreads();
    histogram.find_bin(k, selection.above);
    selection.know_next(histogram.bin);
    selection.above = histogram.above, selection.equal = histogram.equal;
    __syncthreads();
    return selection;
}

// Add this segment's keys with the known digits to the counts of the next digit.
template <typename Key, typename KeyAt>
__device__ void count_digit(const KeyAt& key_at, int size, const Selection<Key>& selection, int* counts, Digit& known,
                            bool is_first, Histogram& histogram) {
    histogram.clear();
    for_each_key<Key>(key_at, size, [&](int, Key key) {
        if (static_cast<Key>(key & selection.mask) == selection.prefix) {
            atomicAdd(&histogram.bins[selection.next_digit(key)], 1);
        }
    });
    __syncthreads();
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) {
        if (histogram.bins[bin] != 0) atomicAdd(counts + bin, histogram.bins[bin]);
    }
    if (is_first && threadIdx.x == 0) known.prefix = selection.prefix, known.above = selection.above;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(&known.counted, 1);
}

// Count this segment's candidates, publish that for later segments, and return the sum of earlier ones. `is_empty`: it has
// none.
template <typename Key, typename KeyAt>
__device__ Met met_before(const KeyAt& key_at, int size, const Selection<Key>& selection,
                          volatile unsigned long long* published, int segment, bool& is_empty) {
    __shared__ Met counts[WARPS], sum;
    Met own;
    for_each_key<Key>(key_at, size, [&](int, Key key) {
        const Key known = static_cast<Key>(key & selection.mask);
        own.above += known > selection.prefix, own.equal += known == selection.prefix;
    });
    own = {sum_over_warp(own.above), sum_over_warp(own.equal)};
    if (threadIdx.x % 32 == 0) counts[threadIdx.x / 32] = own;
    is_empty = __syncthreads_or(own.above + own.equal) == 0;
    if (threadIdx.x < 32) {
        own = threadIdx.x < WARPS ? counts[threadIdx.x] : Met{};
        own = {sum_over_warp(own.above), sum_over_warp(own.equal)};
        if (threadIdx.x == 0) {
            published[segment] = MET | static_cast<unsigned long long>(own.above) << 32 | static_cast<unsigned>(own.equal);
        }
        Met before;
        for (int other = threadIdx.x; other < segment && !is_empty; other += 32) {
            unsigned long long told;
            do { told = published[other]; } while (told == 0);
            before.above += static_cast<int>((told & ~MET) >> 32), before.equal += static_cast<int>(told);
        }
        before = {sum_over_warp(before.above), sum_over_warp(before.equal)};
        if (threadIdx.x == 0) sum = before;
    }
    __syncthreads();
    return sum;
}

// Write the candidates of each row, and their indices, to keys and places. `histograms` has BINS ints and `digits` an element
// for each digit of each row, `candidates` an element for each row, `published` one for each of the `blocks` segments of all
// rows; they and `ticket` are all zero at the start.
template <typename T, bool LARGEST, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    select_keys(Bits<T>* __restrict__ keys, int* __restrict__ places, Candidates* candidates, int* histograms,
                Digit* digits, unsigned long long* published, int* ticket, const T* __restrict__ x, Rows rows,
                int blocks) {
    using Key = Bits<T>;
    __shared__ Histogram histogram;
    __shared__ Walk walk;
    __shared__ int task;
    if (threadIdx.x == 0) task = atomicAdd(ticket, 1);
    __syncthreads();
    const int digit = task / blocks, block = task % blocks;  // as many digits are known
    const long long row = block / rows.segments;
    const int segment = static_cast<int>(block % rows.segments), k = static_cast<int>(rows.k);
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, segment);
    const auto key_at = [&](int i) { return wanted_key_of<LARGEST, T>(source.bits(i)); };
    digits += row * DIGITS<Key>, histograms += row * DIGITS<Key> * BINS;

    volatile Candidates& found = candidates[row];
    Selection<Key> selection;
    if (digit > 0) {
        const int last = digit - 1;
        if (!wait_for(digits[last], last, found, rows)) return;
        selection = selection_with<Key>(digits[last], last, histograms + last * BINS, k, histogram);
    }
    const long long room = room_of(rows);
    const bool are_few = digit > 0 && selection.count() <= room;
    if (!are_few && digit < DIGITS<Key>) {
        count_digit(key_at, source.size, selection, histograms + digit * BINS, digits[digit], segment == 0, histogram);
        return;
    }
    const int chosen = are_few ? selection.count() : k;
    if (segment == 0 && threadIdx.x == 0) found.count = chosen, found.digits = digit;
    bool is_empty;
    published += row * rows.segments;
    const Met before = met_before(key_at, source.size, selection, published, segment, is_empty);
    if (is_empty) return;
    keys += row * room, places += row * room;
    select_in_order(key_at, source.size, chosen, selection, before, walk,
                    [&](int i, Key key, int position) { keys[position] = key, places[position] = source.first + i; });
}

// Sort the candidates of a row and write the results: PARTS threads count the keys that come before one of them. Equal keys
// are in the order of their indices.
template <typename T, bool CONTIGUOUS>
__global__ void __launch_bounds__(RANK_THREADS)
    rank_keys(T* __restrict__ y, long long* __restrict__ indices, const Bits<T>* __restrict__ keys,
              const int* __restrict__ places, const Candidates* __restrict__ candidates, const T* __restrict__ x, Rows rows,
              int blocks) {
    using Key = Bits<T>;
    constexpr int OWNED = RANK_THREADS / PARTS;
    __shared__ Key others[RANK_THREADS];
    const long long row = blockIdx.x / blocks, offset = row * room_of(rows);
    const int first = static_cast<int>(blockIdx.x % blocks) * OWNED, count = candidates[row].count, thread = threadIdx.x;
    const int i = first + thread / PARTS, part = thread % PARTS;
    if (first >= count) return;
    keys += offset, places += offset;
    const Key key = i < count ? keys[i] : Key{0};
    int before = 0;
    for (int base = 0; base < count; base += RANK_THREADS) {
        __syncthreads();
        others[thread] = base + thread < count ? keys[base + thread] : Key{0};
        __syncthreads();
        if (base + RANK_THREADS <= first) {
#pragma unroll
            for (int j = 0; j < OWNED; ++j) before += others[j * PARTS + part] >= key;
        } else if (base > first) {
#pragma unroll
            for (int j = 0; j < OWNED; ++j) before += others[j * PARTS + part] > key;
        } else {
#pragma unroll
            for (int j = 0; j < OWNED; ++j) {
                const Key other = others[j * PARTS + part];
                before += other > key || (other == key && base + j * PARTS + part < i);
            }
        }
    }
#pragma unroll
    for (int step = PARTS / 2; step > 0; step /= 2) before += __shfl_xor_sync(~0u, before, step);
    if (i >= count || part != 0 || before >= rows.k) return;
    const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
    target_of(y, indices, rows, row).write(before, source.bits(places[i]), places[i]);
}

// Merge runs of `width` keys; each thread finds the position of one key among the other runs. Equal keys in an earlier
// run have smaller indices, so only keys are compared.
template <typename T, bool CONTIGUOUS>
__global__ void __launch_bounds__(THREADS)
    merge_runs(T* __restrict__ y, long long* __restrict__ indices, Bits<T>* __restrict__ merged_keys,
               int* __restrict__ merged_places, const Bits<T>* __restrict__ keys,
               const int* __restrict__ places, const Candidates* __restrict__ candidates, const T* __restrict__ x,
               Rows rows, int blocks, long long width) {
    using Key = Bits<T>;
    const long long row = blockIdx.x / blocks, room = room_of(rows), offset = row * room, count = candidates[row].count;
    const long long i = blockIdx.x % blocks * static_cast<long long>(THREADS) + threadIdx.x;
    if (i >= count) return;
    keys += offset, places += offset;
    const long long group = i / (width * FAN) * width * FAN;
    const int own = static_cast<int>((i - group) / width), place = places[i];
    const Key key = keys[i];
    int low[FAN], left[FAN];  // for each other run, how many keys come before, and how many are not compared yet
#pragma unroll
    for (int run = 0; run < FAN; ++run) {
        const long long begin = group + run * width;
        low[run] = 0, left[run] = run == own ? 0 : static_cast<int>(max(0LL, min(width, count - begin)));
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
    if (width * FAN < room) {
        merged_keys[offset + position] = key, merged_places[offset + position] = place;
    } else if (position < rows.k) {
        const auto source = source_of<T, CONTIGUOUS>(x, rows, row, 0);
        target_of(y, indices, rows, row).write(static_cast<int>(position), source.bits(place), place);
    }
}
