// How a sample walks through a tree from its root to a leaf, and how the weights of leaves become a score.

#pragma once

using pluginkit::Aggregate, pluginkit::NodeKind, pluginkit::AT_ONCE, pluginkit::FEATURE_STRIDE, pluginkit::MOST_LINES,
    pluginkit::PREFETCHED, pluginkit::TRACKS_NAN;  // from launches.py

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

// Return whether a branch leads to its first child.
__device__ __forceinline__ bool goes_first(const Node& node, NodeKind kind, float value) {
    bool is_less = value <= node.threshold;  // as in most trees
    if (kind != NodeKind::LEQ || value != value) is_less = is_true(node, value);
    return is_less;
}

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
        before = at;
        at = goes_first(node, kind, features[feature]) ? node.first : node.last;
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
