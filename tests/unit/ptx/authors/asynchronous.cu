// Tiles that come by asynchronous copies, as authors write them with libcu++ and cooperative groups.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda/ptx>

namespace cg = cooperative_groups;
using u32 = unsigned;
using Barrier = cuda::barrier<cuda::thread_scope_block>;

// Each sums n / 128 tiles of 128 words, every thread the words at its mirrored place.

extern "C" __global__ void by_pipeline(u32* out, const u32* in, int n) {
    __shared__ alignas(16) u32 tiles[2][128];
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    auto block = cg::this_thread_block();
    auto pipeline = cuda::make_pipeline(block, &state);
    u32 sum = 0;
    for (int begun = 0, t = 0; t < n / 128; ++t) {
        for (; begun < n / 128 && begun < t + 2; ++begun) {
            pipeline.producer_acquire();
            cuda::memcpy_async(block, tiles[begun % 2], in + begun * 128, sizeof(tiles[0]), pipeline);
            pipeline.producer_commit();
        }
        pipeline.consumer_wait();
        sum += tiles[t % 2][127 - threadIdx.x];
        pipeline.consumer_release();
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void by_barriers(u32* out, const u32* in, int n) {
    __shared__ u32 tiles[2][128];
    __shared__ Barrier ready[2], filled[2];
    if (threadIdx.x < 2) {
        init(&ready[threadIdx.x], 256);
        init(&filled[threadIdx.x], 256);
    }
    __syncthreads();
    const int lane = threadIdx.x % 128;
    u32 sum = 0;
    if (threadIdx.x >= 128)
        for (int s = 0; s < 2; ++s) (void)ready[s].arrive();
    for (int t = 0; t < n / 128; ++t) {
        if (threadIdx.x < 128) {
            ready[t % 2].arrive_and_wait();
            tiles[t % 2][lane] = in[t * 128 + lane];
            (void)filled[t % 2].arrive();
        } else {
            filled[t % 2].arrive_and_wait();
            sum += tiles[t % 2][127 - lane];
            (void)ready[t % 2].arrive();
        }
    }
    if (threadIdx.x >= 128) out[lane] = sum;
}

extern "C" __global__ void by_bulk_copies(u32* out, const u32* in, int n) {
    __shared__ alignas(128) u32 tile[128];
    __shared__ Barrier full;
    auto block = cg::this_thread_block();
    if (threadIdx.x == 0) init(&full, blockDim.x);
    block.sync();
    u32 sum = 0;
    for (int t = 0; t < n / 128; ++t) {
        cuda::memcpy_async(block, tile, in + t * 128, cuda::aligned_size_t<16>(sizeof(tile)), full);
        full.arrive_and_wait();
        sum += tile[127 - threadIdx.x];
        block.sync();
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void by_groups(u32* out, const u32* in, int n) {
    __shared__ alignas(16) u32 tile[128];
    auto block = cg::this_thread_block();
    u32 sum = 0;
    for (int t = 0; t < n / 128; ++t) {
        cg::memcpy_async(block, tile, in + t * 128, sizeof(tile));
        cg::wait(block);
        sum += tile[127 - threadIdx.x];
        block.sync();
    }
    out[threadIdx.x] = sum;
}

// Groups of two warps meet in shared memory that CUDA reserves.
extern "C" __global__ void by_groups_of_two_warps(u32* out, const u32* in, int n) {
    __shared__ u32 tile[128];
    auto group = cg::tiled_partition<64>(cg::this_thread_block());
    u32 sum = 0;
    for (int t = 0; t < n / 128; ++t) {
        tile[threadIdx.x] = in[t * 128 + 127 - threadIdx.x];
        group.sync();
        sum += tile[threadIdx.x / 64 * 64 + 63 - threadIdx.x % 64];
        group.sync();
    }
    out[threadIdx.x / 64 * 64 + 63 - threadIdx.x % 64] = sum;
}
