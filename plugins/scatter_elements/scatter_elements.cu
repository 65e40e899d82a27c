// ScatterElements, in four ways; variants.py says which one a shape gets.
//
//   elements   one thread takes one update and reduces it into a copy of data with an atomic
//   tile       a block holds one outer index: a list of updates for each cell of the axis, in shared memory
//   column     a thread owns one column: axis and accumulators in shared memory, updates in order, no atomics
//   rows       indices are constant along the inner dimensions: a list of update rows for each output row
//
// The last three read data once and write the output once, combine in the accumulator's type and round once.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

enum class Reduction { none, add, mul, min, max };

template <typename T> constexpr bool is_floating = false;
template <> constexpr bool is_floating<float> = true;
template <> constexpr bool is_floating<__half> = true;
template <> constexpr bool is_floating<__nv_bfloat16> = true;

template <typename A, typename B> constexpr bool is_same = false;
template <typename A> constexpr bool is_same<A, A> = true;

// The updates' dimensions with neighbours merged, outermost first, and how far a step along each moves in the output:
// 0 along the axis, where the index decides.
template <typename Offset, int RANK> struct Geometry {
    Offset size[RANK];
    Offset stride[RANK];
};

// One reduction step. 16-bit types compute in float and round; integers wrap; NaN wins in min and max.
template <Reduction R, typename T> __device__ T reduced(T old_value, T update) {
    if constexpr (is_floating<T>) {
        const float a = static_cast<float>(old_value), b = static_cast<float>(update);
        if constexpr (R == Reduction::add) return static_cast<T>(a + b);
        if constexpr (R == Reduction::mul) return static_cast<T>(a * b);
        if constexpr (R == Reduction::min) return b < a || b != b ? update : old_value;
        if constexpr (R == Reduction::max) return b > a || b != b ? update : old_value;
    } else {
        using Wrapping = unsigned long long;
        const auto a = static_cast<Wrapping>(old_value), b = static_cast<Wrapping>(update);
        if constexpr (R == Reduction::add) return static_cast<T>(a + b);
        if constexpr (R == Reduction::mul) return static_cast<T>(a * b);
        if constexpr (R == Reduction::min) return update < old_value ? update : old_value;
        if constexpr (R == Reduction::max) return update > old_value ? update : old_value;
    }
}

template <int BYTES> struct WordOf;
template <> struct WordOf<1> { using type = unsigned int; }; // the hardware has no 8-bit compare-and-swap
template <> struct WordOf<2> { using type = unsigned short; };
template <> struct WordOf<4> { using type = unsigned int; };
template <> struct WordOf<8> { using type = unsigned long long; };

template <typename T> union Lanes {
    typename WordOf<sizeof(T)>::type word;
    T value[sizeof(word) / sizeof(T)];
    __device__ Lanes(typename WordOf<sizeof(T)>::type word) : word(word) {}
};

// A reduction by compare-and-swap on the word that holds the element. For int8 that word may reach past the tensor's
// end, but not past its allocation, and the other bytes keep their values.
template <Reduction R, typename T> __device__ void reduce_by_swap(T* target, T update) {
    using Word = typename WordOf<sizeof(T)>::type;
    const auto position = reinterpret_cast<unsigned long long>(target);
    const int lane = position % sizeof(Word) / sizeof(T);
    Word* address = reinterpret_cast<Word*>(position - lane * sizeof(T));
    Word seen = *address;
    while (true) {
        const Word expected = seen;
        Lanes<T> lanes(expected);
        lanes.value[lane] = reduced<R>(lanes.value[lane], update);
        if (lanes.word == expected) return;
        seen = atomicCAS(address, expected, lanes.word);
        if (seen == expected) return;
    }
}

template <Reduction R, typename T> __device__ void reduce_into(T* target, T update) {
    if constexpr (R == Reduction::none) {
        *target = update;
    } else if constexpr (R == Reduction::add && (is_same<T, float> || is_same<T, int>)) {
        atomicAdd(target, update);
    } else if constexpr (R == Reduction::add && is_same<T, long long>) {
        atomicAdd(reinterpret_cast<unsigned long long*>(target), static_cast<unsigned long long>(update));
    } else if constexpr (R == Reduction::min && (is_same<T, int> || is_same<T, long long>)) {
        atomicMin(target, update);
    } else if constexpr (R == Reduction::max && (is_same<T, int> || is_same<T, long long>)) {
        atomicMax(target, update);
    } else {
        reduce_by_swap<R>(target, update);
    }
}


