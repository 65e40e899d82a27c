// SelectiveScan of channels that are too few to fill a GPU if each takes its time step by step: LANES adjacent lanes take QUAD
// steps of a channel, each STATES adjacent states of it, and the groups of lanes of a warp, and warps of the block, take those
// that follow. Each group finds the state at the end of its steps, from a state of 0, and how much remains of the state before.
// From these of all groups before it follows the state from which it starts.

#include "scan.cuh"

using pluginkit::LANE_WARPS, pluginkit::QUAD;  // from launches.py

// Some steps in time: the state at their end from a state of 0, and the sum of what they are, times log2(e). Steps are
// multiplied by it, not decays: these would be waited for before all else is read.
template <int STATES> struct Span {
    float state[STATES], steps;

    // Return the state after these steps from the one before them.
    __device__ __forceinline__ float after(int s, float before, const float (&decay)[STATES]) const {
        return decay_over(steps * decay[s]) * before + state[s];
    }

    __device__ __forceinline__ Span of_lane_before(int lanes) const {
        Span span;
        span.steps = __shfl_up_sync(~0u, steps, lanes);
#pragma unroll
        for (int s = 0; s < STATES; ++s) span.state[s] = __shfl_up_sync(~0u, state[s], lanes);
        return span;
    }
};

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
__global__ void __launch_bounds__(32 * LANE_WARPS, STATES <= 4 ? 3 : 1)
    scan_in_lanes(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u, const T* __restrict__ delta,
                  const float* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c, const float* __restrict__ d,
                  const T* __restrict__ z, const float* __restrict__ delta_bias, const float* __restrict__ initial_state,
                  long long rows, Sizes sizes, Widths widths, bool has_softplus) {
    constexpr int GROUPS = 32 / LANES, OWN = LANES < QUAD ? QUAD / LANES : 1;  // the steps that a lane loads
    __shared__ float ends[2][LANE_WARPS][LANES * STATES + 1];
    const int in_warp = threadIdx.x % 32, group = in_warp / LANES, lane = in_warp % LANES;
    const int warp = threadIdx.x / 32, warps = blockDim.x / 32, first_warp = threadIdx.y * warps;
    const long long wanted = 1LL * blockIdx.x * blockDim.y + threadIdx.y;
    const long long row = min(wanted, rows - 1);  // others compute the last again
    long long item = row;
    int head = static_cast<int>(widths.item.split(item)), matrix = head;
    widths.head.split(head);
    widths.group.split(matrix);
    const int first_state = lane * STATES, count = IS_COMPACT ? STATES : min(max(sizes.states - first_state, 0), STATES);
    const int stride = sizes.groups * sizes.states;
    const bool is_wide = sizes.length % OWN == 0;
    const long long rows_before = item * sizes.length * stride + matrix * sizes.states + (count > 0 ? first_state : 0);
    const long long of_channel = row * sizes.length, of_head = (item * sizes.heads + head) * sizes.length;
    const float bias = delta_bias == nullptr ? 0.0f : delta_bias[head], skip = d == nullptr ? 0.0f : d[head];
    float decay[STATES], carried[STATES];
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        const int state = min(first_state + s, sizes.states - 1);
        decay[s] = a[1LL * head * sizes.decays + min(state, sizes.decays - 1)];
        carried[s] = initial_state == nullptr ? 0.0f : initial_state[row * sizes.states + state];
    }
    int buffer = 0;
    for (int start = 0; start < sizes.length; start += warps * GROUPS * QUAD, buffer ^= 1) {
        const int time = start + (warp * GROUPS + group) * QUAD, left = sizes.length - time;
        const int own = lane % QUAD * OWN, own_left = left - own;
        const Pack<T, OWN> x = load_pack<OWN>(u + of_channel + time + own, own_left, is_wide);
        const Pack<T, OWN> step_of = load_pack<OWN>(delta + of_head + time + own, own_left, is_wide);
        Pack<T, OWN> gate = {};
        if (z != nullptr) gate = load_pack<OWN>(z + of_channel + time + own, own_left, is_wide);
        Pack<T, STATES> in[QUAD] = {}, read[QUAD] = {};
        const long long first_row = rows_before + 1LL * stride * time;
        const T *b_row = b + first_row, *c_row = c + first_row;
#pragma unroll
        for (int i = 0; i < QUAD; ++i, b_row += stride, c_row += stride) {
            if (i >= left) continue;
            in[i] = load_pack<STATES>(b_row, count, IS_COMPACT);
            read[i] = load_pack<STATES>(c_row, count, IS_COMPACT);
        }
        float step[OWN];
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            step[i] = static_cast<float>(step_of.value[i]) + bias;
            if (has_softplus) step[i] = softplus(step[i]);
            if (i >= own_left) step[i] = 0.0f;
        }
        // What the lane's states add to outputs if they are 0 before the group, and how much what they are adds.
        float sums[QUAD] = {}, factors[QUAD][STATES], passed[STATES];
        Span<STATES> span = {};
