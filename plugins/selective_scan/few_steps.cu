// SelectiveScan over few steps in time, as when a model writes a text token by token: LANES adjacent lanes take one channel,
// each STATES adjacent states of it. Nothing is shared but the sum over states.

#include "scan.cuh"

using pluginkit::THREADS;  // from launches.py

// Load what belongs to a lane's states, zeros for those that are not there. IS_COMPACT says that all are.
template <int STATES, bool IS_COMPACT, typename E>
__device__ __forceinline__ Pack<E, STATES> load_states(const E* __restrict__ from, int count) {
    if constexpr (IS_COMPACT) return *reinterpret_cast<const Pack<E, STATES>*>(from);
    Pack<E, STATES> pack = {};
#pragma unroll
    for (int s = 0; s < STATES; ++s) {
        if (s < count) pack.value[s] = from[s];
    }
    return pack;
}

template <typename T, int LANES, int STATES, bool IS_SCALAR, bool IS_COMPACT>
__global__ void __launch_bounds__(THREADS)
    few_steps(T* __restrict__ out, float* __restrict__ last_state, const T* __restrict__ u, const T* __restrict__ delta,
              const float* __restrict__ a, const T* __restrict__ b, const T* __restrict__ c,
              const float* __restrict__ d, const T* __restrict__ z, const float* __restrict__ delta_bias,
              const float* __restrict__ initial_state, int rows, Sizes sizes, bool has_softplus) {
    const long long wanted = (static_cast<long long>(blockIdx.x) * THREADS + threadIdx.x) / LANES;
    const int row = static_cast<int>(min(wanted, rows - 1LL)), lane = threadIdx.x % LANES;  // others compute the last again
    const int item = row / sizes.channels, channel = row - item * sizes.channels;
    const int head = channel / (sizes.channels / sizes.heads), matrix = channel / (sizes.channels / sizes.groups);
    const int wanted_state = lane * STATES, count = min(max(sizes.states - wanted_state, 0), STATES);
    const int first_state = count > 0 ? wanted_state : 0;
    const long long own_states = 1LL * row * sizes.states + first_state;

    Pack<float, STATES> decay = {}, state = {};
    if constexpr (!IS_SCALAR) decay = load_states<STATES, IS_COMPACT>(a + 1LL * head * sizes.decays + first_state, count);
    if (initial_state != nullptr) state = load_states<STATES, IS_COMPACT>(initial_state + own_states, count);
    const float decay_of_head = IS_SCALAR ? a[head] * LOG2_E : 0.0f;
    const float bias = delta_bias == nullptr ? 0.0f : delta_bias[head], skip = d == nullptr ? 0.0f : d[head];

    for (int time = 0; time < sizes.length; ++time) {
        const long long at = 1LL * row * sizes.length + time, step_at = 1LL * item * sizes.length + time;
        const long long matrix_row = (step_at * sizes.groups + matrix) * sizes.states + first_state;
        const float x = static_cast<float>(u[at]);
        float step = static_cast<float>(delta[(1LL * item * sizes.heads + head) * sizes.length + time]) + bias;
        if (has_softplus) step = softplus(step);
        const Pack<T, STATES> in = load_states<STATES, IS_COMPACT>(b + matrix_row, count);
        const Pack<T, STATES> read = load_states<STATES, IS_COMPACT>(c + matrix_row, count);
        float sum = 0.0f;
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            const float kept = exp2_of(step * (IS_SCALAR ? decay_of_head : decay.value[s] * LOG2_E));
            state.value[s] = kept * state.value[s] + step * x * static_cast<float>(in.value[s]);
            if (IS_COMPACT || s < count) sum += state.value[s] * static_cast<float>(read.value[s]);
        }
#pragma unroll
        for (int half = LANES / 2; half > 0; half /= 2) sum += __shfl_xor_sync(~0u, sum, half);
        if (lane == 0 && wanted < rows) {
            const float gate = z == nullptr ? 0.0f : static_cast<float>(z[at]);
            const float y = sum + skip * x;
            out[at] = static_cast<T>(z == nullptr ? y : y * (gate / (1.0f + expf(-gate))));
        }
    }
    if (wanted >= rows) return;
    if constexpr (IS_COMPACT) {
        *reinterpret_cast<Pack<float, STATES>*>(last_state + own_states) = state;
    } else {
#pragma unroll
        for (int s = 0; s < STATES; ++s) {
            if (s < count) last_state[own_states + s] = state.value[s];
        }
    }
}
