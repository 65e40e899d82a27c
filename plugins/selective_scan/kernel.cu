// SelectiveScan: LANES adjacent lanes take one channel, each STATES adjacent states of it, and walk through time. TIME
// steps at a time, the lanes share out the steps of u and delta and leave them in shared memory for each other.
// Afterwards each lane holds what its states add to TIME outputs, and the lanes exchange these until each has the sums
// of its own steps.
//
// Where channels are too few for a GPU, several warps share a channel's time: all but the last first compute only the
// state at the end of their part, from a state of 0, and how much remains of the state before. With these each warp
// starts from the right state.

#include "scan.cuh"

using pluginkit::FEWEST_TIME, pluginkit::MOST_WARPS;  // from launches.py

constexpr int QUAD = 4;

// How many steps in time the lanes of a channel load at once.
template <int LANES> constexpr int TIME = LANES > FEWEST_TIME ? LANES : FEWEST_TIME;
// The most warps of a block: lanes with many states need many registers.
template <int STATES> constexpr int WARPS = STATES == 4 ? MOST_WARPS : MOST_WARPS / 2;

// One step in time: delta, or how much of the state remains where that is the same for all states, and delta * u.
struct Step {
    float delta, input;
};

// Return how much remains after several steps. It is never 0 unless one step leaves nothing, so that an infinite state
// stays infinite as it would step by step.
__device__ __forceinline__ float decay_over(float exponent) {
    const float kept = exp2_of(exponent);
    return isinf(exponent) ? kept : fmaxf(kept, 1.17549435e-38f);
}

// Sum the elements over the lanes of the channel, so that the first ones are the sums of the lane's own steps.
template <int HALF, int MASK, int TIME> __device__ __forceinline__ void exchange(float (&sums)[TIME], int lane) {
    const bool is_upper = lane & MASK;
#pragma unroll
    for (int i = 0; i < HALF; ++i) {
        const float given = is_upper ? sums[i] : sums[i + HALF], kept = is_upper ? sums[i + HALF] : sums[i];
        sums[i] = kept + __shfl_xor_sync(~0u, given, MASK);
    }
    if constexpr (MASK > 1) exchange<HALF / 2, MASK / 2>(sums, lane);
}

// Four rows of B and of C, as far as they belong to a lane's states.
template <typename T, int STATES> struct Rows {
    Pack<T, STATES> b[QUAD], c[QUAD];
};

// The steps of u, delta and z that a lane loads of each TIME.
template <typename T, int OWN> struct Tile {
    Pack<T, OWN> u, delta, z;
};

