// ScatterElements, in four ways; variants.py says which one a shape gets.
//
//   elements   one thread takes one update and reduces it into a copy of data with an atomic
//   tile       a block holds one outer index: a list of updates for each cell of the axis, in shared memory
//   column     a thread owns one column: axis and accumulators in shared memory, updates in order, no atomics
//   rows       indices are constant along the inner dimensions: a list of update rows for each output row
//
// The last three read data once and write the output once, combine in the accumulator's type and round once.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"

// The updates' dimensions with neighbours merged, outermost first, and how far a step along each moves in the output:
// 0 along the axis, where the index decides.
template <typename Offset, int RANK> struct Geometry {
    Offset size[RANK];
    Offset stride[RANK];
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
