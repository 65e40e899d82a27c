// SelectiveScan over few steps in time, as when a model writes a text token by token: LANES adjacent lanes take one channel,
// each STATES adjacent states of it. Nothing is shared but the sum over states.

#include "scan.cuh"

using pluginkit::THREADS;  // from launches.py

// Keep the compiler from loading a value where it is used, after the latency of all else.
__device__ __forceinline__ void load_now(float& value) { asm volatile("" : "+f"(value)); }

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
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
    const float decay_of_head = IS_SCALAR ? a[head] * LOG2_E : 0.0f;
    const float bias = delta_bias == nullptr ? 0.0f : delta_bias[head], skip = d == nullptr ? 0.0f : d[head];

    for (int time = 0; time < sizes.length; ++time) {
        const long long at = 1LL * row * sizes.length + time, step_at = 1LL * item * sizes.length + time;
        const long long matrix_row = (step_at * sizes.groups + matrix) * sizes.states + first_state;
        const float x = static_cast<float>(u[at]);
        float gate = z == nullptr ? 0.0f : static_cast<float>(z[at]), in[STATES], read[STATES];
        const Pack<T, STATES> b_row = load_pack<STATES>(b + matrix_row, count, IS_COMPACT);
        const Pack<T, STATES> c_row = load_pack<STATES>(c + matrix_row, count, IS_COMPACT);
        load_now(gate);
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            load_now(in[s] = static_cast<float>(b_row.value[s]));
            load_now(read[s] = static_cast<float>(c_row.value[s]));
        }
        float step = static_cast<float>(delta[(1LL * item * sizes.heads + head) * sizes.length + time]) + bias;
        if (has_softplus) step = softplus(step);
        float sum = 0.0f;
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            const float kept = exp2_of(step * (IS_SCALAR ? decay_of_head : decay.value[s] * LOG2_E));
            state.value[s] = kept * state.value[s] + step * x * in[s];
            if (IS_COMPACT || s < count) sum += state.value[s] * read[s];
        }
#pragma unroll
        for (int half = LANES / 2; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
        if (lane == 0 && wanted < rows) {
            const float y = sum + skip * x;
            out[at] = static_cast<T>(z == nullptr ? y : y * (gate / (1.0f + expf(-gate))));
        }
    }
    if (wanted >= rows) return;
    store_pack(last_state + own_states, state, count, IS_COMPACT);
}
