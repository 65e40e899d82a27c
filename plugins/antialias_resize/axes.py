"""The two axes that AntialiasResize resizes: how coordinates are chosen, and what is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from pluginkit import InputError, TensorDesc, known

if TYPE_CHECKING:
    from pluginkit.plugins.antialias_resize import AntialiasResize

Filter: TypeAlias = Literal["linear", "cubic"]
Coordinates: TypeAlias = Literal[
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
]

#: Sizes that the kernels count in 32 bits.
_LARGEST = 2**29
#: Scales are compared with sizes in this many parts of one.
_PARTS = 2**20


def check_scales(scales: tuple[float, float] | None) -> str | None:
    """Return what is wrong with the scales of both axes."""
    if scales is None or (min(scales) > 0 and max(scales) <= _LARGEST):
        return None
    return "expected two numbers above 0 and up to 2^29"


def check_axes(plugin: AntialiasResize, x: TensorDesc, sizes: TensorDesc) -> None:
    """Check that x has the axes, and that sizes, scales and what the kernels count agree."""
    first, second = (x.axis(axis) for axis in plugin.axes)
    if first >= second:
        raise InputError(f"axes {plugin.axes} of {x}; expected two in order.", code="axes")
    for number, axis in enumerate((first, second)):
        size, resized = known(x.shape[axis]), known(sizes.values[number])
        if size < 1 or size > _LARGEST or resized > _LARGEST:
            raise InputError(
                f"axis {axis} of {x}, resized to {resized}; expected 1 to 2^29 elements.",
                code="size",
            )
        differs = plugin.scales is not None and _differ(size, resized, plugin.scales[number])
        if resized < 0 or differs:
            raise InputError(
                f"{resized} elements of axis {axis} of {x}; expected 0 or more, and those of "
                f"the scales {plugin.scales}.",
                code="sizes",
            )


def _differ(size: int, resized: int, scale: float) -> bool:
    """Whether a size is neither the scaled length rounded down nor the nearest to it."""
    length, rounding = size * round(scale * _PARTS), size
    below, above = length - _PARTS - rounding, length + _PARTS // 2 + rounding
    return resized * _PARTS < below or resized * _PARTS > above


def region_along(plugin: AntialiasResize, number: int) -> tuple[float, float]:
    """Return where the region starts and ends along an axis; (0, 1) if nothing is cropped."""
    is_cropped = plugin.coordinate_transformation_mode == "tf_crop_and_resize"
    return (plugin.roi[number], plugin.roi[number + 2]) if is_cropped else (0.0, 1.0)
