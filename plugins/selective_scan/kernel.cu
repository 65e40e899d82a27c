// SelectiveScan: LANES adjacent lanes take one channel, each STATES of its states, and walk through time. TIME steps at
// a time, each lane loads one step of u and delta and leaves it in shared memory for the others; afterwards each lane
// holds what its states add to TIME outputs, and the lanes exchange these until each has the whole sum of one output.
//
// Where channels are too few for a GPU, several warps share a channel's time: all but the last first compute only the
// state at the end of their part, from a state of 0, and how much remains of the state before. With these each warp
// starts from the right state.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

using pluginkit::LANES, pluginkit::MOST_WARPS;  // from launches.py

constexpr int TIME = LANES, CHANNELS = 32 / LANES, QUAD = 4, QUADS = TIME / QUAD;
constexpr float LOG2_E = 1.44269504f, SOFTPLUS_THRESHOLD = 20.0f;

struct Sizes {
    int channels, length, heads, groups, states, decays;
};

// One step in time: delta, or how much of the state remains where that is the same for all states, and delta * u.
struct Step {
    float delta, input;
};

template <typename T> struct alignas(sizeof(T) * QUAD) Quad {
    T value[QUAD];
};

__device__ __forceinline__ float exp2_of(float x) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
    return result;
}

__device__ __forceinline__ float softplus(float x) { return x > SOFTPLUS_THRESHOLD ? x : log1pf(expf(x)); }

// Load four steps of a row; those at `end` or later are 0.
template <typename T>
__device__ __forceinline__ Quad<T> load_quad(const T* __restrict__ row, int time, int end, bool is_wide) {
    Quad<T> quad = {};
    if (is_wide) {
        if (time < end) quad = *reinterpret_cast<const Quad<T>*>(row + time);
    } else {
#pragma unroll
        for (int i = 0; i < QUAD; ++i) {
            if (time + i < end) quad.value[i] = row[time + i];
        }
    }
    return quad;
}

// What a lane reads for TIME steps: its own step of u, delta and z, and all steps of B and C if it holds one state.
template <typename T, int STATES> struct Tile {
    static constexpr int KEPT = STATES == 1 ? QUADS : 0;
    T u, delta, z;
    Quad<T> b[KEPT + 1], c[KEPT + 1];
};

// What a lane reads of its channel, and the states that it holds.
template <typename T, int STATES> struct Channel {
    const T *u, *delta, *z, *b[STATES], *c[STATES];  // z may be null
    float decay[STATES];                             // A * log2(e)
    float bias, skip;                                // delta_bias and D, or 0
    bool has_state[STATES], has_softplus, is_wide;
    int lane;
    float state[STATES];
    float deltas;  // the sum of those steps that this lane has loaded

    template <bool WRITES> __device__ __forceinline__ Tile<T, STATES> load(int start, int end) const {
        Tile<T, STATES> tile = {};
        const int time = start + lane;
        if (time < end) {
            tile.u = u[time];
            tile.delta = delta[time];
            if (WRITES && z != nullptr) tile.z = z[time];
        }
#pragma unroll
        for (int quad = 0; quad < Tile<T, STATES>::KEPT; ++quad) {
            tile.b[quad] = load_quad(b[0], start + QUAD * quad, end, is_wide);
            if constexpr (WRITES) tile.c[quad] = load_quad(c[0], start + QUAD * quad, end, is_wide);
        }
        return tile;
    }

    // Walk from time `begin` to `end`. With WRITES write outputs to `out`, or nothing if it is null.
    template <bool IS_SCALAR, bool WRITES>
    __device__ __forceinline__ void walk(Step* steps, T* __restrict__ out, int begin, int end) {
        Tile<T, STATES> next = load<WRITES>(begin, end);
        for (int start = begin; start < end; start += TIME) {
            const Tile<T, STATES> tile = next;
            next = load<WRITES>(start + TIME, end);  // needed only after this tile
            const int time = start + lane;
            const bool is_inside = time < end;
            const float x = static_cast<float>(tile.u);
            float step = 0.0f;
            if (is_inside) {
                step = static_cast<float>(tile.delta) + bias;
                if (has_softplus) step = softplus(step);
            }
            deltas += step;
            __syncwarp();  // the steps before are read
            steps[lane] = {IS_SCALAR ? exp2_of(step * decay[0]) : step, step * x};
            __syncwarp();
            float sums[TIME] = {};
#pragma unroll
            for (int quad = 0; quad < QUADS; ++quad) {
                const int left = end - start - QUAD * quad;  // steps from here; later ones must not change the state
                if (left <= 0) break;
                const bool is_whole = is_wide || left >= QUAD;
#pragma unroll
                for (int s = 0; s < STATES; ++s) {
                    const bool is_kept = Tile<T, STATES>::KEPT > 0;
                    Quad<T> in = tile.b[is_kept ? quad : 0], read = tile.c[is_kept ? quad : 0];
                    if (!is_kept) in = load_quad(b[s], start + QUAD * quad, end, is_wide);
                    if (!is_kept && WRITES) read = load_quad(c[s], start + QUAD * quad, end, is_wide);
#pragma unroll
                    for (int i = 0; i < QUAD; ++i) {
                        if (!is_whole && i >= left) break;
                        const Step at = steps[QUAD * quad + i];
                        const float kept = IS_SCALAR ? at.delta : exp2_of(at.delta * decay[s]);
                        state[s] = kept * state[s] + at.input * static_cast<float>(in.value[i]);
                        if (WRITES && has_state[s]) {
                            sums[QUAD * quad + i] += state[s] * static_cast<float>(read.value[i]);
                        }
                    }
                }
            }
            if constexpr (WRITES) {
                float y = exchanged(sums) + skip * x;
                if (z != nullptr) {
                    const float gate = static_cast<float>(tile.z);
                    y *= gate / (1.0f + expf(-gate));
                }
                if (is_inside && out != nullptr) out[time] = static_cast<T>(y);
            }
        }
    }

    // Return the sum over the lanes of the channel of element `lane`.
    __device__ __forceinline__ float exchanged(float (&sums)[TIME]) {
#pragma unroll
        for (int half = TIME / 2; half > 0; half /= 2) {
            const bool is_upper = lane & half;
#pragma unroll
            for (int i = 0; i < half; ++i) {
                const float given = is_upper ? sums[i] : sums[i + half];
                const float kept = is_upper ? sums[i + half] : sums[i];
                sums[i] = kept + __shfl_xor_sync(~0u, given, half);
            }
        }
        return sums[0];
    }
};

