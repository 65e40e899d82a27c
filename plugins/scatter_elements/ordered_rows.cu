// The ordered variants: deterministic. radix_sort.cu sorts the rows of updates, or single elements as rows of one, by the
// row of data that they go to, so that those of one row of data lie side by side, in order. Chunks of CHUNK rows that all
// go to one row of data are combined first, since many threads can share them; then each row of data takes its chunks and
// its other rows in order. Where the rows are cut into chunks depends on the targets alone.

#include "../_cuda/reduce.cuh"
#include "../_cuda/row_lists.cuh"
#include "places.cuh"

using pluginkit::CHUNK, pluginkit::DIGIT_BITS, pluginkit::SORT_DIGITS;  // from ordered_rows.py

constexpr int DIGITS = 1 << DIGIT_BITS;
constexpr int AT_ONCE = 8;  // rows that a thread loads at once
static_assert(CHUNK % AT_ONCE == 0);

// Write `target_of(row)` of each row of updates as its key, or `output_rows` if that is negative. Count each digit of
// the keys.
template <typename TargetOf>
__device__ __forceinline__ void write_keys(unsigned int* __restrict__ keys, int* __restrict__ order,
                                           int* __restrict__ digits, int rows, int output_rows, TargetOf target_of) {
    __shared__ int counts[SORT_DIGITS * DIGITS];
    for (int i = threadIdx.x; i < SORT_DIGITS * DIGITS; i += blockDim.x) counts[i] = 0;
    __syncthreads();
    for (long long row = blockIdx.x * blockDim.x + threadIdx.x; row < rows; row += gridDim.x * blockDim.x) {
        const int target = target_of(static_cast<int>(row));
        const unsigned int key = target < 0 ? output_rows : target;
        keys[row] = key;
        order[row] = static_cast<int>(row);
#pragma unroll
        for (int digit = 0; digit < SORT_DIGITS; ++digit) {
            atomicAdd(counts + digit * DIGITS + (key >> digit * DIGIT_BITS) % DIGITS, 1);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < SORT_DIGITS * DIGITS; i += blockDim.x) {
        if (counts[i] != 0) atomicAdd(digits + i, counts[i]);
    }
}

__global__ void make_row_keys(unsigned int* __restrict__ keys, int* __restrict__ order, int* __restrict__ digits,
                              const int* __restrict__ targets, int rows, int output_rows) {
    write_keys(keys, order, digits, rows, output_rows, [&](int row) { return targets[row]; });
}

// The same for single elements, which are rows of one element.
template <typename Tind, int RANK>
__global__ void make_element_keys(unsigned int* __restrict__ keys, int* __restrict__ order, int* __restrict__ digits,
                                  const Tind* __restrict__ indices, int elements, int output_elements, int axis_size,
                                  int axis_stride, Geometry<unsigned int, RANK> geometry) {
    write_keys(keys, order, digits, elements, output_elements, [&](int element) {
        const int place = place_of(indices[element], axis_size);
        return place < 0 ? -1 : static_cast<int>(geometry.target(place * axis_stride, element));
    });
}

// Note where the rows of each row of data start in the order.
__global__ void find_row_starts(int* __restrict__ starts, const unsigned int* __restrict__ keys, int rows,
                                int output_rows) {
    const int place = blockIdx.x * blockDim.x + threadIdx.x;
    if (place >= rows) return;
    const unsigned int key = keys[place];
    if (key < output_rows && (place == 0 || keys[place - 1] != key)) starts[key] = place;
}

// Whether the chunk that starts at `place` goes to one row of data, `key`.
__device__ __forceinline__ bool is_whole(const unsigned int* keys, int place, int rows, unsigned int key) {
    return place % CHUNK == 0 && place + CHUNK <= rows && keys[place + CHUNK - 1] == key && keys[place] == key;
}

// Combine each chunk that goes to one row of data. LANES threads take a vector each of a chunk; the grid's second
// dimension counts the vectors of all lanes.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void combine_chunks(typename AccumulatorOf<T>::type* __restrict__ combined, const T* __restrict__ updates,
                               const unsigned int* __restrict__ keys, const int* __restrict__ order, int rows,
                               int inner, int output_rows) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const long long chunk = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (chunk >= rows / CHUNK) return;
    const int first = static_cast<int>(chunk) * CHUNK;
    const unsigned int key = keys[first];
    if (key >= output_rows || !is_whole(keys, first, rows, key)) return;
    for (int at = (blockIdx.y * LANES + threadIdx.x % LANES) * N; at < inner; at += gridDim.y * LANES * N) {
        Pack<Accumulator, N> sum;
        for (int begin = 0; begin < CHUNK; begin += AT_ONCE) {
            Pack<T, N> update[AT_ONCE];
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
                update[k] = load_row<T, N>(updates, order[first + begin + k], inner, at);
            }
#pragma unroll
            for (int k = 0; k < AT_ONCE; ++k) {
#pragma unroll
                for (int n = 0; n < N; ++n) {
                    const auto value = static_cast<Accumulator>(update[k].value[n]);
                    sum.value[n] = begin + k == 0 ? value : reduced<R>(sum.value[n], value);
                }
            }
        }
        *reinterpret_cast<Pack<Accumulator, N>*>(combined + chunk * inner + at) = sum;
    }
}

