// Few trees of many samples need no team: a thread walks for a sample, and the caches keep the nodes. Or `share` threads do,
// which is as many as there are targets where there are several trees whose leaves have several weights. Where threads are few,
// each reads ahead.

#include "walk.cuh"

using pluginkit::LeafWeights, pluginkit::MOST_WALKERS;  // from launches.py

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

template <Aggregate AGGREGATE, LeafWeights LEAVES, bool LOOKS_AHEAD>
__global__ void __launch_bounds__(MOST_WALKERS)
    walk_alone(float* __restrict__ scores, const float* __restrict__ x, const Node* __restrict__ nodes,
               const int* __restrict__ roots, const float* __restrict__ weights, long long samples, int features,
               int node_count, int trees, int weight_count, int target_count, int share, float unscored) {
    const long long own = 1LL * blockIdx.x * blockDim.x + threadIdx.x;
    const long long sample = share == 1 ? own : static_cast<unsigned int>(own) / static_cast<unsigned int>(share);
    int root = trees > 0 ? roots[0] : -1;
    if (gridDim.x >= PREFETCHED) prefetch(nodes, node_count, weights, weight_count);  // fewer blocks lose time by it
    if (sample >= samples) return;
    const Features<false> sample_features(x + sample * features, features, 0);
    const float scale = AGGREGATE == Aggregate::AVERAGE ? static_cast<float>(trees) : 1.0f;
    int target = static_cast<int>(own - sample * share);
    Score<AGGREGATE> score;
    Range range = {0, 0};
    Node node = {};
    if constexpr (LOOKS_AHEAD) node = node_at(nodes, node_count, -1, root);
    for (int tree = 0; tree < trees; ++tree) {
        const int next_root = tree + 1 < trees ? roots[tree + 1] : -1;
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
    float* const own_scores = scores + sample * target_count;
    own_scores[target] = score.is_there() ? score.value / scale : unscored;
    if (LEAVES == LeafWeights::SINGLE) return;
#pragma unroll 4
    for (target += share; target < target_count; target += share) {
        score.value = score.weight_of(weights, range, target);
        own_scores[target] = score.is_there() ? score.value / scale : unscored;
    }
}
