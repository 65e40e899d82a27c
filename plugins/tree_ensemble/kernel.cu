// Evaluate an ensemble of decision trees. A block takes a power of two of samples, whose features it copies to shared memory
// if they fit, and in each round a slice of the trees. First each thread walks from root to leaf for a sample and some
// trees. Then all threads fetch weights of leaves, and each that owns a (sample, target) pair adds its own, in the order
// of the trees. So results do not depend on how samples are distributed to blocks.
//
// Adjacent threads walk through the same tree for adjacent samples, so that they share the first nodes of the tree. In
// shared memory a feature lies beside the same one of the other samples, so that each of 32 samples has a bank.

#include "walk.cuh"

using pluginkit::LeafWeights, pluginkit::FETCHED, pluginkit::MOST_THREADS;  // from launches.py

// Copy COUNT features of samples to shared memory, feature by feature: a warp reads 8 features of 4 samples at once.
template <int COUNT>
__device__ __forceinline__ void copy_features(float* __restrict__ copied, const float* __restrict__ x, int features,
                                              int samples, int sample_bits, int first) {
    const int mask = (1 << sample_bits) - 1;
    float values[COUNT];
    int places[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        const int at = first + i * blockDim.x, sample = (at >> 3) & mask;
        const int feature = (at >> (sample_bits + 3)) * 8 + (at & 7);
        const bool is_there = feature < features && sample < samples;
        places[i] = is_there ? (feature << sample_bits) + sample : -1;
        if (is_there) values[i] = x[sample * features + feature];
    }
#pragma unroll
    for (int i = 0; i < COUNT; ++i) {
        if (places[i] >= 0) copied[places[i]] = values[i];
    }
}

// LEAVES: with one target a leaf has its weight, with several one for each target, in order; or each weight has its own
// target. IS_COPIED: whether the features of a block's samples are copied. `slice` is the trees of a round, a multiple of
// those that the block walks through at once. With the registers of two of the largest blocks enough warps wait for nodes.
template <Aggregate AGGREGATE, LeafWeights LEAVES, bool IS_COPIED>
__global__ void __launch_bounds__(MOST_THREADS, 2)
    tree_ensemble(float* __restrict__ scores, const float* __restrict__ x, const Node* __restrict__ nodes,
                  const int* __restrict__ roots, const float* __restrict__ weights, const int* __restrict__ targets,
                  long long samples, int features, int node_count, int trees, int weight_count, int target_count,
                  int block_samples, int block_targets, int slice, float unscored) {
    constexpr bool IS_SINGLE = LEAVES == LeafWeights::SINGLE;
    const int sample_bits = __ffs(block_samples) - 1;
    // Shared memory has the ranges of a slice or the fetched weights of some trees or both, then the features. The weights
    // of a score lie beside each other; 4 more than a multiple of 8 lie apart, so that those of 8 scores are in all banks.
    extern __shared__ float4 shared[];
    Range* const ranges = reinterpret_cast<Range*>(shared);
    float* const fetched = reinterpret_cast<float*>(IS_SINGLE ? ranges : ranges + (slice << sample_bits));
    const int owners = (IS_SINGLE ? 1 : block_targets) << sample_bits;
    const int at_once = IS_SINGLE ? slice : LEAVES == LeafWeights::SPARSE ? 0 : FETCHED / owners / AT_ONCE * AT_ONCE;
    const int pitch = at_once + 4;
    float* const copied = fetched + owners * pitch;
    const long long first_sample = static_cast<long long>(blockIdx.x) << sample_bits;
    const int present = static_cast<int>(min(samples - first_sample, 1LL * block_samples));
    x += first_sample * features;

    // The sample that the thread walks for, and its trees.
    const int walked_sample = threadIdx.x & (block_samples - 1), step = blockDim.x >> sample_bits;
    const int walked_trees = walked_sample < present ? trees : 0;
    int tree = threadIdx.x >> sample_bits, root = tree < walked_trees ? roots[tree] : -1;
    prefetch(nodes, node_count, weights, weight_count);
    if constexpr (IS_COPIED) {
        const int count = (features + 7) / 8 * 8 << sample_bits;
        int at = threadIdx.x;
        for (; at + 3 * blockDim.x < count; at += 4 * blockDim.x) {
            copy_features<4>(copied, x, features, present, sample_bits, at);
        }
        for (; at < count; at += blockDim.x) copy_features<1>(copied, x, features, present, sample_bits, at);
        __syncthreads();
    }
    const Features<IS_COPIED> sample_features(
        IS_COPIED ? copied + walked_sample : x + static_cast<long long>(walked_sample) * features, features,
        static_cast<int>(sizeof(float)) << sample_bits);
    // The score that it owns, and whose weights it fetches.
    const int groups = blockDim.x / owners, group = IS_SINGLE ? threadIdx.x >> sample_bits : threadIdx.x / owners;
    const int owned = threadIdx.x - group * owners, sample = IS_SINGLE ? owned : owned / block_targets;
    const int target = IS_SINGLE ? 0 : blockIdx.y * block_targets + owned % block_targets;
    const bool owns = group == 0 && sample < present && target < target_count;
    Score<AGGREGATE> score;
    for (int begin = 0; begin < trees; begin += slice) {
        const int size = min(slice, (trees - begin + AT_ONCE - 1) / AT_ONCE * AT_ONCE);
        for (; tree < begin + size; tree += step) {
            const int next_root = tree + step < walked_trees ? roots[tree + step] : -1;
            const Range range = range_of(nodes, node_count, root, sample_features, weight_count);
            if constexpr (IS_SINGLE) {
                fetched[walked_sample * pitch + tree - begin] = score.weight_of(weights, range, 0);
            } else {
                ranges[((tree - begin) << sample_bits) + walked_sample] = range;
            }
            root = next_root;
        }
        __syncthreads();
        if constexpr (LEAVES == LeafWeights::SINGLE) {
            if (owns) score.take_all(fetched + owned * pitch, size);
        } else if (LEAVES == LeafWeights::ORDERED && groups == 1) {
            for (int first = 0; owns && first < size; first += AT_ONCE) {
                float taken[AT_ONCE];
#pragma unroll
                for (int i = 0; i < AT_ONCE; ++i) {
                    const Range range = ranges[((first + i) << sample_bits) + sample];
                    taken[i] = score.weight_of(weights, range, target);
                }
#pragma unroll
                for (int i = 0; i < AT_ONCE; ++i) score.take(taken[i]);
            }
        } else if constexpr (LEAVES == LeafWeights::ORDERED) {
            for (int first = 0; first < size; first += at_once) {
                const int count = min(at_once, size - first);
#pragma unroll 4
                for (int i = group < groups ? group : count; i < count; i += groups) {
                    const Range range = ranges[((first + i) << sample_bits) + sample];
                    fetched[owned * pitch + i] = score.weight_of(weights, range, target);
                }
                __syncthreads();
                if (owns) score.take_all(fetched + owned * pitch, count);
                __syncthreads();
            }
        } else {
            for (int i = 0; owns && i < size; ++i) {
                const Range range = ranges[(i << sample_bits) + sample];
                for (int at = range.first; at < range.last; ++at) {
                    if (targets[at] == target) score.take(score.weight_of(weights, {at, at + 1}, 0));
                }
            }
        }
        __syncthreads();
    }
    if (!owns) return;
    const float scale = AGGREGATE == Aggregate::AVERAGE ? static_cast<float>(trees) : 1.0f;
    scores[(first_sample + sample) * target_count + target] = score.is_there() ? score.value / scale : unscored;
}
