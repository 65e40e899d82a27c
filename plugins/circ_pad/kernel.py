"""CircPad's kernel with offsets of 32 bits, and with 64 bits for large tensors."""

import numpy as np
from numba import cuda

from pluginkit.plugins.circ_pad import AT_ONCE


@cuda.jit(device=True, inline="always")
def _near_quotient(number, by, reciprocal):
    """Return ``number // by``, of which the reciprocal is 2^32 - 1 divided by ``by``.

    A multiplication is several times as fast as a division.
    """
    quotient = cuda.libdevice.umulhi(number, np.uint32(reciprocal))
    return np.uint32(quotient + np.uint32(number - quotient * by >= by))


@cuda.jit(device=True, inline="always")
def _far_quotient(number, by, reciprocal):
    return number // by


def _kernel(integer, quotient):
    """Return the kernel with offsets of one type, and with its division."""

    def circ_pad(x, y, x_sizes, y_sizes, shifts, x_reciprocals, y_reciprocals):
        """Fill ``y`` from ``x``, both flat; a thread writes elements that lie a grid apart.

        The other arguments are tuples with a number for each dimension. The first dimension
        combines all those before the padded ones. Element ``i`` along a dimension of ``y`` is
        element ``(i + shift) mod size`` of ``x``.
        """
        first, step = cuda.grid(1), cuda.gridsize(1)
        values = cuda.local.array(AT_ONCE, x.dtype)
        for turn in range(AT_ONCE):
            element = first + turn * step
            if element < y.size:
                rest, source, stride = integer(element), integer(0), integer(1)
                for dim in range(len(y_sizes) - 1, 0, -1):
                    x_size, y_size = integer(x_sizes[dim]), integer(y_sizes[dim])
                    outer = quotient(rest, y_size, y_reciprocals[dim])
                    inner = integer(rest - outer * y_size + integer(shifts[dim]))
                    turns = quotient(inner, x_size, x_reciprocals[dim])
                    source = integer(source + integer(inner - turns * x_size) * stride)
                    stride = integer(stride * x_size)
                    rest = outer
                values[turn] = x[integer(source + rest * stride)]
        for turn in range(AT_ONCE):
            element = first + turn * step
            if element < y.size:
                y[element] = values[turn]

    return circ_pad


circ_pad = _kernel(np.uint32, _near_quotient)
circ_pad_wide = _kernel(np.uint64, _far_quotient)
