"""GridSample's kernels for any number of spatial axes, with a thread for each output element.

numba has no bfloat16, so these kernels take its bits as uint16.
"""

import math

import numpy as np
from numba import cuda
from numba.cuda.extending import register_jitable

from pluginkit.plugins.grid_sample.reference import FAR, PADDINGS, TAPS

_FAR = np.float32(FAR)
#: A channel and up to six spatial axes; the taps along each.
_MAX_DIMS, _MAX_TAPS = 7, max(TAPS.values())
_BORDER, _REFLECTION = PADDINGS.index("border"), PADDINGS.index("reflection")
_OUTSIDE = -1


@register_jitable
def _plain(value):
    return np.float32(value)


@register_jitable
def _from_bits(bits):
    word = cuda.local.array(1, np.uint32)
    word[0] = np.uint32(bits) << np.uint32(16)
    return word.view(np.float32)[0]


@register_jitable
def _to_bits(value):
    """Round to the nearest bfloat16, halves to even; NaN stays NaN."""
    if value != value:
        return np.uint16(0x7FC0)
    number = cuda.local.array(1, np.float32)
    number[0] = value
    word = np.uint64(number.view(np.uint32)[0])
    odd = (word >> np.uint64(16)) & np.uint64(1)
    return np.uint16((word + np.uint64(0x7FFF) + odd) >> np.uint64(16))


@register_jitable
def _pixel(coordinate, size, align_corners):
    """Return the coordinate in pixels; float64 between two roundings keeps them separate."""
    shifted = coordinate + np.float32(1)
    if align_corners:
        x = shifted * np.float32(0.5) * np.float32(size - 1)
    else:
        product = shifted * np.float32(size)
        x = np.float32((np.float64(product) - 1.0) * 0.5)
    if not x >= -_FAR:  # NaN too
        return -_FAR
    return min(x, _FAR)


@register_jitable
def _padded(index, size, padding, align_corners):
    """Return the index that is read in place of ``index``, or _OUTSIDE."""
    if 0 <= index < size:
        return index
    if padding == _BORDER:
        return min(max(index, 0), size - 1)
    if padding == _REFLECTION:
        if align_corners and size == 1:
            return 0
        edge = 0 if align_corners else 1
        period = 2 * (size - 1 + edge)
        at = (index if index >= 0 else -edge - index) % period
        return at if at < size else period - edge - at
    return _OUTSIDE


@register_jitable
def _weight(tap, taps, t):
    if taps == 2:
        return t if tap == 1 else np.float32(1) - t
    distance = abs(t + np.float32(1 - tap))
    if 1 <= tap <= 2:
        return (np.float32(1.25) * distance - np.float32(2.25)) * distance * distance + np.float32(
            1
        )
    outer = np.float32(-0.75) * distance + np.float32(3.75)
    return (outer * distance - np.float32(6)) * distance + np.float32(3)


def _nearest(coordinate_of):
    """Return the kernel for mode nearest, which copies elements of any type."""

    def nearest(y, x, grid, sizes, taps, padding, align_corners):
        """Fill ``y`` (items * channels, locations) from ``x`` (items * channels, elements).

        ``grid`` is (items, locations, axes). ``sizes`` are the channels of an item and the spatial
        sizes of x.
        """
        element = cuda.grid(1)
        if element >= y.size:
            return
        channel, location = element // y.shape[1], element % y.shape[1]
        point = grid[channel // sizes[0], location]
        offset = np.int64(0)
        is_inside = True
        for axis in range(1, len(sizes)):
            size = sizes[axis]
            pixel = _pixel(coordinate_of(point[len(sizes) - 1 - axis]), size, align_corners)
            index = _padded(np.int64(round(pixel)), size, padding, align_corners)
            is_inside = is_inside and index != _OUTSIDE
            offset = offset * size + index
        y[channel, location] = x[channel, offset] if is_inside else x.dtype.type(0)

    return nearest


def _interpolate(value_of, coordinate_of, rounded):
    """Return the kernel for modes linear and cubic, for one way to read and write elements."""

    def interpolate(y, x, grid, sizes, taps, padding, align_corners):
        """Do the same as ``nearest``, with ``taps`` taps along each axis."""
        element = cuda.grid(1)
        if element >= y.size:
            return
        channel, location = element // y.shape[1], element % y.shape[1]
        point = grid[channel // sizes[0], location]
        indices = cuda.local.array((_MAX_DIMS, _MAX_TAPS), np.int64)
        weights = cuda.local.array((_MAX_DIMS, _MAX_TAPS), np.float32)
        combinations = 1
        for axis in range(1, len(sizes)):
            size = sizes[axis]
            pixel = _pixel(coordinate_of(point[len(sizes) - 1 - axis]), size, align_corners)
            floor = np.int64(math.floor(pixel))
            for tap in range(taps):
                index = floor + tap - (taps // 2 - 1)
                indices[axis, tap] = _padded(index, size, padding, align_corners)
                weights[axis, tap] = _weight(tap, taps, np.float32(pixel - np.float32(floor)))
            combinations *= taps
        total = np.float32(0)
        for combination in range(combinations):
            rest = combination
            offset, stride = np.int64(0), np.int64(1)
            weight = np.float32(1)
            is_inside = True
            for axis in range(len(sizes) - 1, 0, -1):
                tap = rest % taps
                rest //= taps
                is_inside = is_inside and indices[axis, tap] != _OUTSIDE
                offset += indices[axis, tap] * stride
                stride *= sizes[axis]
                weight *= weights[axis, tap]
            if is_inside:
                total += weight * value_of(x[channel, offset])
        y[channel, location] = rounded(total)

    return interpolate


nearest = _nearest(_plain)
nearest_at_bfloat16 = _nearest(_from_bits)
interpolate = _interpolate(_plain, _plain, _plain)
interpolate_at_bfloat16 = _interpolate(_plain, _from_bits, _plain)
interpolate_bfloat16 = _interpolate(_from_bits, _plain, _to_bits)
interpolate_bfloat16_at_bfloat16 = _interpolate(_from_bits, _from_bits, _to_bits)
