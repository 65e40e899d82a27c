// CircPad: a thread writes some elements that lie beside each other in y, which may be those of several rows.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../_cuda/division.cuh"
#include "../_cuda/vectors.cuh"

using pluginkit::MOST_THREADS;  // from launches.py

// Along one axis: the sizes of y and x. Element i of y is element (i + shift) mod x of x.
struct Axis {
    Divisor y, x;
    long long shift;
};

// Where an element of y comes from: its place along each axis in y and in x.
template <typename Offset, int AXES> struct Place {
    Offset item, of_y[AXES], of_x[AXES];

    __device__ __forceinline__ Place(const Axis (&axes)[AXES], Offset element) : item(element) {
#pragma unroll
        for (int axis = AXES - 1; axis >= 0; --axis) {
            of_y[axis] = axes[axis].y.split(item);
            Offset shifted = of_y[axis] + static_cast<Offset>(axes[axis].shift);
            of_x[axis] = axes[axis].x.split(shifted);
        }
    }

    // Go on to the next element of y.
    template <int AXIS = AXES - 1> __device__ __forceinline__ void advance(const Axis (&axes)[AXES]) {
        of_x[AXIS] = of_x[AXIS] + 1 == static_cast<Offset>(axes[AXIS].x.count) ? 0 : of_x[AXIS] + 1;
        if (++of_y[AXIS] < static_cast<Offset>(axes[AXIS].y.count)) return;
        of_y[AXIS] = 0, of_x[AXIS] = axes[AXIS].shift;
        if constexpr (AXIS > 0) {
            advance<AXIS - 1>(axes);
        } else {
            ++item;
        }
    }

    __device__ __forceinline__ Offset source(const Axis (&axes)[AXES]) const {
        Offset place = item;
#pragma unroll
        for (int axis = 0; axis < AXES; ++axis) place = place * static_cast<Offset>(axes[axis].x.count) + of_x[axis];
        return place;
    }

    // Return whether the next COUNT elements lie beside each other in x, too.
    template <int COUNT> __device__ __forceinline__ bool is_run(const Axis& inner) const {
        return of_y[AXES - 1] + COUNT <= static_cast<Offset>(inner.y.count) && of_x[AXES - 1] + COUNT <= static_cast<Offset>(inner.x.count);
    }
};

template <int AXES> struct Axes {
    Axis axis[AXES];
};

// The axes before the first padded one are one of items. COUNT is 1 or the elements of an aligned vector of y.
template <typename T, typename Offset, int AXES, int BYTES>
__global__ void __launch_bounds__(MOST_THREADS)
    circ_pad(T* __restrict__ y, const T* __restrict__ x, Axes<AXES> axes, Offset size) {
    constexpr int COUNT = BYTES < sizeof(T) ? 1 : BYTES / sizeof(T);
    const Offset first = (1LL * blockIdx.x * blockDim.x + threadIdx.x) * COUNT;
    if (first >= size) return;
    Place<Offset, AXES> place(axes.axis, first);
    const Offset source = place.source(axes.axis);
    Vector<T, COUNT> values = {};
    if (COUNT == 1 || (source % COUNT == 0 && place.template is_run<COUNT>(axes.axis[AXES - 1]))) {
        values = Vector<T, COUNT>::read(x + source);
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (first + i < size) values.element[i] = x[place.source(axes.axis)];
            place.advance(axes.axis);
        }
    }
    if (first + COUNT <= size) {
        values.write(y + first);
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            if (first + i < size) y[first + i] = values.element[i];
        }
    }
}