#pragma unroll
        for (int i = 0; i < QUAD; ++i) {
            const int from = group * LANES + i / OWN;  // the lane that has this step
            const float own_input = step[i % OWN] * static_cast<float>(x.value[i % OWN]);
            const float now = LOG2_E * (LANES == 1 ? step[i] : __shfl_sync(~0u, step[i % OWN], from));
            const float input = LANES == 1 ? own_input : __shfl_sync(~0u, own_input, from);
            span.steps += now;
            float kept = 1.0f;
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                if (s == 0 || !IS_SCALAR) kept = i < left ? exp2_of(now * decay[s]) : 1.0f;
                span.state[s] = kept * span.state[s] + input * static_cast<float>(in[i].value[s]);
                passed[s] = i == 0 ? kept : fmaxf(kept * passed[s], fminf(kept, LEAST));
                const float weight = static_cast<float>(read[i].value[s]);
                sums[i] += span.state[s] * weight;
                factors[i][s] = passed[s] * weight;
            }
        }
#pragma unroll
        for (int groups = 1; groups < GROUPS; groups *= 2) {
            const Span<STATES> before = span.of_lane_before(groups * LANES);
            if (group >= groups) {
#pragma unroll
                for (int s = 0; s < STATES; ++s) span.state[s] = span.after(s, before.state[s], decay);
                span.steps += before.steps;
            }
        }
        float(&own_ends)[LANES * STATES + 1] = ends[buffer][first_warp + warp];
        if (group == GROUPS - 1) {
#pragma unroll
            for (int s = 0; s < STATES; ++s) own_ends[first_state + s] = span.state[s];
            if (lane == 0) own_ends[LANES * STATES] = span.steps;
        }
        span = span.of_lane_before(LANES);
        if (group == 0) span = {};
        __syncthreads();
        float state[STATES];
        for (int i = 0; i < warps; ++i) {
            const float(&others)[LANES * STATES + 1] = ends[buffer][first_warp + i];
            const float steps = others[LANES * STATES];
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                state[s] = i <= warp ? carried[s] : state[s];
                carried[s] = decay_over(steps * decay[s]) * carried[s] + others[first_state + s];
            }
        }
#pragma unroll
        for (int s = 0; s < STATES; ++s) state[s] = span.after(s, state[s], decay);
        float all = 0.0f;
#pragma unroll
        for (int i = 0; i < QUAD; ++i) {
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                if (IS_COMPACT || s < count) sums[i] += factors[i][s] * state[s];
            }
            all += sums[i];
        }
        if (__any_sync(~0u, isnan(all))) {  // an infinite weight times a sum is not the sum of its products: step by step
            const T *b_again = b + first_row, *c_again = c + first_row;
            asm volatile("" : "+l"(b_again), "+l"(c_again));  // or the compiler would keep the values in registers
#pragma unroll
            for (int i = 0; i < QUAD; ++i) {
                const int from = group * LANES + i / OWN;
                const float now = LOG2_E * __shfl_sync(~0u, step[i % OWN], from);
                const float input = __shfl_sync(~0u, step[i % OWN] * static_cast<float>(x.value[i % OWN]), from);
                sums[i] = 0.0f;
#pragma unroll
                for (int s = 0; s < STATES; ++s) {
                    if (i >= left || s >= count) continue;
                    const long long at = 1LL * stride * i + s;
                    state[s] = exp2_of(now * decay[s]) * state[s] + input * static_cast<float>(b_again[at]);
                    sums[i] += state[s] * static_cast<float>(c_again[at]);
                }
            }
        }
#pragma unroll
        for (int i = 0; i < QUAD; ++i) {
#pragma unroll
            for (int half = LANES / 2; half > 0; half /= 2) sums[i] += __shfl_xor_sync(~0u, sums[i], half);
        }
        Pack<T, OWN> results;
#pragma unroll
        for (int i = 0; i < OWN; ++i) {
            float y = sums[i];
#pragma unroll
            for (int other = 1; other < QUAD / OWN; ++other) y = lane % QUAD == other ? sums[other * OWN + i] : y;
            y += skip * static_cast<float>(x.value[i]);
            if (z != nullptr) y = gated(y, static_cast<float>(gate.value[i]));
            results.value[i] = static_cast<T>(y);
        }
        if (lane < QUAD && wanted < rows) store_pack(out + of_channel + time + own, results, own_left, is_wide);
    }
    if (warp > 0 || group > 0 || wanted >= rows) return;
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        if (s < count) last_state[row * sizes.states + first_state + s] = carried[s];
    }
}