template <typename T, int STATES, bool IS_SCALAR>
__global__ void __launch_bounds__(32 * MOST_WARPS)
    selective_scan(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u,
                   const T* __restrict__ delta, const float* __restrict__ a, const T* __restrict__ b,
                   const T* __restrict__ c, const float* __restrict__ d, const T* __restrict__ z,
                   const float* __restrict__ delta_bias, const float* __restrict__ initial_state, long long rows,
                   Sizes sizes, int parts, bool has_softplus, bool is_wide) {
    __shared__ Step steps[MOST_WARPS][CHANNELS][TIME];
    __shared__ float ends[MOST_WARPS][32 * STATES], deltas[MOST_WARPS][CHANNELS];
    const int warp = threadIdx.x / 32, part = warp % parts, in_warp = threadIdx.x % 32, group = in_warp / LANES;
    const int warps = blockDim.x / 32;
    const long long wanted = (1LL * blockIdx.x * (warps / parts) + warp / parts) * CHANNELS + group;
    const bool is_there = wanted < rows;
    const long long row = is_there ? wanted : rows - 1, item = row / sizes.channels;  // others compute the last again
    const int channel = static_cast<int>(row % sizes.channels), head = channel / (sizes.channels / sizes.heads);
    const long long matrix = item * sizes.groups + channel / (sizes.channels / sizes.groups);

    Channel<T, STATES> own;
    own.lane = in_warp % LANES;
    own.has_softplus = has_softplus;
    own.is_wide = is_wide;
    own.u = u + row * sizes.length;
    own.delta = delta + (item * sizes.heads + head) * sizes.length;
    own.z = z == nullptr ? nullptr : z + row * sizes.length;
    own.bias = delta_bias == nullptr ? 0.0f : delta_bias[head];
    own.skip = d == nullptr ? 0.0f : d[head];
    own.deltas = 0.0f;
    float first[STATES];
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        const int number = s * LANES + own.lane, state = min(number, sizes.states - 1);
        own.has_state[s] = number < sizes.states;
        own.b[s] = b + (matrix * sizes.states + state) * sizes.length;
        own.c[s] = c + (matrix * sizes.states + state) * sizes.length;
        own.decay[s] = a[1LL * head * sizes.decays + min(state, sizes.decays - 1)] * LOG2_E;
        first[s] = initial_state == nullptr ? 0.0f : initial_state[row * sizes.states + state];
        own.state[s] = 0.0f;
    }
    const int tiles = (sizes.length + TIME - 1) / TIME, most = (tiles + parts - 1) / parts * TIME;
    const int begin = min(part * most, sizes.length), end = min(begin + most, sizes.length);
    Step* const my_steps = steps[warp][group];
    if (parts > 1) {
        if (part < parts - 1) own.template walk<IS_SCALAR, false>(my_steps, nullptr, begin, end);
#pragma unroll
        for (int s = 0; s < STATES; ++s) ends[warp][s * 32 + in_warp] = own.state[s];
#pragma unroll
        for (int half = LANES / 2; half > 0; half /= 2) {
            own.deltas += __shfl_xor_sync(~0u, own.deltas, half);
        }
        if (own.lane == 0) deltas[warp][group] = own.deltas;
        __syncthreads();
        for (int before = warp - part; before < warp; ++before) {
            const float passed = deltas[before][group];
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                first[s] = exp2_of(passed * own.decay[s]) * first[s] + ends[before][s * 32 + in_warp];
            }
        }
    }
#pragma unroll
    for (int s = 0; s < STATES; ++s) own.state[s] = first[s];
    own.template walk<IS_SCALAR, true>(my_steps, is_there ? out + row * sizes.length : nullptr, begin, end);
    if (part != parts - 1 || !is_there) return;
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        if (own.has_state[s]) last_state[row * sizes.states + s * LANES + own.lane] = own.state[s];
    }
}
