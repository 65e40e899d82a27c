"""CircPad's kernel with offsets of 32 bits, and with 64 bits for large tensors."""

import numpy as np
from numba import cuda


def _kernel(integer):
    """Return the kernel with offsets of one type; division is much faster with 32 bits."""

    def circ_pad(x, y, x_sizes, y_sizes, shifts):
        """Fill ``y`` from ``x``, both flat; a thread writes one element.

        The last three arguments are tuples with a number for each dimension. The first dimension
        combines all those before the padded ones. Element ``i`` along a dimension of ``y`` is
        element ``(i + shift) mod size`` of ``x``.
        """
        element = cuda.grid(1)
        if element >= y.size:
            return
        rest = integer(element)
        source = integer(0)
        stride = integer(1)
        for dim in range(len(y_sizes) - 1, 0, -1):
            x_size = integer(x_sizes[dim])
            y_size = integer(y_sizes[dim])
            outer = integer(rest // y_size)
            inner = integer(rest - outer * y_size + integer(shifts[dim]))
            source = integer(source + integer(inner % x_size) * stride)
            stride = integer(stride * x_size)
            rest = outer
        y[element] = x[integer(source + rest * stride)]

    return circ_pad


circ_pad = _kernel(np.uint32)
circ_pad_wide = _kernel(np.uint64)
