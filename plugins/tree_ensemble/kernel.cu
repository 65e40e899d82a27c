// Evaluate an ensemble of decision trees. A block takes a few samples and, in each round, a slice of the trees. First
// each thread walks from root to leaf for some (sample, tree) pairs and stores the leaves' ranges of weights in shared
// memory. Then all threads fetch weights, and each that owns a (sample, target) pair adds its own, in the order of the
// trees. So results do not depend on how samples are distributed to blocks.
//
// Adjacent threads walk through the same tree for adjacent samples, so that they share the first nodes of the tree.

using pluginkit::Aggregate, pluginkit::NodeKind, pluginkit::FEATURE_STRIDE, pluginkit::SLOTS, pluginkit::THREADS,
    pluginkit::TRACKS_NAN;  // from launches.py

// A row of `nodes`. A branch has the position of its feature times 16, plus 8 if NaN takes the true child, plus its
// NodeKind; of a leaf `first` and `last` are the range of its weights.
struct alignas(16) Node {
    int code;
    float threshold;
    int first;  // the child where the condition is true
    int last;   // the other child
};

// Where the weights of a leaf are; empty where a walk ends without one.
struct Range {
    int first, last;
};

__device__ __forceinline__ bool is_true(int branch, float value, float threshold) {
    switch (static_cast<NodeKind>(branch)) {
        case NodeKind::LEQ: return value <= threshold;
        case NodeKind::LT: return value < threshold;
        case NodeKind::GTE: return value >= threshold;
        case NodeKind::GT: return value > threshold;
        case NodeKind::EQ: return value == threshold;
        default: return value != threshold;
    }
}

// Return the range of the leaf that a sample reaches. Children come after their parents: a child that does not, or that
// is beyond the last node, ends the walk without a leaf.
__device__ __forceinline__ Range range_of(const Node* __restrict__ nodes, int count, int root,
                                          const float* __restrict__ x, int features, int weight_count) {
    int at = root, before = -1;
    while (at > before && at < count) {
        const Node node = nodes[at];
        const int branch = node.code % TRACKS_NAN;
        if (branch == static_cast<int>(NodeKind::LEAF)) return {max(node.first, 0), min(node.last, weight_count)};
        const int feature = node.code / FEATURE_STRIDE;
        if (feature < 0 || feature >= features) break;
        const float value = x[feature];
        const bool goes_first = is_true(branch, value, node.threshold) || (node.code & TRACKS_NAN && value != value);
        before = at;
        at = goes_first ? node.first : node.last;
    }
    return {0, 0};
}

// The score of one target of one sample so far.
struct Score {
    float value = 0;
    bool is_there = false;

    __device__ __forceinline__ void take(Aggregate aggregate, float weight) {
        const bool is_sum = aggregate == Aggregate::SUM || aggregate == Aggregate::AVERAGE;
        if (is_sum) {
            value += weight;
        } else if (!is_there || (aggregate == Aggregate::MIN ? weight < value : weight > value)) {
            value = weight;
        }
        is_there = true;
    }
};

// SPARSE: each weight has its own target; otherwise each leaf has a weight for each target, in order.
template <Aggregate AGGREGATE, bool SPARSE>
__global__ void __launch_bounds__(THREADS)
    tree_ensemble(float* __restrict__ scores, const float* __restrict__ x, const Node* __restrict__ nodes,
                  const int* __restrict__ roots, const float* __restrict__ weights, const int* __restrict__ targets,
                  long long samples, int features, int node_count, int trees, int weight_count, int target_count,
                  int block_samples, int block_targets, float unscored) {
    __shared__ Range ranges[SLOTS];
    __shared__ float fetched[SPARSE ? 1 : SLOTS];
    const long long first_sample = static_cast<long long>(blockIdx.x) * block_samples;
    const int own_sample = threadIdx.x / block_targets;
    const int target = blockIdx.y * block_targets + threadIdx.x % block_targets;
    const bool owns = own_sample < block_samples && first_sample + own_sample < samples && target < target_count;
    const int slice = SLOTS / block_samples;  // trees of a round
    Score score;
    for (int begin = 0; begin < trees; begin += slice) {
        const int size = min(slice, trees - begin);
        for (int pair = threadIdx.x; pair < size * block_samples; pair += THREADS) {
            const long long sample = first_sample + pair % block_samples;
            if (sample < samples) {
                const int root = roots[begin + pair / block_samples];
                ranges[pair] = range_of(nodes, node_count, root, x + sample * features, features, weight_count);
            }
        }
        __syncthreads();
        if constexpr (SPARSE) {
            for (int tree = 0; owns && tree < size; ++tree) {
                const Range range = ranges[tree * block_samples + own_sample];
                for (int at = range.first; at < range.last; ++at) {
                    if (targets[at] == target) score.take(AGGREGATE, weights[at]);
                }
            }
            __syncthreads();
        } else {
            const int owners = block_samples * block_targets;
            const int at_once = SLOTS / owners;  // trees whose weights are fetched together
            for (int tree = 0; tree < size; tree += at_once) {
                const int count = min(at_once, size - tree);
                for (int i = threadIdx.x; i < count * owners; i += THREADS) {
                    const int fetched_target = blockIdx.y * block_targets + i % block_targets;
                    const int pair = tree * block_samples + i / block_targets;
                    if (first_sample + pair % block_samples >= samples) continue;
                    const Range range = ranges[pair];
                    const bool has_weight = fetched_target < min(target_count, range.last - range.first);
                    if (has_weight) fetched[i] = weights[range.first + fetched_target];
                }
                __syncthreads();
                for (int i = 0; owns && i < count; ++i) {
                    const Range range = ranges[(tree + i) * block_samples + own_sample];
                    if (target < range.last - range.first) score.take(AGGREGATE, fetched[i * owners + threadIdx.x]);
                }
                __syncthreads();
            }
        }
    }
    if (!owns) return;
    if (!score.is_there) score.value = unscored;
    if (AGGREGATE == Aggregate::AVERAGE && score.is_there) score.value /= static_cast<float>(trees);
    scores[(first_sample + own_sample) * target_count + target] = score.value;
}
