// Choose boxes in the order of their scores, a chunk of them at a time:
//
//   compare         marks the boxes of a chunk that overlap a box of an earlier chunk that was chosen, and writes for
//                   each box of the chunk a mask of the later boxes in the chunk that it overlaps
//   choose          for each segment one block goes through the masks, 64 boxes at a time, and lists the chosen boxes
//   write_indices   writes the lists of all segments one after another
//
// A segment is one class of one image. Chunks after the last box, or once enough are chosen, only cost their launches.

#include "boxes.cuh"

using pluginkit::CHUNK, pluginkit::CHOOSE_THREADS, pluginkit::SLICE, pluginkit::THREADS,
    pluginkit::WORD;  // from launches.py

using Word = unsigned long long;  // WORD bits of a mask
constexpr int LANES_OF_ROW = THREADS / WORD;

// One chunk of every segment.
struct Chunk {
    int boxes;       // of a segment
    int classes;     // segments of an image
    int most;        // boxes that may be chosen of a segment
    int first;       // position of the chunk's first box in the order
    int size;        // room for boxes in the chunk; a multiple of a word
    int mark_words;  // 32-bit words of a segment's marks
};

// The state of a segment when a chunk begins.
struct Segment {
    int limit;   // the most boxes to choose
    int chosen;  // boxes chosen so far
    int count;   // boxes in the chunk; 0 if there is nothing to do
};

__device__ __forceinline__ Segment segment_at(int segment, const int* chosen, const int* runs, const long long* most,
                                              const Chunk& chunk) {
    const long long wanted = max(0LL, min(*most, static_cast<long long>(chunk.most)));
    Segment found{static_cast<int>(wanted), chosen[segment], 0};
    if (found.chosen < found.limit) found.count = max(0, min(runs[segment] - chunk.first, chunk.size));
    return found;
}

__device__ __forceinline__ int box_of(Word key) { return static_cast<int>(static_cast<unsigned>(key)); }

// Write the masks of 64 boxes against 64 others of the chunk. Several lanes take a row.
template <bool CENTER>
__device__ __forceinline__ void compare_tile(Word* __restrict__ masks, const Word* __restrict__ order,
                                             const float4* __restrict__ boxes, int row_word, int column_word,
                                             int count, int words, float threshold) {
    __shared__ Box columns[WORD];
    __syncthreads();
    if (threadIdx.x < WORD) {
        const int column = column_word * WORD + threadIdx.x;
        columns[threadIdx.x] = column < count ? box_at<CENTER>(boxes, box_of(order[column])) : Box{};
    }
    __syncthreads();
    const int lane = threadIdx.x % LANES_OF_ROW, row = threadIdx.x / LANES_OF_ROW;
    const int position = row_word * WORD + row;
    const Box own = position < count ? box_at<CENTER>(boxes, box_of(order[position])) : Box{};
    Word mask = 0;
#pragma unroll 4
    for (int column = lane; column < WORD; column += LANES_OF_ROW) {
        mask |= static_cast<Word>(is_overlapping(own, columns[column], threshold)) << column;
    }
#pragma unroll
    for (int step = 1; step < LANES_OF_ROW; step *= 2) mask |= __shfl_xor_sync(~0u, mask, step);
    if (row_word == column_word) mask &= ~(Word{1} << row);
    if (lane == 0) masks[(static_cast<long long>(row_word) * words + column_word) * WORD + row] = mask;
}

// Mark those of THREADS boxes of the chunk that overlap any of a slice of the boxes chosen in earlier chunks.
template <bool CENTER>
__device__ __forceinline__ void mark_overlapping(unsigned* __restrict__ marks, const Word* __restrict__ order,
                                                 const float4* __restrict__ boxes, const int* __restrict__ list,
                                                 int listed, int first, int count, float threshold) {
    __shared__ Box others[THREADS];
    const int position = first + threadIdx.x;
    const bool is_there = position < count;
    const Box own = is_there ? box_at<CENTER>(boxes, box_of(order[position])) : Box{};
    bool is_marked = !is_there;
    for (int at = 0; at < listed; at += THREADS) {
        if (__syncthreads_and(is_marked)) break;  // also before the boxes in shared memory are replaced
        const int size = min(THREADS, listed - at);
        if (static_cast<int>(threadIdx.x) < size) others[threadIdx.x] = box_at<CENTER>(boxes, list[at + threadIdx.x]);
        __syncthreads();
        for (int i = 0; i < size && !is_marked; ++i) is_marked = is_overlapping(own, others[i], threshold);
    }
    const unsigned marked = __ballot_sync(~0u, is_marked && is_there);
    if (threadIdx.x % 32 == 0 && marked != 0) atomicOr(marks + position / 32, marked);
    __syncthreads();
}

