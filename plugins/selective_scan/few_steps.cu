// SelectiveScan over few steps in time, as when a model writes a text token by token: LANES adjacent lanes take one channel,
// each STATES adjacent states of it. Nothing is shared but the sum over states.

#include "scan.cuh"

using pluginkit::THREADS;  // from launches.py

// Keep the compiler from loading a value where it is used, after the latency of all else.
__device__ __forceinline__ void load_now(float& value) { asm volatile("" : "+f"(value)); }

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT, int STEPS>
__global__ void __launch_bounds__(THREADS)
    few_steps(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u, const T* __restrict__ delta,
              const float* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c,
              const float* __restrict__ d, const T* __restrict__ z, const float* __restrict__ delta_bias,
              const float* __restrict__ initial_state, int rows, Sizes sizes, Widths widths, bool has_softplus) {
    const long long wanted = (1LL * blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    const int row = static_cast<int>(min(wanted, rows - 1LL)), lane = threadIdx.x % LANES;  // others compute the last again
    int item = row, head = widths.item.split(item), matrix = head;
    widths.head.split(head);
    widths.group.split(matrix);
    const int wanted_state = lane * STATES, count = IS_COMPACT ? STATES : min(max(sizes.states - wanted_state, 0), STATES);
    const int first_state = count > 0 ? wanted_state : 0;
    const long long own_states = 1LL * row * sizes.states + first_state;

    Pack<float, STATES> decay = {}, state = {};
    if constexpr (!IS_SCALAR) decay = load_pack<STATES>(a + 1LL * head * sizes.decays + first_state, count, IS_COMPACT);
    if (initial_state != nullptr) state = load_pack<STATES>(initial_state + own_states, count, IS_COMPACT);
    const float decay_of_head = IS_SCALAR ? a[head] : 0.0f;
    const float bias = delta_bias == nullptr ? 0.0f : delta_bias[head], skip = d == nullptr ? 0.0f : d[head];

    const long long of_channel = 1LL * row * sizes.length, of_head = (1LL * item * sizes.heads + head) * sizes.length;
    const int stride = sizes.groups * sizes.states;
    const long long of_item = 1LL * item * sizes.length * stride + matrix * sizes.states + first_state;
#pragma unroll 1
    for (int start = 0; start < sizes.length; start += STEPS) {
        const int left = sizes.length - start;
        float x[STEPS] = {}, step[STEPS] = {}, gate[STEPS] = {};
        float in[STEPS][STATES], read[STEPS][STATES];
        Pack<T, STATES> b_rows[STEPS] = {}, c_rows[STEPS] = {};
#pragma unroll
        for (int i = 0; i < STEPS; ++i) {
            if (STEPS > 1 && i >= left) continue;
            x[i] = static_cast<float>(u[of_channel + start + i]);
            step[i] = static_cast<float>(delta[of_head + start + i]);
            if (z != nullptr) gate[i] = static_cast<float>(z[of_channel + start + i]);
            b_rows[i] = load_pack<STATES>(b + of_item + 1LL * (start + i) * stride, count, IS_COMPACT);
            c_rows[i] = load_pack<STATES>(c + of_item + 1LL * (start + i) * stride, count, IS_COMPACT);
        }
#pragma unroll
        for (int i = 0; i < STEPS; ++i) {
            load_now(gate[i]);
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                load_now(in[i][s] = static_cast<float>(b_rows[i].value[s]));
                load_now(read[i][s] = static_cast<float>(c_rows[i].value[s]));
            }
        }
#pragma unroll
        for (int i = 0; i < STEPS; ++i) {
            step[i] += bias;
            if (has_softplus) step[i] = softplus(step[i]);
            if (STEPS > 1 && i >= left) step[i] = 0.0f;  // which keeps the state
            const float exponent = step[i] * LOG2_E;  // the decay is not waited for before all else is read
            float sum = 0.0f;
#pragma unroll
            for (int s = 0; s < STATES; ++s) {
                const float kept = exp2_of(exponent * (IS_SCALAR ? decay_of_head : decay.value[s]));
                state.value[s] = kept * state.value[s] + step[i] * x[i] * in[i][s];
                if (IS_COMPACT || s < count) sum += state.value[s] * read[i][s];
            }
#pragma unroll
            for (int half = LANES / 2; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
            if (lane == 0 && wanted < rows && (STEPS == 1 || i < left)) {
                const float y = sum + skip * x[i];
                out[of_channel + start + i] = static_cast<T>(z == nullptr ? y : gated(y, gate[i]));
            }
        }
    }
    if (wanted >= rows) return;
    store_pack(last_state + own_states, state, count, IS_COMPACT);
}
