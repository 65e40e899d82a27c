// Few trees of many samples need no team: a thread walks for a sample, and the caches keep the nodes. Where scores are few, a
// thread walks for each, and reads ahead. Where leaves of up to TOGETHER trees have several weights, a warp writes its scores
// together.

#include "walk.cuh"

using pluginkit::LeafWeights, pluginkit::MOST_WALKERS, pluginkit::TOGETHER;  // from launches.py

// Return a node that comes after another, or a leaf without weights.
__device__ __forceinline__ Node node_at(const Node* __restrict__ nodes, int count, int before, int at) {
    Node node = {static_cast<unsigned int>(NodeKind::LEAF), 0.0f, 0, 0};
    if (at > before && at < count) node = nodes[at];
    return node;
}

// Return the range of the leaf that a sample reaches, as range_of does, from a root that is read. Where few threads wait for
// memory, a walk reads both children while it reads the feature that chooses one of them.
__device__ __forceinline__ Range range_ahead(const Node* __restrict__ nodes, int count, int root, Node node,
                                             const Features<false>& features, int weight_count) {
    int at = root;
    while (true) {
        const NodeKind kind = static_cast<NodeKind>(node.code % TRACKS_NAN);
        if (kind == NodeKind::LEAF) return {max(node.first, 0), min(node.last, weight_count)};
        const unsigned int feature = node.code / FEATURE_STRIDE;
        if (feature >= features.count) return {0, 0};
        const float value = features[feature];
        const Node first = node_at(nodes, count, at, node.first), last = node_at(nodes, count, at, node.last);
        const bool is_first = goes_first(node, kind, value);
        at = is_first ? node.first : node.last, node = is_first ? first : last;
    }
}

// Write the scores of the samples of a warp, each of which has reached a leaf of each of the few trees. Adjacent lanes write
// adjacent scores.
template <Aggregate AGGREGATE>
__device__ __forceinline__ void write_together(float* __restrict__ scores, const float* __restrict__ weights,
                                               const Range (&ranges)[TOGETHER], int trees, long long samples, int target_count,
                                               float unscored) {
    const int lane = threadIdx.x % 32, samples_at_once = 32 / target_count, targets_more = 32 % target_count;
    const long long first = 1LL * blockIdx.x * blockDim.x + threadIdx.x - lane;
    const int count = static_cast<int>(min(samples - first, 32LL)) * target_count;
    const float scale = AGGREGATE == Aggregate::AVERAGE ? static_cast<float>(trees) : 1.0f;
    int sample = lane / target_count, target = lane - sample * target_count;
#pragma unroll 2
    for (int i = lane; i - lane < count; i += 32) {
        Score<AGGREGATE> score;
#pragma unroll
        for (int tree = 0; tree < TOGETHER; ++tree) {
            if (tree >= trees) break;
            const Range own = {__shfl_sync(~0u, ranges[tree].first, sample), __shfl_sync(~0u, ranges[tree].last, sample)};
            score.take(score.weight_of(weights, own, target));
        }
        if (i < count) scores[first * target_count + i] = score.is_there() ? score.value / scale : unscored;
        sample += samples_at_once, target += targets_more;
        if (target >= target_count) target -= target_count, ++sample;
    }
}

template <Aggregate AGGREGATE, LeafWeights LEAVES, bool LOOKS_AHEAD>
__global__ void __launch_bounds__(MOST_WALKERS)
    walk_alone(float* __restrict__ scores, const float* __restrict__ x, const Node* __restrict__ nodes,
               const int* __restrict__ roots, const float* __restrict__ weights, long long samples, int features,
               int node_count, int trees, int weight_count, int target_count, float unscored) {
    constexpr bool IS_SINGLE = LEAVES == LeafWeights::SINGLE, HAS_SAMPLE = IS_SINGLE || !LOOKS_AHEAD;
    const long long own = 1LL * blockIdx.x * blockDim.x + threadIdx.x;
    const long long sample = HAS_SAMPLE ? own : static_cast<unsigned int>(own) / static_cast<unsigned int>(target_count);
    // The first tree mostly begins at the first node, which is read while the root is; the compiler would put it off.
    Node node = {};
    if constexpr (LOOKS_AHEAD) {
        node = node_at(nodes, node_count, -1, 0);
        asm volatile("" : "+r"(node.code), "+f"(node.threshold), "+r"(node.first), "+r"(node.last));
    }
    int root = trees > 0 ? roots[0] : -1;
    if (gridDim.x >= PREFETCHED) prefetch(nodes, node_count, weights, weight_count);  // fewer blocks lose time by it
    const Features<false> sample_features(x + sample * features, features, 0);
    if constexpr (HAS_SAMPLE && !IS_SINGLE) {
        Range ranges[TOGETHER] = {};
#pragma unroll
        for (int tree = 0; tree < TOGETHER; ++tree) {
            if (tree >= trees) break;
            const int next_root = tree + 1 < trees ? roots[tree + 1] : -1;
            if (sample < samples) ranges[tree] = range_of(nodes, node_count, root, sample_features, weight_count);
            root = next_root;
        }
        write_together<AGGREGATE>(scores, weights, ranges, trees, samples, target_count, unscored);
        return;
    }
    if (sample >= samples) return;
    const float scale = AGGREGATE == Aggregate::AVERAGE ? static_cast<float>(trees) : 1.0f;
    const int target = HAS_SAMPLE ? 0 : static_cast<int>(own - sample * target_count);
    Score<AGGREGATE> score;
    if (LOOKS_AHEAD && root != 0) node = node_at(nodes, node_count, -1, root);
    for (int tree = 0; tree < trees; ++tree) {
        const int next_root = tree + 1 < trees ? roots[tree + 1] : -1;
        Range range;
        if constexpr (LOOKS_AHEAD) {
            const Node next = node_at(nodes, node_count, -1, next_root);
            range = range_ahead(nodes, node_count, root, node, sample_features, weight_count);
            node = next;
        } else {
            range = range_of(nodes, node_count, root, sample_features, weight_count);
        }
        root = next_root;
        score.take(score.weight_of(weights, range, target));
    }
    scores[own] = score.is_there() ? score.value / scale : unscored;
}
