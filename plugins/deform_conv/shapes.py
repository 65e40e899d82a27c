"""The checks of DeformConv's attributes and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pluginkit import InputError, TensorDesc, known

if TYPE_CHECKING:
    from pluginkit.plugins.deform_conv import DeformConv


def positive(value: int | tuple[int, ...] | None) -> str | None:
    """Check an attribute that is one or several positive numbers, or absent."""
    numbers = (value,) if isinstance(value, int) else value or ()
    return None if all(number > 0 for number in numbers) else "expected 1 or more"


def check_shapes(
    plugin: DeformConv,
    x: TensorDesc,
    w: TensorDesc,
    offset: TensorDesc,
    bias: TensorDesc | None,
    mask: TensorDesc | None,
) -> None:
    """Raise an InputError if the inputs of a plugin do not fit each other."""
    for tensor, axis, expected, why in _expected(plugin, x, w, offset, mask):
        if tensor.shape[axis] != expected:
            raise InputError(
                f"{tensor}; expected {expected} along axis {axis}: {why}.", code="shapes"
            )
    channels, maps = x.shape[1], w.shape[0]
    for count, name, groups in (
        (channels, "C", plugin.group),
        (channels, "C", plugin.offset_group),
        (maps, "M", plugin.group),
    ):
        if known(count) % groups:
            raise InputError(f"{name} is {count}; expected a multiple of {groups}.", code="shapes")
    if known(w.shape[2]) * known(w.shape[3]) == 0:
        raise InputError(f"{w}; expected a tap or more.", code="shapes")
    height, width = map(known, x.shape[2:])
    if max(height, width) > 2**24 or height * width >= 2**31:
        raise InputError(f"{x}; expected up to 2^24 pixels along an axis.", code="size")


def _expected(
    plugin: DeformConv, x: TensorDesc, w: TensorDesc, offset: TensorDesc, mask: TensorDesc | None
) -> Iterator[tuple[TensorDesc, int, int, str]]:
    """Yield a tensor, an axis, the size that it should have there, and why."""
    taps = known(w.shape[2]) * known(w.shape[3])
    yield w, 1, known(x.shape[1]) // plugin.group, "the channels of a group"
    yield offset, 1, plugin.offset_group * taps * 2, "an offset along y and x for each tap"
    if mask is not None:
        yield mask, 1, plugin.offset_group * taps, "a factor for each tap"
    for axis in (0, 1):
        if plugin.kernel_shape is not None:
            yield w, 2 + axis, plugin.kernel_shape[axis], "kernel_shape"
        reach = plugin.dilations[axis] * (known(w.shape[2 + axis]) - 1) + 1
        room = known(x.shape[2 + axis]) + plugin.pads[axis] + plugin.pads[2 + axis] - reach
        size = max(room // plugin.strides[axis] + 1, 0)
        yield offset, 2 + axis, size, "the output's size, by strides, pads and dilations"