// Half-precision sums go through the packed instruction; the neighbour gets -0, which changes no value.
template <typename T> struct PairOf;
template <> struct PairOf<__half> { using type = __half2; };
template <> struct PairOf<__nv_bfloat16> { using type = __nv_bfloat162; };

template <typename T> __device__ void add_to_pair(T* target, T update) {
    using Pair = typename PairOf<T>::type;
    const bool is_upper = reinterpret_cast<unsigned long long>(target) & 2;
    const T neutral = static_cast<T>(-0.0f);
    Pair pair;
    pair.x = is_upper ? neutral : update;
    pair.y = is_upper ? update : neutral;
    atomicAdd(reinterpret_cast<Pair*>(target - is_upper), pair);
}

// The state of a rows launch in its workspace: 0xff bytes mean untouched.
constexpr int UNTOUCHED = -1, LISTED_ELSEWHERE = -2;
struct RowState {
    int is_uniform;  // UNTOUCHED while every row of indices is constant
    int has_long_list;  // UNTOUCHED while no output row has more updates than one group should walk
};

// Offset is an unsigned type that holds the number of updates and of output elements. Where heads is given, the rows
// variant has run before, and this one takes what that left: everything, or the rows with long lists. That is seldom
// anything, so a small grid does it in strides: a million blocks that only look and leave take longer than they look.
template <typename T, typename Tind, Reduction R, typename Offset, int RANK>
__global__ void scatter_elements(T* __restrict__ output, const Tind* __restrict__ indices,
                                 const T* __restrict__ updates, Offset count, Offset total, Offset axis_size,
                                 Offset axis_stride, Geometry<Offset, RANK> geometry, const RowState* state,
                                 const int* heads) {
    if (state != nullptr && state->is_uniform == UNTOUCHED && state->has_long_list == UNTOUCHED) return;
    const Offset first = static_cast<Offset>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (Offset element = first; element < count; element += static_cast<Offset>(gridDim.x) * blockDim.x) {
        long long index = indices[element];
        if (index < 0) index += axis_size;
        if (index < 0 || index >= static_cast<long long>(axis_size)) continue;
        Offset target = static_cast<Offset>(index) * axis_stride;
        Offset rest = element;
#pragma unroll
        for (int dim = RANK - 1; dim > 0; --dim) {
            const Offset outer = rest / geometry.size[dim];
            target += (rest - outer * geometry.size[dim]) * geometry.stride[dim];
            rest = outer;
        }
        target += rest * geometry.stride[0];
        if (state != nullptr && state->is_uniform == UNTOUCHED && heads[target / axis_stride] != LISTED_ELSEWHERE) {
            continue;
        }
        if constexpr (R == Reduction::add && sizeof(T) == 2) {
            if ((target | 1) < total) {
                add_to_pair(output + target, updates[element]);
                continue;
            }
        }
        reduce_into<R>(output + target, updates[element]);
    }
}

template <typename T> struct AccumulatorOf { using type = T; };
template <> struct AccumulatorOf<__half> { using type = float; };
template <> struct AccumulatorOf<__nv_bfloat16> { using type = float; };

template <typename T, int N> struct alignas(sizeof(T) * N) Pack { T value[N]; };

// A load of data that is read once: it should not push anything out of the caches.
template <typename P> __device__ __forceinline__ P load_once(const P* source) {
    if constexpr (sizeof(P) == 16) {
        const int4 bits = __ldcs(reinterpret_cast<const int4*>(source));
        return *reinterpret_cast<const P*>(&bits);
    } else {
        return *source;
    }
}

template <typename P> __device__ __forceinline__ void store_once(P* target, const P& pack) {
    if constexpr (sizeof(P) == 16) {
        __stcs(reinterpret_cast<int4*>(target), *reinterpret_cast<const int4*>(&pack));
    } else {
        *target = pack;
    }
}

// The cell or row that an index means, or -1 when it is out of range.
template <typename Tind> __device__ __forceinline__ int place_of(Tind index, int size) {
    const long long wide = index < 0 ? static_cast<long long>(index) + size : index;
    return wide >= 0 && wide < size ? static_cast<int>(wide) : -1;
}