// What a lane reads of its channel, and the states that it holds.
// IS_COMPACT says that every lane holds STATES states.
template <typename T, int LANES, int STATES, bool IS_COMPACT> struct Channel {
    static constexpr int TIME = ::TIME<LANES>, OWN = TIME / LANES, QUADS = TIME / QUAD;
    const T *u, *delta, *z, *b, *c;          // z may be null
    float decay[STATES];                     // A * log2(e)
    float bias, skip;                        // delta_bias and D, or 0
    int lane, count, stride;                 // how many states it holds, and how far apart rows are
    bool has_softplus, is_wide;              // whether packs of steps are aligned
    float state[STATES];
    float deltas;  // the sum of those steps that this lane has loaded

    // Load the rows of four steps. Those from `end` on are not used, and hold anything; IS_INSIDE says that none is.
    template <bool WRITES, bool IS_INSIDE> __device__ __forceinline__ Rows<T, STATES> load_rows(int time, int end) const {
        Rows<T, STATES> rows = {};
        if (IS_COMPACT && (IS_INSIDE || time + QUAD <= end)) {
#pragma unroll
            for (int i = 0; i < QUAD; ++i) {
                const long long row = 1LL * stride * (time + i);
                rows.b[i] = *reinterpret_cast<const Pack<T, STATES>*>(b + row);
                if constexpr (WRITES) rows.c[i] = *reinterpret_cast<const Pack<T, STATES>*>(c + row);
            }
        } else {
#pragma unroll
            for (int i = 0; i < QUAD; ++i) {
                const long long row = 1LL * stride * (time + i);
#pragma unroll
                for (int s = 0; s < STATES; ++s) {
                    if ((IS_INSIDE || time + i < end) && s < count) {
                        rows.b[i].value[s] = b[row + s];
                        if constexpr (WRITES) rows.c[i].value[s] = c[row + s];
                    }
                }
            }
        }
        return rows;
    }

    // Load the lane's own steps of a row, zeros from `end` on.
    __device__ __forceinline__ Pack<T, OWN> load_own(const T* __restrict__ row, int start, int end) const {
        Pack<T, OWN> pack = {};
        const int time = start + lane * OWN;
        if (is_wide && time + OWN <= end) return *reinterpret_cast<const Pack<T, OWN>*>(row + time);
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            if (time + i < end) pack.value[i] = row[time + i];
        }
        return pack;
    }

    template <bool WRITES> __device__ __forceinline__ Tile<T, OWN> load(int start, int end) const {
        Tile<T, OWN> tile = {load_own(u, start, end), load_own(delta, start, end), {}};
        if (WRITES && z != nullptr) tile.z = load_own(z, start, end);
        return tile;
    }

    // Go on by a step, and with WRITES add what the states give to its output.
    template <bool IS_SCALAR, bool WRITES>
    __device__ __forceinline__ void add(float& sum, const Step& at, const Pack<T, STATES>& in,
                                        const Pack<T, STATES>& read) {
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            const float kept = IS_SCALAR ? at.delta : exp2_of(at.delta * decay[s]);
            state[s] = kept * state[s] + at.input * static_cast<float>(in.value[s]);
            if (WRITES && (IS_COMPACT || s < count)) sum += state[s] * static_cast<float>(read.value[s]);
        }
    }

    // Write the outputs of the lane's own steps.
    __device__ __forceinline__ void write(const float (&sums)[TIME], const Tile<T, OWN>& tile, T* __restrict__ out,
                                          int start, int end) const {
        const int time = start + lane * OWN;
        Pack<T, OWN> pack;
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            float y = sums[i] + skip * static_cast<float>(tile.u.value[i]);
            if (z != nullptr) {
                const float gate = static_cast<float>(tile.z.value[i]);
                y *= gate / (1.0f + expf(-gate));
            }
            pack.value[i] = static_cast<T>(y);
        }
        if (is_wide && time + OWN <= end) {
            *reinterpret_cast<Pack<T, OWN>*>(out + time) = pack;
        } else {
#pragma unroll
            for (int i = 0; i < OWN; ++i) {
                if (time + i < end) out[time + i] = pack.value[i];
            }
        }
    }

    // Take TIME steps, of which IS_WHOLE says that none lies beyond `end`: without branches the steps overlap.
    template <bool IS_SCALAR, bool WRITES, bool IS_WHOLE>
    __device__ __forceinline__ void take_tile(Step* steps, const Tile<T, OWN>& tile, Rows<T, STATES>& next_rows,
                                              T* __restrict__ out, int start, int end) {
        __syncwarp();  // the steps before are read
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            float step = 0.0f;
            if (IS_WHOLE || start + lane * OWN + i < end) {
                step = static_cast<float>(tile.delta.value[i]) + bias;
                if (has_softplus) step = softplus(step);
            }
            deltas += step;
            steps[lane * OWN + i] = {IS_SCALAR ? exp2_of(step * decay[0]) : step,
                                     step * static_cast<float>(tile.u.value[i])};
        }
        __syncwarp();
        float sums[TIME] = {};
