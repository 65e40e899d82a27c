// MaxPool with indices of few windows, of some elements each: a warp takes a window, of which each lane reads an element or a
// few, and the lane that has the greatest writes it. A thread alone would go through them one after the other.

#include "../_cuda/ordered_keys.cuh"
#include "../_cuda/warp_extremes.cuh"
#include "windows.cuh"

using pluginkit::FEW_THREADS;  // from launches.py

// What is less than the key of every element.
constexpr unsigned int NO_KEY = 0;

// The arguments are those of max_pool.
template <typename T, typename Offset, int ORDER, int RANK, int KZ, int KY, int KX, int SZ, int SY, int SX, int DZ, int DY, int DX,
          int PACK, int PHASE, bool IS_PADDED>
__global__ void __launch_bounds__(FEW_THREADS)
    max_pool_few(T* __restrict__ y, long long* __restrict__ indices, const T* __restrict__ x, Axes axes, Divisor columns_of_y,
                 Divisor rows_of_y, Divisor layers_of_y, Offset windows) {
    constexpr int COUNT = KZ * KY * KX, EACH = (COUNT + 31) / 32;
    const Offset window = static_cast<Offset>(blockIdx.x) * (FEW_THREADS / 32) + threadIdx.x / 32;
    if (window >= windows) return;
    const int lane = threadIdx.x % 32;
    Offset plane = window;
    int left = columns_of_y.split(plane) * SX, top = RANK > 1 ? rows_of_y.split(plane) * SY : 0;
    int near = RANK > 2 ? layers_of_y.split(plane) * SZ : 0;
    if (IS_PADDED) left -= axes.x.pad, top -= axes.y.pad;
    if (IS_PADDED && RANK > 2) near -= axes.z.pad;
    const T* own = x + plane * (RANK > 2 ? axes.z.size : 1) * axes.y.size * axes.x.size;

    using Place = SignedOf<Offset>;
    T elements[EACH];
    Place places[EACH];
    bool are_there[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int number = i * 32 + lane, line = number / KX;
        const int row = RANK > 2 ? line % KY : line, layer = RANK > 2 ? line / KY : 0;
        const int at_x = left + number % KX * DX, at_y = top + row * DY, at_z = near + layer * DZ;
        are_there[i] = (COUNT % 32 == 0 || number < COUNT)
            && (!IS_PADDED || (is_in(axes.x, at_x) && is_in(axes.y, at_y) && (RANK < 3 || is_in(axes.z, at_z))));
        places[i] = (at_z * static_cast<Place>(axes.y.size) + at_y) * axes.x.size + at_x;
        elements[i] = are_there[i] ? own[places[i]] : static_cast<T>(lowest<T>());
    }
    unsigned int key = NO_KEY;
    int first = lane;
    T greatest = elements[0];
    Place place = places[0];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const unsigned int bits = __float_as_uint(static_cast<float>(elements[i]));
        const unsigned int other = are_there[i] ? key_of<float>(bits) : NO_KEY;
        if (other > key) key = other, first = i * 32 + lane, greatest = elements[i], place = places[i];
    }
    const unsigned int of_all = highest_of<32>(key);
    const int first_of_all = least_of<32>(key == of_all ? first : COUNT);
    if (key != of_all || first != first_of_all) return;
    if (IS_PADDED && key == NO_KEY) {  // a window of padding alone
        const Place at_z = first_inside(axes.z, near, DZ), at_y = first_inside(axes.y, top, DY);
        place = (at_z * axes.y.size + at_y) * axes.x.size + first_inside(axes.x, left, DX);
    }
    y[window] = greatest;
    indices[window] = index_of<ORDER>(axes, plane, place);
}