// Sort the list that starts at head by position, so that floating-point results do not depend on who came first.
// Bottom-up merges in place; END ends a list.
template <typename Link, Link END> __device__ int sorted_list(int head, Link* next) {
    for (int width = 1;; width *= 2) {
        int rest = head, tail = -1, merges = 0;
        head = -1;
        while (rest != -1) {
            ++merges;
            int left = rest, left_size = 0;
            while (left_size < width && rest != -1) {
                ++left_size;
                rest = next[rest] == END ? -1 : next[rest];
            }
            int right = rest, right_size = width;
            while (left_size > 0 || (right_size > 0 && right != -1)) {
                const bool from_left = left_size > 0 && (right_size == 0 || right == -1 || left < right);
                const int taken = from_left ? left : right;
                int& source = from_left ? left : right;
                source = next[taken] == END ? -1 : next[taken];
                --(from_left ? left_size : right_size);
                if (tail == -1) head = taken;
                else next[tail] = static_cast<Link>(taken);
                tail = taken;
            }
            rest = right;
        }
        next[tail] = END;
        if (merges <= 1) return head;
    }
}

constexpr int BATCH = 4;  // loads of each thread in flight

// One block for each outer index; the axis is the last dimension. VECTOR: whole rows are multiples of 16 bytes.
template <typename T, typename Tind, Reduction R, bool VECTOR, bool DETERMINISTIC>
__global__ void scatter_tile(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                             const T* __restrict__ updates, int axis_size, int count) {
    using Accumulator = typename AccumulatorOf<T>::type;
    using Link = unsigned short;
    constexpr Link END = 0xffff;
    constexpr int CELLS = VECTOR ? 16 / sizeof(T) : 1, UPDATES = VECTOR ? 16 / sizeof(Tind) : 1;
    extern __shared__ int4 shared[];
    int* heads = reinterpret_cast<int*>(shared);
    Link* next = reinterpret_cast<Link*>(shared + (axis_size + 3) / 4);
    T* held = reinterpret_cast<T*>(shared + (axis_size + 3) / 4 + (count + 7) / 8);
    const int thread = threadIdx.x, threads = blockDim.x;
    data += static_cast<long long>(blockIdx.x) * axis_size;
    output += static_cast<long long>(blockIdx.x) * axis_size;
    indices += static_cast<long long>(blockIdx.x) * count;
    updates += static_cast<long long>(blockIdx.x) * count;

    // Everything that the first round needs is asked for before anything is waited for.
    Pack<T, CELLS> cells[BATCH];
#pragma unroll
    for (int k = 0; k < BATCH; ++k) {
        const int cell = (k * threads + thread) * CELLS;
        if (cell < axis_size) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + cell));
    }
    for (int i = thread; i < (axis_size + 3) / 4; i += threads) shared[i] = make_int4(-1, -1, -1, -1);
    __syncthreads();
    for (int begin = 0; begin < count; begin += BATCH * threads * UPDATES) {
        Pack<Tind, UPDATES> index[BATCH];
        Pack<T, UPDATES> update[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            if (position < count) {
                index[k] = load_once(reinterpret_cast<const Pack<Tind, UPDATES>*>(indices + position));
                update[k] = *reinterpret_cast<const Pack<T, UPDATES>*>(updates + position);
            }
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int position = begin + (k * threads + thread) * UPDATES;
            if (position >= count) break;
            *reinterpret_cast<Pack<T, UPDATES>*>(held + position) = update[k];
#pragma unroll
            for (int u = 0; u < UPDATES; ++u) {
                const int cell = place_of(index[k].value[u], axis_size);
                if (cell < 0) continue;
                if constexpr (R == Reduction::none) {
                    atomicMax(heads + cell, position + u);  // the last one wins
                } else {
                    next[position + u] = static_cast<Link>(atomicExch(heads + cell, position + u));
                }
            }
        }
    }
    __syncthreads();
    for (int begin = 0; begin < axis_size; begin += BATCH * threads * CELLS) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const int first = begin + (k * threads + thread) * CELLS;
            if (first >= axis_size) break;
            if (begin > 0) cells[k] = load_once(reinterpret_cast<const Pack<T, CELLS>*>(data + first));