// Combine each row of data with its chunks and rows of updates, in order. The grid is that of gather_rows.
template <typename T, Reduction R, int LANES, int VECTOR>
__global__ void gather_ordered_rows(T* __restrict__ output, const T* __restrict__ data, const T* __restrict__ updates,
                                    const int* __restrict__ starts, const unsigned int* __restrict__ keys,
                                    const int* __restrict__ order,
                                    const typename AccumulatorOf<T>::type* __restrict__ combined, int count,
                                    int rows, int inner, int piece) {
    using Accumulator = typename AccumulatorOf<T>::type;
    constexpr int N = VECTOR > sizeof(T) ? VECTOR / sizeof(T) : 1;
    const long long row = blockIdx.x * static_cast<long long>(blockDim.x / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    const unsigned int key = static_cast<unsigned int>(row);
    const int start = starts[row];
    const int begin = blockIdx.y * piece, end = min(inner, begin + piece);
    for (int at = begin + threadIdx.x % LANES * N; at < end; at += LANES * N) {
        auto result = load_once(reinterpret_cast<const Pack<T, N>*>(data + row * inner + at));
        if (start >= 0) {
            Accumulator sum[N];
#pragma unroll
            for (int n = 0; n < N; ++n) sum[n] = static_cast<Accumulator>(result.value[n]);
            int place = start;
            while (place < count && keys[place] == key) {
                if (is_whole(keys, place, count, key)) {
                    Pack<Accumulator, N> chunk[AT_ONCE];
                    int chunks = 0;
#pragma unroll
                    for (int k = 0; k < AT_ONCE; ++k) {
                        if (chunks == k && is_whole(keys, place, count, key)) {
                            const long long from = place / CHUNK * static_cast<long long>(inner) + at;
                            chunk[k] = *reinterpret_cast<const Pack<Accumulator, N>*>(combined + from);
                            place += CHUNK;
                            ++chunks;
                        }
                    }
#pragma unroll
                    for (int k = 0; k < AT_ONCE; ++k) {
                        if (k >= chunks) continue;
#pragma unroll
                        for (int n = 0; n < N; ++n) sum[n] = reduced<R>(sum[n], chunk[k].value[n]);
                    }
                    continue;
                }
                Pack<T, N> update[AT_ONCE];
                const int limit = min((place / CHUNK + 1) * CHUNK, count);  // a chunk may be whole from there on
                int taken = 0;
#pragma unroll
                for (int k = 0; k < AT_ONCE; ++k) {
                    if (taken == k && place < limit && keys[place] == key) {
                        update[k] = load_row<T, N>(updates, order[place], inner, at);
                        ++place;
                        ++taken;
                    }
                }
#pragma unroll
                for (int k = 0; k < AT_ONCE; ++k) {
                    if (k >= taken) continue;
#pragma unroll
                    for (int n = 0; n < N; ++n) {
                        sum[n] = reduced<R>(sum[n], static_cast<Accumulator>(update[k].value[n]));
                    }
                }
            }
#pragma unroll
            for (int n = 0; n < N; ++n) result.value[n] = static_cast<T>(sum[n]);
        }
        store_once(reinterpret_cast<Pack<T, N>*>(output + row * inner + at), result);
    }
}