template <bool CENTER>
__global__ void __launch_bounds__(THREADS)
    compare(Word* __restrict__ masks, unsigned* __restrict__ marks, const Word* __restrict__ order,
            const int* __restrict__ runs, const int* __restrict__ lists, const int* __restrict__ chosen,
            const float4* __restrict__ boxes, const long long* __restrict__ most, const float* iou_threshold,
            Chunk chunk) {
    const int segment = blockIdx.x;
    const Segment known = segment_at(segment, chosen, runs, most, chunk);
    if (known.count == 0) return;
    const float threshold = iou_threshold == nullptr ? 0.0f : *iou_threshold;
    const int words = chunk.size / WORD, used = (known.count + WORD - 1) / WORD;
    order += static_cast<long long>(segment) * chunk.boxes + chunk.first;
    boxes += static_cast<long long>(segment / chunk.classes) * chunk.boxes;
    masks += static_cast<long long>(segment) * words * words * WORD;
    for (int tile = blockIdx.y; tile < used * used; tile += gridDim.y) {
        const int row = tile / used, column = tile % used;
        if (row <= column) compare_tile<CENTER>(masks, order, boxes, row, column, known.count, words, threshold);
    }
    marks += static_cast<long long>(segment) * chunk.mark_words;
    lists += static_cast<long long>(segment) * chunk.most;
    const int groups = (known.count + THREADS - 1) / THREADS;
    const int pieces = (known.chosen + SLICE - 1) / SLICE * groups;
    for (int piece = blockIdx.y; piece < pieces; piece += gridDim.y) {
        const int begin = piece / groups * SLICE;
        mark_overlapping<CENTER>(marks, order, boxes, lists + begin, min(SLICE, known.chosen - begin),
                                 piece % groups * THREADS, known.count, threshold);
    }
}

// Return which candidates of a word are chosen. A lane has the masks of rows `lane` and `lane + 32` against the word
// itself. Every round decides at least the first undecided box: a box is out if an earlier chosen box overlaps it, and
// chosen if no earlier undecided box does. One warp calls this.
__device__ __forceinline__ Word choose_in_word(Word candidates, Word low_row, Word high_row) {
    const int lane = threadIdx.x % 32;
    const Word low = Word{1} << lane, high = low << 32;
    low_row &= low - 1, high_row &= high - 1;  // overlapping is symmetric: those before it
    Word undecided = candidates, chosen = 0;
    while (undecided != 0) {
        const bool is_low_open = undecided & low, is_high_open = undecided & high;
        const bool is_low_out = low_row & chosen, is_high_out = high_row & chosen;
        const bool chooses_low = is_low_open && !is_low_out && (low_row & undecided) == 0;
        const bool chooses_high = is_high_open && !is_high_out && (high_row & undecided) == 0;
        const Word low_out = __ballot_sync(~0u, is_low_open && is_low_out);
        const Word high_out = __ballot_sync(~0u, is_high_open && is_high_out);
        const Word new_low = __ballot_sync(~0u, chooses_low), new_high = __ballot_sync(~0u, chooses_high);
        const Word newly = new_low | new_high << 32;
        chosen |= newly;
        undecided &= ~(newly | low_out | high_out << 32);
    }
    return chosen;
}

// Return the lowest `count` bits that are set.
__device__ __forceinline__ Word lowest_bits(Word bits, int count) {
    Word rest = bits;
    for (int i = 0; i < count; ++i) rest &= rest - 1;
    return bits & ~rest;
}

