"""CircPad's kernel, broken."""

from numba import cuda


def shift_forgotten(x, y, x_sizes, y_sizes, shifts):
    element = cuda.grid(1)
    if element >= y.size:
        return
    rest, source, stride = element, 0, 1
    for dim in range(len(y_sizes) - 1, 0, -1):
        outer = rest // y_sizes[dim]
        source += (rest - outer * y_sizes[dim]) % x_sizes[dim] * stride
        stride *= x_sizes[dim]
        rest = outer
    y[element] = x[source + rest * stride]


def last_element_forgotten(x, y, x_sizes, y_sizes, shifts):
    element = cuda.grid(1)
    if element >= y.size - 1:
        return
    rest, source, stride = element, 0, 1
    for dim in range(len(y_sizes) - 1, 0, -1):
        outer = rest // y_sizes[dim]
        source += (rest - outer * y_sizes[dim] + shifts[dim]) % x_sizes[dim] * stride
        stride *= x_sizes[dim]
        rest = outer
    y[element] = x[source + rest * stride]
