// SelectiveScan: LANES adjacent lanes take one channel, each STATES adjacent states of it, and walk through time. TIME
// steps at a time, the lanes share out the steps of u and delta and leave them in shared memory for each other.
// Afterwards each lane holds what its states add to TIME outputs, and the lanes exchange these until each has the sums
// of its own steps.
//
// Where that leaves a GPU idle, warps share a channel's time: ends_of_parts computes for all parts but the last only the
// state at their end, from a state of 0, and how much remains of the state before. With these each warp of selective_scan
// starts from the right state.

#include "../_cuda/overlap.cuh"
#include "scan.cuh"

using pluginkit::FEWEST_TIME, pluginkit::PART_WARPS, pluginkit::QUAD;  // from launches.py

// How many steps in time the lanes of a channel load at once.
template <int LANES> constexpr int TIME = LANES > FEWEST_TIME ? LANES : FEWEST_TIME;
// One step in time: delta, or how much of the state remains where that is the same for all states, and delta * u.
struct Step {
    float delta, input;
};

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

// What the kernels read of all channels; z, delta_bias and what one of them does not read may be null.
template <typename T> struct Tensors {
    const T *u, *delta;
    const float* a;
    const T *b, *c, *z;
    const float* delta_bias;
};

// What a lane reads of its channel in its part of the time, and the states that it holds.
// IS_COMPACT says that every lane holds STATES states.
template <typename T, int LANES, int STATES, bool IS_COMPACT> struct Channel {
    static constexpr int TIME = ::TIME<LANES>, OWN = TIME / LANES, QUADS = TIME / QUAD, CHANNELS = 32 / LANES;
    // The steps of the channels of a warp; one more than TIME, so that channels are in different banks.
    using Steps = Step[CHANNELS][TIME + 1];
    const T *u, *delta, *z, *b, *c;          // z may be null
    long long row;                           // the channel among those of all items
    int head, part, begin, end;              // which part of the time
    bool is_there;                           // whether its outputs are written
    float decay[STATES];                     // A * log2(e)
    float bias, skip = 0.0f;                 // delta_bias and D, or 0
    int lane, first_state, count, stride;    // how many states it holds, from which on, and how far apart rows are
    bool has_softplus, is_wide;              // whether packs of steps are aligned
    float state[STATES] = {};
    float deltas = 0.0f;  // the sum of those steps that this lane has loaded

    __device__ __forceinline__ Channel(const Tensors<T>& all, long long rows, const Sizes& sizes, int parts, bool has_softplus)
        : has_softplus(has_softplus) {
        const int warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32, in_warp = threadIdx.x % 32;
        const long long wanted = 1LL * (warp / parts) * CHANNELS + in_warp / LANES;
        is_there = wanted < rows;
        row = is_there ? wanted : rows - 1;  // others compute the last again
        const longlong2 of_item = divided(row, sizes.channels);
        const int channel = static_cast<int>(of_item.y), matrix = channel / (sizes.channels / sizes.groups);
        head = channel / (sizes.channels / sizes.heads);
        lane = in_warp % LANES;
        first_state = lane * STATES;
        count = min(max(sizes.states - first_state, 0), STATES);
        stride = sizes.groups * sizes.states;
        is_wide = sizes.length % OWN == 0;
        u = all.u + row * sizes.length;
        delta = all.delta + (of_item.x * sizes.heads + head) * sizes.length;
        z = all.z == nullptr ? nullptr : all.z + row * sizes.length;
        const long long first = of_item.x * sizes.length * stride + matrix * sizes.states + (count > 0 ? first_state : 0);
        b = all.b + first;
        c = all.c + first;
        bias = all.delta_bias == nullptr ? 0.0f : all.delta_bias[head];
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            decay[s] = all.a[1LL * head * sizes.decays + min(first_state + s, sizes.decays - 1)] * LOG2_E;
        }
        const int tiles = (sizes.length + TIME - 1) / TIME, most = (tiles + parts - 1) / parts * TIME;
        part = warp % parts;
        begin = min(part * most, sizes.length);
        end = min(begin + most, sizes.length);
    }

    // Return the sum of the steps that all lanes of the channel have loaded.
    __device__ __forceinline__ float all_deltas() const {
        float sum = deltas;
#pragma unroll
        for (int half = LANES / 2; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
        return sum;
    }

    // Go on over steps of this sum, after which a state of 0 would be as `ends` says, in every `stride`-th place.
    __device__ __forceinline__ void pass(float (&state)[STATES], float deltas, const float* ends, int stride) const {
#pragma unroll
        for (int s = 0; s < STATES; ++s) state[s] = decay_over(deltas * decay[s]) * state[s] + ends[s * stride];
    }

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
        const int time = start + lane * OWN;
        return load_pack<OWN>(row + time, end - time, is_wide);
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
            if (z != nullptr) y = gated(y, static_cast<float>(tile.z.value[i]));
            pack.value[i] = static_cast<T>(y);
        }
        store_pack(out + time, pack, end - time, is_wide);
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

    // Walk through the part. With WRITES write outputs to `out`, or nothing if it is null.
    template <bool IS_SCALAR, bool WRITES>
    __device__ __forceinline__ void walk(Steps& of_warp, T* __restrict__ out) {
        Step* const steps = of_warp[threadIdx.x % 32 / LANES];
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

// What the workspace has of each warp: the states at the end of its part, from a state of 0, and the sum of its steps.
template <int STATES> struct Ends {
    Pack<float, STATES>* states;
    float* deltas;

    __device__ __forceinline__ Ends(float* workspace, long long warps)
        : states(reinterpret_cast<Pack<float, STATES>*>(workspace)), deltas(workspace + 32 * STATES * warps) {}

    // Go on over the parts of some warps, and return the sum of their steps.
    template <typename Own>
    __device__ __forceinline__ float pass(const Own& own, float (&state)[STATES], long long from, long long to) const {
        float sum = 0.0f;
#pragma unroll 4
        for (long long at = from * 32 + threadIdx.x % 32; at < to * 32; at += 32) {
            const Pack<float, STATES> ends = states[at];
            const float passed = deltas[at];
            own.pass(state, passed, ends.value, 1);
            sum += passed;
        }
        return sum;
    }
};

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
__global__ void __launch_bounds__(32 * PART_WARPS)
    ends_of_parts(float* __restrict__ workspace, const T* __restrict__ u, const T* __restrict__ delta,
                  const float* __restrict__ a, const T* __restrict__ b, const float* __restrict__ delta_bias, long long rows,
                  Sizes sizes, int parts, bool has_softplus) {
    using Own = Channel<T, LANES, STATES, IS_COMPACT>;
    __shared__ typename Own::Steps steps[PART_WARPS];
    let_next_launch_begin();
    Own own({u, delta, a, b, nullptr, nullptr, delta_bias}, rows, sizes, parts, has_softplus);
    if (own.part == parts - 1) return;
    own.template walk<IS_SCALAR, false>(steps[threadIdx.x / 32], nullptr);
    const Ends<STATES> ends(workspace, 1LL * gridDim.x * PART_WARPS);
    const long long place = 1LL * blockIdx.x * 32 * PART_WARPS + threadIdx.x;
    ends.deltas[place] = own.all_deltas();
    Pack<float, STATES> states;
#pragma unroll
    for (int s = 0; s < STATES; ++s) states.value[s] = own.state[s];
    ends.states[place] = states;
}

// `workspace` has what ends_of_parts writes, which is not __restrict__: the compiler could read it before it waits for that
// launch. Parts are as many as some blocks have warps, or 1.
template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
__global__ void __launch_bounds__(32 * PART_WARPS, STATES == 4 ? 2 : 1)
    selective_scan(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u,
                   const T* __restrict__ delta, const float* __restrict__ a, const T* __restrict__ b,
                   const T* __restrict__ c, const float* __restrict__ d, const T* __restrict__ z,
                   const float* __restrict__ delta_bias, const float* __restrict__ initial_state, float* workspace,
                   long long rows, Sizes sizes, int parts, bool has_softplus) {
    using Own = Channel<T, LANES, STATES, IS_COMPACT>;
    __shared__ typename Own::Steps steps[PART_WARPS];
    __shared__ float ends[PART_WARPS][32 * STATES], deltas[PART_WARPS][32];
    const int warps = blockDim.x / 32, warp = threadIdx.x / 32, in_warp = threadIdx.x % 32;
    Own own({u, delta, a, b, c, z, delta_bias}, rows, sizes, parts, has_softplus);
    own.skip = d == nullptr ? 0.0f : d[own.head];
    float first[STATES];
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        const int state = min(own.first_state + s, sizes.states - 1);
        first[s] = initial_state == nullptr ? 0.0f : initial_state[own.row * sizes.states + state];
    }
    wait_for_earlier_launches();
    if (parts > 1) {
        // Each warp goes over some of the parts before the block, then over all of these, and over those of the block.
        const Ends<STATES> all(workspace, 1LL * gridDim.x * warps);
        const long long block = 1LL * blockIdx.x * warps, blocks = (own.part - warp) / warps;
        const long long from = block - (warps - warp) * blocks;
        deltas[warp][in_warp] = all.pass(own, own.state, from, from + blocks);
#pragma unroll
        for (int s = 0; s < STATES; ++s) ends[warp][s * 32 + in_warp] = own.state[s];
        __syncthreads();
        for (int i = 0; i < warps; ++i) own.pass(first, deltas[i][in_warp], ends[i] + in_warp, 32);
        all.pass(own, first, block, block + warp);
    }
#pragma unroll
    for (int s = 0; s < STATES; ++s) own.state[s] = first[s];
    own.template walk<IS_SCALAR, true>(steps[warp], own.is_there ? out + own.row * sizes.length : nullptr);
    if (own.part != parts - 1 || !own.is_there) return;
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        if (s < own.count) last_state[own.row * sizes.states + own.first_state + s] = own.state[s];
    }
}