// A warp owns the words whose number modulo the number of warps is its own. It loads its masks before it knows which
// boxes are chosen, to hide the latency.
__global__ void __launch_bounds__(CHOOSE_THREADS)
    choose(int* __restrict__ lists, int* __restrict__ chosen, unsigned* __restrict__ marks,
           const Word* __restrict__ masks, const Word* __restrict__ order, const int* __restrict__ runs,
           const long long* __restrict__ most, Chunk chunk) {
    constexpr int OWNED = CHUNK / CHOOSE_THREADS / 2;  // words of a warp
    static_assert(CHUNK / WORD == OWNED * (CHOOSE_THREADS / 32));
    __shared__ Word out[CHUNK / WORD], chosen_bits;
    const int segment = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const Segment known = segment_at(segment, chosen, runs, most, chunk);
    if (known.count == 0) return;
    const int words = chunk.size / WORD, used = (known.count + WORD - 1) / WORD;
    order += static_cast<long long>(segment) * chunk.boxes + chunk.first;
    lists += static_cast<long long>(segment) * chunk.most;
    masks += static_cast<long long>(segment) * words * words * WORD;
    marks += static_cast<long long>(segment) * chunk.mark_words;
    for (int word = threadIdx.x; word < used; word += blockDim.x) {
        out[word] = static_cast<Word>(marks[2 * word + 1]) << 32 | marks[2 * word];
        marks[2 * word] = marks[2 * word + 1] = 0;  // for the next chunk
    }
    int total = known.chosen;  // the same in all threads
    Word own_low = 0, own_high = 0;
    if (warp == 0) own_low = masks[lane], own_high = masks[lane + 32];
    __syncthreads();
    for (int row = 0; row < used; ++row) {
        Word low[OWNED], high[OWNED];
        const Word* rows = masks + static_cast<long long>(row) * words * WORD;
#pragma unroll
        for (int i = 0; i < OWNED; ++i) {
            const int column = warp + i * warps;
            const bool is_read = column > row && column < used;
            low[i] = is_read ? rows[column * WORD + lane] : 0;
            high[i] = is_read ? rows[column * WORD + lane + 32] : 0;
        }
        if (warp == 0) {
            const int there = known.count - row * WORD;
            const Word candidates = ~out[row] & (there < WORD ? (Word{1} << there) - 1 : ~Word{0});
            Word bits = choose_in_word(candidates, own_low, own_high);
            if (__popcll(bits) > known.limit - total) bits = lowest_bits(bits, known.limit - total);
            if (lane == 0) chosen_bits = bits;
            if (row + 1 < used) {
                const Word* next = masks + static_cast<long long>(row + 1) * (words + 1) * WORD;
                own_low = next[lane], own_high = next[lane + 32];
            }
            for (Word bit = Word{1} << lane, half = 0; half < 2; ++half, bit <<= 32) {
                if (bits & bit) {
                    const int place = total + __popcll(bits & (bit - 1));
                    lists[place] = box_of(order[row * WORD + lane + 32 * static_cast<int>(half)]);
                }
            }
        }
        __syncthreads();
        const Word bits = chosen_bits;
        total += __popcll(bits);
        if (total >= known.limit) break;
#pragma unroll
        for (int i = 0; i < OWNED; ++i) {
            Word overlapped = (bits >> lane & 1 ? low[i] : 0) | (bits >> (lane + 32) & 1 ? high[i] : 0);
            if (warp + i * warps <= row || warp + i * warps >= used) continue;
#pragma unroll
            for (int step = 16; step > 0; step /= 2) overlapped |= __shfl_xor_sync(~0u, overlapped, step);
            if (lane == 0) out[warp + i * warps] |= overlapped;
        }
        __syncthreads();
    }
    if (threadIdx.x == 0) chosen[segment] = total;
}

__global__ void __launch_bounds__(THREADS)
    write_indices(long long* __restrict__ indices, int* __restrict__ selected, const int* __restrict__ lists,
                  const int* __restrict__ chosen, int classes, int most) {
    __shared__ int before;
    const int segment = blockIdx.x;
    if (threadIdx.x == 0) before = 0;
    __syncthreads();
    int sum = 0;
    for (int i = threadIdx.x; i < segment; i += THREADS) sum += chosen[i];
    if (sum != 0) atomicAdd(&before, sum);
    __syncthreads();
    const int own = chosen[segment], first = before;
    const int* list = lists + static_cast<long long>(segment) * most;
    long long* target = indices + 3LL * first;
    for (int i = threadIdx.x; i < own; i += THREADS) {
        target[3LL * i] = segment / classes;
        target[3LL * i + 1] = segment % classes;
        target[3LL * i + 2] = list[i];
    }
    if (threadIdx.x == 0 && segment + 1 == gridDim.x) *selected = first + own;
}
