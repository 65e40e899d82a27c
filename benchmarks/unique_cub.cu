// A peer of Unique: CUB's radix sort of keys and positions, CUB's scan of where runs begin, and two kernels that write
// the results. ELEMENT_TYPE is the type of the elements.

#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#include <cuda_fp16.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

namespace {

using Element = ELEMENT_TYPE;

struct IsFirst {
    const Element* keys;
    __device__ int operator()(int item) const { return item == 0 || keys[item] != keys[item - 1]; }
};

__global__ void number(int* positions, int items) {
    const int item = blockIdx.x * 256 + threadIdx.x;
    if (item < items) positions[item] = item;
}

__global__ void write(Element* y, long long* indices, long long* inverse, int* starts, int* found, const Element* keys,
                      const int* positions, const int* ranks, int items) {
    const int item = blockIdx.x * 256 + threadIdx.x;
    if (item >= items) return;
    const int rank = ranks[item] - 1, position = positions[item];
    inverse[position] = rank;
    if (item == items - 1) *found = rank + 1;
    if (item > 0 && ranks[item - 1] == rank + 1) return;
    y[rank] = keys[item], indices[rank] = position, starts[rank] = item;
}

__global__ void count(long long* counts, const int* starts, const int* found, int items) {
    const int rank = blockIdx.x * 256 + threadIdx.x;
    if (rank < *found) counts[rank] = (rank + 1 < *found ? starts[rank + 1] : items) - starts[rank];
}

size_t aligned(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

}  // namespace

// Return the bytes of memory that `unique` needs.
extern "C" size_t memory_bytes(int items) {
    size_t sort = 0, scan = 0;
    cub::DeviceRadixSort::SortPairs(nullptr, sort, static_cast<Element*>(nullptr), static_cast<Element*>(nullptr),
                                    static_cast<int*>(nullptr), static_cast<int*>(nullptr), items);
    const auto flags = thrust::make_transform_iterator(thrust::counting_iterator<int>(0), IsFirst{nullptr});
    cub::DeviceScan::InclusiveSum(nullptr, scan, flags, static_cast<int*>(nullptr), items);
    return aligned(items * sizeof(Element)) + 3 * aligned(items * sizeof(int)) + (sort > scan ? sort : scan);
}

extern "C" int unique(Element* y, long long* indices, long long* inverse, long long* counts, int* found, const Element* x,
                      char* memory, size_t bytes, int items, cudaStream_t stream) {
    const int blocks = (items + 255) / 256;
    Element* keys = reinterpret_cast<Element*>(memory);
    int* order = reinterpret_cast<int*>(memory + aligned(items * sizeof(Element)));
    int* positions = order + aligned(items * sizeof(int)) / sizeof(int);
    int* ranks = positions + aligned(items * sizeof(int)) / sizeof(int);
    char* rest = reinterpret_cast<char*>(ranks) + aligned(items * sizeof(int));
    size_t left = bytes - (rest - memory);
    number<<<blocks, 256, 0, stream>>>(order, items);
    cub::DeviceRadixSort::SortPairs(rest, left, x, keys, order, positions, items, 0, 8 * sizeof(Element), stream);
    const auto flags = thrust::make_transform_iterator(thrust::counting_iterator<int>(0), IsFirst{keys});
    cub::DeviceScan::InclusiveSum(rest, left, flags, ranks, items, stream);
    write<<<blocks, 256, 0, stream>>>(y, indices, inverse, order, found, keys, positions, ranks, items);
    count<<<blocks, 256, 0, stream>>>(counts, order, found, items);
    return cudaGetLastError();
}
