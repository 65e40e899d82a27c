"""The blocks of an image: how many there are, and what the kernel is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit import InputError, Scalar, TensorDesc, int32, known, product

if TYPE_CHECKING:
    from pluginkit.plugins.col2im import Col2Im

_LARGEST = 2**24


def sizes(values: tuple[int, ...]) -> str | None:
    """Return what is wrong with sizes or steps along both axes."""
    if len(values) == 2 and min(values) >= 1 and max(values) <= _LARGEST:
        return None
    return f"expected two numbers from 1 to {_LARGEST}"


def padding(pads: tuple[int, ...]) -> str | None:
    """Return what is wrong with the padding of both axes."""
    if len(pads) == 4 and min(pads) >= 0 and max(pads) <= _LARGEST:
        return None
    return f"expected four numbers from 0 to {_LARGEST}"


def blocks_of(plugin: Col2Im) -> tuple[int, int]:
    """Return how many blocks begin along each axis; 0 or fewer if none fits."""
    return _along(plugin, 0), _along(plugin, 1)


def _along(plugin: Col2Im, axis: int) -> int:
    span = plugin.dilations[axis] * (plugin.block_shape[axis] - 1) + 1
    room = plugin.image_shape[axis] + plugin.pads[axis] + plugin.pads[axis + 2] - span
    return room // plugin.strides[axis] + 1


def check_blocks(plugin: Col2Im, x: TensorDesc) -> None:
    """Check that blocks fit into the image, and that x has that many."""
    rows, columns = blocks_of(plugin)
    if min(rows, columns) < 1:
        raise InputError(
            f"blocks of {plugin.block_shape} do not fit into {plugin.image_shape} pixels.",
            code="blocks",
        )
    elements = product(plugin.block_shape)
    if known(x.shape[1]) % known(elements):
        raise InputError(f"{x}; expected a multiple of {elements} rows.", code="channels")
    if known(x.shape[2]) != rows * columns:
        raise InputError(f"{x}; expected {rows} x {columns} blocks.", code="blocks")


def axes_of(plugin: Col2Im) -> Scalar:
    """Return the kernel's Axes: the numbers of both, one axis after the other."""
    numbers: list[int] = []
    for axis, blocks in enumerate(blocks_of(plugin)):
        numbers += [plugin.image_shape[axis], plugin.block_shape[axis], plugin.strides[axis]]
        numbers += [plugin.dilations[axis], plugin.pads[axis], blocks]
    return int32(numbers)