#pragma unroll
        for (int quad = 0; quad < QUADS; ++quad) {
            const Rows<T, STATES> rows = next_rows;
            const int next = start + QUAD * (quad + 1);
            if (IS_WHOLE && quad + 1 < QUADS) {
                next_rows = load_rows<WRITES, true>(next, end);
            } else {
                next_rows = load_rows<WRITES, false>(next, end);
            }
#pragma unroll
            for (int i = 0; i < QUAD; ++i) {
                if (IS_WHOLE || start + QUAD * quad + i < end) {  // later steps must not change the state
                    add<IS_SCALAR, WRITES>(sums[QUAD * quad + i], steps[QUAD * quad + i], rows.b[i], rows.c[i]);
                }
            }
        }
        if constexpr (WRITES) {
            exchange<TIME / 2, LANES / 2>(sums, lane);
            if (out != nullptr) write(sums, tile, out, start, end);
        }
    }

    // Walk from time `begin` to `end`. With WRITES write outputs to `out`, or nothing if it is null.
    template <bool IS_SCALAR, bool WRITES>
    __device__ __forceinline__ void walk(Step* steps, T* __restrict__ out, int begin, int end) {
        // What comes next is loaded before what is there is used.
        Tile<T, OWN> next = load<WRITES>(begin, end);
        Rows<T, STATES> next_rows = load_rows<WRITES, false>(begin, end);
        for (int start = begin; start < end; start += TIME) {
            const Tile<T, OWN> tile = next;
            next = load<WRITES>(start + TIME, end);
            if (start + TIME <= end) {
                take_tile<IS_SCALAR, WRITES, true>(steps, tile, next_rows, out, start, end);
            } else {
                take_tile<IS_SCALAR, WRITES, false>(steps, tile, next_rows, out, start, end);
            }
        }
    }
};

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
__global__ void __launch_bounds__(32 * WARPS<STATES>)
    selective_scan(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u,
                   const T* __restrict__ delta, const float* __restrict__ a, const T* __restrict__ b,
                   const T* __restrict__ c, const float* __restrict__ d, const T* __restrict__ z,
                   const float* __restrict__ delta_bias, const float* __restrict__ initial_state, long long rows,
                   Sizes sizes, int parts, bool has_softplus) {
    constexpr int CHANNELS = 32 / LANES;
    // One more than TIME, so that channels are in different banks.
    __shared__ Step steps[WARPS<STATES>][CHANNELS][TIME<LANES> + 1];
    __shared__ float ends[WARPS<STATES>][32 * STATES], deltas[WARPS<STATES>][CHANNELS];
    const int warp = threadIdx.x / 32, part = warp % parts, in_warp = threadIdx.x % 32, group = in_warp / LANES;
    const int warps = blockDim.x / 32;
    const long long wanted = (1LL * blockIdx.x * (warps / parts) + warp / parts) * CHANNELS + group;
    const bool is_there = wanted < rows;
    const long long row = is_there ? wanted : rows - 1, item = row / sizes.channels;  // others compute the last again
    const int channel = static_cast<int>(row % sizes.channels), head = channel / (sizes.channels / sizes.heads);
    const int matrix = channel / (sizes.channels / sizes.groups);

    Channel<T, LANES, STATES, IS_COMPACT> own;
    own.lane = in_warp % LANES;
    own.has_softplus = has_softplus;
    own.stride = sizes.groups * sizes.states;
    own.is_wide = sizes.length % (TIME<LANES> / LANES) == 0;
    own.u = u + row * sizes.length;
    own.delta = delta + (item * sizes.heads + head) * sizes.length;
    own.z = z == nullptr ? nullptr : z + row * sizes.length;
    const int first_state = own.lane * STATES;
    own.count = min(max(sizes.states - first_state, 0), STATES);
    const long long first_row =
        item * sizes.length * own.stride + matrix * sizes.states + (own.count > 0 ? first_state : 0);
    own.b = b + first_row;
    own.c = c + first_row;
    own.bias = delta_bias == nullptr ? 0.0f : delta_bias[head];
    own.skip = d == nullptr ? 0.0f : d[head];
    own.deltas = 0.0f;
    float first[STATES];
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        const int state = min(first_state + s, sizes.states - 1);
        own.decay[s] = a[1LL * head * sizes.decays + min(state, sizes.decays - 1)] * LOG2_E;
        first[s] = initial_state == nullptr ? 0.0f : initial_state[row * sizes.states + state];
        own.state[s] = 0.0f;
    }
    constexpr int AT_ONCE = TIME<LANES>;
    const int tiles = (sizes.length + AT_ONCE - 1) / AT_ONCE, most = (tiles + parts - 1) / parts * AT_ONCE;
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
                first[s] = decay_over(passed * own.decay[s]) * first[s] + ends[before][s * 32 + in_warp];
            }
        }
    }
#pragma unroll
    for (int s = 0; s < STATES; ++s) own.state[s] = first[s];
    own.template walk<IS_SCALAR, true>(my_steps, is_there ? out + row * sizes.length : nullptr, begin, end);
    if (part != parts - 1 || !is_there) return;
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        if (s < own.count) last_state[row * sizes.states + first_state + s] = own.state[s];
    }
}