#pragma unroll
            for (int c = 0; c < CELLS; ++c) {
                int position = heads[first + c];
                if (position < 0) continue;
                if constexpr (R == Reduction::none) {
                    cells[k].value[c] = held[position];
                } else {
                    if constexpr (DETERMINISTIC) position = sorted_list<Link, END>(position, next);
                    auto sum = static_cast<Accumulator>(cells[k].value[c]);
                    do {
                        sum = reduced<R>(sum, static_cast<Accumulator>(held[position]));
                        position = next[position];
                    } while (position != END);
                    cells[k].value[c] = static_cast<T>(sum);
                }
            }
            store_once(reinterpret_cast<Pack<T, CELLS>*>(output + first), cells[k]);
        }
    }
}

constexpr int COLUMNS = 32;  // of a block: one warp, each thread one column

template <typename T, typename Tind, Reduction R>
__global__ void __launch_bounds__(COLUMNS)
    scatter_column(T* __restrict__ output, const T* __restrict__ data, const Tind* __restrict__ indices,
                   const T* __restrict__ updates, int axis_size, int count, int inner) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int DEPTH = sizeof(T) == 8 ? 32 : 64;  // updates of each thread in flight: one warp has many registers
    extern __shared__ int4 shared[];
    Accumulator* sums = reinterpret_cast<Accumulator*>(shared) + threadIdx.x;
    const int blocks = (inner + COLUMNS - 1) / COLUMNS;
    const int column = blockIdx.x % blocks * COLUMNS + threadIdx.x;
    if (column >= inner) return;
    const long long outer = blockIdx.x / blocks;
    data += outer * axis_size * inner + column;
    output += outer * axis_size * inner + column;
    indices += outer * count * inner + column;
    updates += outer * count * inner + column;

    Tind index[DEPTH];
    T update[DEPTH];
#pragma unroll
    for (int d = 0; d < DEPTH; ++d) {
        if (d < count) {
            index[d] = __ldcs(indices + static_cast<long long>(d) * inner);
            update[d] = updates[static_cast<long long>(d) * inner];
        }
    }
#pragma unroll 32
    for (int cell = 0; cell < axis_size; ++cell) {
        sums[cell * COLUMNS] = static_cast<Accumulator>(data[static_cast<long long>(cell) * inner]);
    }
    for (int begin = 0; begin < count; begin += DEPTH) {
#pragma unroll
        for (int d = 0; d < DEPTH; ++d) {
            const int position = begin + d, ahead = position + DEPTH;
            const int cell = position < count ? place_of(index[d], axis_size) : -1;
            const auto value = static_cast<Accumulator>(update[d]);
            if (ahead < count) {
                index[d] = __ldcs(indices + static_cast<long long>(ahead) * inner);
                update[d] = updates[static_cast<long long>(ahead) * inner];
            }
            if (cell < 0) continue;
            Accumulator& sum = sums[cell * COLUMNS];
            if constexpr (R == Reduction::none) sum = value;
            else sum = reduced<R>(sum, value);
        }
    }
#pragma unroll 32
    for (int cell = 0; cell < axis_size; ++cell) {
        output[static_cast<long long>(cell) * inner] = static_cast<T>(sums[cell * COLUMNS]);
    }
}

constexpr int WARP = 32, ROWS = 4;  // rows of indices that a warp reads at once

