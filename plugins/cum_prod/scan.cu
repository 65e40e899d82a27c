// CumProd where rows are few and long: a block takes a tile of a row after the other, each thread ITEMS adjacent elements.
// Several blocks may share a row: reduce_parts multiplies the elements of each part, so that scan_parts begins with the
// product of the parts before its own.

#include "products.cuh"

using pluginkit::ITEMS, pluginkit::THREADS;  // from launches.py

constexpr int WARPS = THREADS / 32, TILE = THREADS * ITEMS;

template <typename T> struct alignas(sizeof(T) * ITEMS) Pack {
    T value[ITEMS];
};

// Where the elements of a row are, in the order of their products.
struct Row {
    long long first, size, inner;
    bool is_reverse;

    __device__ __forceinline__ Row(long long row, long long size, long long inner, bool is_reverse)
        : first(row / inner * size * inner + row % inner), size(size), inner(inner), is_reverse(is_reverse) {}

    __device__ __forceinline__ long long place(long long i) const {
        return first + (is_reverse ? size - 1 - i : i) * inner;
    }

    // Whether the elements of a thread are all there, adjacent and aligned.
    __device__ __forceinline__ bool is_wide(long long begin) const {
        return inner == 1 && size % ITEMS == 0 && begin + ITEMS <= size;
    }

    __device__ __forceinline__ long long lowest_place(long long begin) const {
        return first + (is_reverse ? size - ITEMS - begin : begin);
    }

    // Load the elements from `begin` on; those that are not there are 1.
    template <typename T> __device__ __forceinline__ Pack<T> load(const T* __restrict__ x, long long begin) const {
        Pack<T> pack;
        if (is_wide(begin)) {
            const Pack<T> stored = *reinterpret_cast<const Pack<T>*>(x + lowest_place(begin));
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) pack.value[i] = stored.value[is_reverse ? ITEMS - 1 - i : i];
        } else {
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) {
                pack.value[i] = begin + i < size ? x[place(begin + i)] : static_cast<T>(1.0f);
            }
        }
        return pack;
    }

    template <typename T> __device__ __forceinline__ void store(T* __restrict__ y, long long begin, const Pack<T>& pack) const {
        if (is_wide(begin)) {
            Pack<T> stored;
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) stored.value[i] = pack.value[is_reverse ? ITEMS - 1 - i : i];
            *reinterpret_cast<Pack<T>*>(y + lowest_place(begin)) = stored;
        } else {
#pragma unroll
            for (int i = 0; i < ITEMS; ++i) {
                if (begin + i < size) y[place(begin + i)] = pack.value[i];
            }
        }
    }
};

// The part of a row that a block takes, in whole tiles.
struct Part {
    long long begin, end;

    __device__ __forceinline__ explicit Part(const Row& row) {
        const long long tiles = (row.size + TILE - 1) / TILE, most = (tiles + gridDim.y - 1) / gridDim.y * TILE;
        begin = blockIdx.y * most;
        end = min(begin + most, row.size);
    }
};

template <typename T> __device__ __forceinline__ Product<T> product_of(const Pack<T>& pack) {
    Product<T> product = product_of(pack.value[0]);
#pragma unroll
    for (int i = 1; i < ITEMS; ++i) product = product.times(product_of(pack.value[i]));
    return product;
}

// Return the product of what earlier threads of the block give, and multiply `all` by those of all threads.
template <typename T>
__device__ __forceinline__ Product<T> before_thread(Product<T>* of_warps, Product<T> own, Product<T>& all) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
    for (int lanes = 1; lanes < 32; lanes *= 2) {
        const Product<T> before = own.of_lane_before(lanes);
        if (lane >= lanes) own = before.times(own);
    }
    __syncthreads();  // what the tile before left is read
    if (lane == 31) of_warps[warp] = own;
    __syncthreads();
    const Product<T> before_lane = own.of_lane_before(1);
    Product<T> result = lane > 0 ? before_lane : one<T>();
#pragma unroll
    for (int i = 0; i < WARPS; ++i) {
        const Product<T> of_warp = of_warps[i];
        if (i < warp) result = of_warp.times(result);
        all = all.times(of_warp);
    }
    return result;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    reduce_parts(Product<T>* __restrict__ products, const T* __restrict__ x, long long size, long long inner,
                 bool is_reverse) {
    __shared__ Product<T> of_warps[WARPS];
    const Row row(blockIdx.x, size, inner, is_reverse);
    const Part part(row);
    Product<T> own = one<T>(), all = one<T>();
    for (long long tile = part.begin; tile < part.end; tile += TILE) {
        own = own.times(product_of(row.load(x, tile + threadIdx.x * ITEMS)));
    }
    before_thread<T>(of_warps, own, all);
    if (threadIdx.x == 0) products[1LL * blockIdx.x * gridDim.y + blockIdx.y] = all;
}

template <typename T>
__global__ void __launch_bounds__(THREADS)
    scan_parts(T* __restrict__ y, const T* __restrict__ x, const Product<T>* __restrict__ products, long long size,
               long long inner, bool is_exclusive, bool is_reverse) {
    __shared__ Product<T> of_warps[WARPS];
    const Row row(blockIdx.x, size, inner, is_reverse);
    const Part part(row);
    Product<T> own = one<T>(), all = one<T>();
    for (int i = threadIdx.x; i < blockIdx.y; i += THREADS) {
        own = own.times(products[1LL * blockIdx.x * gridDim.y + i]);
    }
    if (blockIdx.y > 0) before_thread<T>(of_warps, own, all);
    for (long long tile = part.begin; tile < part.end; tile += TILE) {
        const long long begin = tile + threadIdx.x * ITEMS;
        Pack<T> pack = row.load(x, begin);
        Product<T> so_far = all;
        so_far = so_far.times(before_thread<T>(of_warps, product_of(pack), all));
#pragma unroll
        for (int i = 0; i < ITEMS; ++i) pack.value[i] = next(so_far, pack.value[i], is_exclusive);
        row.store(y, begin, pack);
    }
}
