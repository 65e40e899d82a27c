"""CircPad's kernel with offsets of 32 bits, and with 64 bits for large tensors."""

import numpy as np
from numba import cuda

from pluginkit.plugins.circ_pad import AT_ONCE


def _kernel(integer, at_once):
    """Return the kernel with offsets of one type; division is much faster with 32 bits."""

    def circ_pad(x, y, x_sizes, y_sizes, shifts, step):
        """Fill ``y`` from ``x``, both flat; a thread writes one element of so many items.

        The tuples have a number for each dimension. The first dimension, of items, combines all
        those before the padded ones; a thread's items are ``step`` apart. Element ``i`` along a
        dimension of ``y`` is element ``(i + shift) mod size`` of ``x``.
        """
        element, items, step = integer(cuda.grid(1)), integer(x_sizes[0]), integer(step)
        item, source, x_stride, y_stride = element, integer(0), integer(1), integer(1)
        for dim in range(len(y_sizes) - 1, 0, -1):
            x_size = integer(x_sizes[dim])
            y_size = integer(y_sizes[dim])
            outer = integer(item // y_size)
            inner = integer(item - outer * y_size + integer(shifts[dim]))
            source = integer(source + integer(inner % x_size) * x_stride)
            x_stride = integer(x_stride * x_size)
            y_stride = integer(y_stride * y_size)
            item = outer
        if item >= step:
            return
        values = cuda.local.array(at_once, x.dtype)
        for turn in range(at_once):  # all loads are on their way before the first store
            if item + integer(turn) * step < items:
                values[turn] = x[integer(source + (item + integer(turn) * step) * x_stride)]
        for turn in range(at_once):
            if item + integer(turn) * step < items:
                y[integer(element + integer(turn) * step * y_stride)] = values[turn]

    return circ_pad


circ_pad = _kernel(np.uint32, 1)
circ_pad_items = _kernel(np.uint32, AT_ONCE)
circ_pad_wide = _kernel(np.uint64, AT_ONCE)