// Enter each row of updates in the list of its output row, and find out whether rows of indices are constant.
// The inner size is a multiple of 16 bytes of indices.
template <typename Tind, bool KEEP_LAST>
__global__ void link_rows(const Tind* __restrict__ indices, RowState* state, int* heads, int* next, int rows, int count,
                          int axis_size, int inner) {
    constexpr int N = 16 / sizeof(Tind);
    const int lane = threadIdx.x % WARP;
    const long long first = (blockIdx.x * static_cast<long long>(blockDim.x / WARP) + threadIdx.x / WARP) * ROWS;
    if (first >= rows) return;
    const int listed = min(static_cast<long long>(ROWS), rows - first);
    indices += first * inner;
    Tind lead = 0;
    bool is_uniform = true;
    for (int at = lane * N; at - lane * N < inner; at += WARP * N) {
        Pack<Tind, N> index[ROWS];
        if (at < inner) {
#pragma unroll
            for (int r = 0; r < ROWS; ++r) {
                const long long row = r < listed ? static_cast<long long>(r) * inner : 0;
                index[r] = load_once(reinterpret_cast<const Pack<Tind, N>*>(indices + row + at));
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            if (at == lane * N) {
                const Tind shared = __shfl_sync(~0u, index[r].value[0], 0);
                if (lane == r) lead = shared;
            }
            const Tind expected = __shfl_sync(~0u, lead, r);
            if (at < inner && r < listed) {
#pragma unroll
                for (int n = 0; n < N; ++n) is_uniform &= index[r].value[n] == expected;
            }
        }
    }
    if (!is_uniform) state->is_uniform = 0;
    if (lane >= listed) return;
    const int row = static_cast<int>(first) + lane;
    const int place = place_of(lead, axis_size);
    if (place < 0) return;
    int* head = heads + static_cast<long long>(row / count) * axis_size + place;
    if constexpr (KEEP_LAST) atomicMax(head, row);
    else next[row] = atomicExch(head, row);
}

constexpr int LONGEST_LIST = 256;  // a longer one is left to atomics, which many threads can do at once

// Combine each output row with its list of update rows; LANES threads a row. A row of data is a multiple of 16 bytes.
template <typename T, Reduction R, int LANES>
__global__ void gather_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                            RowState* state, int* heads, const int* __restrict__ next, int rows, int inner) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = 16 / sizeof(T);
    const int lane = threadIdx.x % LANES;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const int head = state->is_uniform == UNTOUCHED ? heads[row] : -1;
    bool is_long = false;
    for (int at = lane * N; at < inner; at += LANES * N) {
        const auto original = load_once(reinterpret_cast<const Pack<T, N>*>(data + row * inner + at));
        auto result = original;
        if constexpr (R == Reduction::none) {
            if (head >= 0) {
                const T* update = updates + static_cast<long long>(head) * inner + at;
                result = load_once(reinterpret_cast<const Pack<T, N>*>(update));
            }
        } else if (head >= 0) {
            Accumulator sum[N];
#pragma unroll
            for (int n = 0; n < N; ++n) sum[n] = static_cast<Accumulator>(original.value[n]);
            int listed = head, walked = 0;
            while (listed >= 0 && walked++ < LONGEST_LIST) {
                const T* source = updates + static_cast<long long>(listed) * inner + at;
                listed = next[listed];
                const auto update = load_once(reinterpret_cast<const Pack<T, N>*>(source));
#pragma unroll
                for (int n = 0; n < N; ++n) sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update.value[n]));
            }
            is_long = listed >= 0;
            if (!is_long) {
#pragma unroll
                for (int n = 0; n < N; ++n) result.value[n] = static_cast<T>(sum[n]);
            }
        }
        store_once(reinterpret_cast<Pack<T, N>*>(output + row * inner + at), result);
    }
    if (!is_long) return;
    __syncwarp(__activemask());  // every lane has read the head
    if (lane == 0) {
        heads[row] = LISTED_ELSEWHERE;
        state->has_long_list = 1;
    }
}

// The deterministic way for any shape: a list of updates for each output element, sorted before it is combined.
template <typename Tind, int RANK>
__global__ void link_elements(const Tind* __restrict__ indices, int* heads, int* next, unsigned int count,
                              unsigned int axis_size, unsigned int axis_stride,
                              Geometry<unsigned int, RANK> geometry) {
    const unsigned int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= count) return;
    const int place = place_of(indices[element], static_cast<int>(axis_size));
    if (place < 0) return;
    unsigned int target = place * axis_stride, rest = element;
#pragma unroll
    for (int dim = RANK - 1; dim > 0; --dim) {
        const unsigned int outer = rest / geometry.size[dim];
        target += (rest - outer * geometry.size[dim]) * geometry.stride[dim];
        rest = outer;
    }
    target += rest * geometry.stride[0];
    next[element] = atomicExch(heads + target, static_cast<int>(element));
}

template <typename T, Reduction R>
__global__ void gather_elements(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                                const int* __restrict__ heads, int* next, unsigned int total) {
    using Accumulator = typename AccumulatorOf<T>::type;
    const unsigned int element = blockIdx.x * blockDim.x + threadIdx.x;
    if (element >= total) return;
    int listed = heads[element];
    auto sum = static_cast<Accumulator>(data[element]);
    if (listed >= 0) listed = sorted_list<int, -1>(listed, next);
    for (; listed >= 0; listed = next[listed]) {
        const auto update = static_cast<Accumulator>(updates[listed]);
        if constexpr (R == Reduction::none) sum = update;
        else sum = reduced<R>(sum, update);
    }
    output[element] = static_cast<T>(sum);
}
