// Evaluate an ensemble of decision trees. A block takes a power of two of samples, whose features it copies to shared memory
// if they fit, and in each round a slice of the trees. First each thread walks from root to leaf for a sample and some
// trees. Then all threads fetch weights of leaves, and each that owns a (sample, target) pair adds its own, in the order
// of the trees. So results do not depend on how samples are distributed to blocks.
//
// Adjacent threads walk through the same tree for adjacent samples, so that they share the first nodes of the tree. In
// shared memory a feature lies beside the same one of the other samples, so that each of 32 samples has a bank.

using pluginkit::Aggregate, pluginkit::LeafWeights, pluginkit::NodeKind, pluginkit::AT_ONCE, pluginkit::FEATURE_STRIDE,
    pluginkit::FETCHED, pluginkit::MOST_LINES, pluginkit::MOST_THREADS, pluginkit::PREFETCHED, pluginkit::TRACKS_NAN,
    pluginkit::MOST_WALKERS;  // from launches.py

// A row of `nodes`. A branch has the position of its feature times 16, plus 8 if NaN takes the true child, plus its
// NodeKind; of a leaf `first` and `last` are the range of its weights.
struct alignas(16) Node {
    unsigned int code;
    float threshold;
    int first;  // the child where the condition is true
    int last;   // the other child
};

// Where the weights of a leaf are; empty where a walk ends without one.
struct Range {
    int first, last;
};

// Return whether the condition of a branch is true for a value.
__device__ __forceinline__ bool is_true(const Node& node, float value) {
    if (value != value && node.code & TRACKS_NAN) return true;
    switch (static_cast<NodeKind>(node.code % TRACKS_NAN)) {
        case NodeKind::LEQ: return value <= node.threshold;
        case NodeKind::LT: return value < node.threshold;
        case NodeKind::GTE: return value >= node.threshold;
        case NodeKind::GT: return value > node.threshold;
        case NodeKind::EQ: return value == node.threshold;
        default: return value != node.threshold;
    }
}

// The features of a sample, in shared memory if IS_SHARED, and how many bytes they lie apart. The compiler knows nothing of
// the address: it would compute it for every feature.
template <bool IS_SHARED> struct Features {
    unsigned long long address;
    int count, stride;

    __device__ __forceinline__ Features(const float* first, int count, int stride)
        : address(IS_SHARED ? __cvta_generic_to_shared(first) : reinterpret_cast<unsigned long long>(first)),
          count(count), stride(stride) {
        asm volatile("" : "+l"(address));
    }

    __device__ __forceinline__ float operator[](int feature) const {
        float value;
        if constexpr (IS_SHARED) {
            const unsigned int place = static_cast<unsigned int>(address) + feature * stride;
            asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(place));
        } else {
            value = __ldg(reinterpret_cast<const float*>(address) + feature);
        }
        return value;
    }
};

// Return the range of the leaf that a sample reaches. Children come after their parents: a child that does not, or that
// is beyond the last node, ends the walk without a leaf.
template <bool IS_SHARED>
__device__ __forceinline__ Range range_of(const Node* __restrict__ nodes, int count, int root,
                                          const Features<IS_SHARED>& features, int weight_count) {
    int at = root, before = -1;
    while (at > before && at < count) {
        const Node node = nodes[at];
        const NodeKind kind = static_cast<NodeKind>(node.code % TRACKS_NAN);
        if (kind == NodeKind::LEAF) return {max(node.first, 0), min(node.last, weight_count)};
        const unsigned int feature = node.code / FEATURE_STRIDE;
        if (feature >= features.count) break;
        const float value = features[feature];
        bool goes_first = value <= node.threshold;  // as in most trees
        if (kind != NodeKind::LEQ || value != value) goes_first = is_true(node, value);
        before = at;
        at = goes_first ? node.first : node.last;
    }
    return {0, 0};
}

// The score of one target of one sample so far. Where no weight is there it is what weight_of never returns, which is
// neutral: negative zero to a sum, and to an extreme a NaN.
template <Aggregate AGGREGATE> struct Score {
    static constexpr bool IS_SUM = AGGREGATE == Aggregate::SUM || AGGREGATE == Aggregate::AVERAGE;
    float value = absent();

    __device__ __forceinline__ static float absent() { return __int_as_float(IS_SUM ? 0x80000000 : 0xffffffff); }

    // Return the weight of a target in a leaf that has one for each target, in order.
    __device__ __forceinline__ static float weight_of(const float* __restrict__ weights, const Range& range, int target) {
        if (target >= range.last - range.first) return absent();
        const float weight = weights[range.first + target];
        if (IS_SUM) return weight + 0.0f;
        return weight == weight ? weight : __int_as_float(0x7fffffff);
    }

    __device__ __forceinline__ bool is_there() const { return __float_as_int(value) != __float_as_int(absent()); }

    __device__ __forceinline__ void take(float weight) {
        if (IS_SUM) {
            value += weight;
        } else if (!is_there() || (AGGREGATE == Aggregate::MIN ? weight < value : weight > value)) {
            value = weight;
        }
    }

    // Take weights that lie beside each other, a multiple of AT_ONCE. They are read while those before are added.
    __device__ __forceinline__ void take_all(const float* weight, int count) {
        constexpr int PACKS = AT_ONCE / 4;
        const float4* const packs = reinterpret_cast<const float4*>(weight);
        float4 next[PACKS];
#pragma unroll
        for (int i = 0; i < PACKS; ++i) next[i] = packs[i];
#pragma unroll 1
        for (int first = PACKS; first * 4 <= count; first += PACKS) {
            float4 now[PACKS];
#pragma unroll
            for (int i = 0; i < PACKS; ++i) {
                now[i] = next[i];
                if (first * 4 < count) next[i] = packs[first + i];
            }
#pragma unroll
            for (int i = 0; i < PACKS; ++i) take(now[i].x), take(now[i].y), take(now[i].z), take(now[i].w);
        }
    }
};

// Read cache lines into the L2 cache, from the nodes and the weights: one by each thread, and more as long as few samples
// share few. A walk waits for one node after the other, and blocks walk through the same trees at the same time.
__device__ __forceinline__ void prefetch(const Node* nodes, int node_count, const float* weights, int weight_count) {
    const int node_lines = (node_count + 7) / 8, lines = node_lines + (weight_count + 31LL) / 32;
    int line = min(1LL * blockIdx.x * blockDim.x + threadIdx.x, 1LL * lines), most = lines;
#pragma unroll 1
    for (int i = 0; i < min(gridDim.x, PREFETCHED) && line < most; ++i) {
        const void* const node = nodes + line * 8LL;
        asm volatile("prefetch.global.L2 [%0];" ::"l"(line < node_lines ? node : weights + (line - node_lines) * 32LL));
        line += gridDim.x * blockDim.x, most = min(lines, MOST_LINES);
    }
}

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

// Few trees of many samples need no team: a thread walks for a sample, and the caches keep the nodes. Or `share` threads do,
// which is as many as there are targets where there are several trees whose leaves have several weights.
template <Aggregate AGGREGATE, LeafWeights LEAVES>
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
    for (int tree = 0; tree < trees; ++tree) {
        const int next_root = tree + 1 < trees ? roots[tree + 1] : -1;
        range = range_of(nodes, node_count, root, sample_features, weight_count);
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
