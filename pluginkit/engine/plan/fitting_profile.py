"""Choose the optimization profile of a plan that arrays fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.engine.plan.manifest import Range, Tensor
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.shape_ranges import text_from_shape

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Arrays = Mapping[str, Array]


def fitting_profile(
    tensors: Sequence[Tensor], profiles: Sequence[Mapping[str, Range]], inputs: Arrays
) -> int:
    """Return the number of the first optimization profile that the input arrays fit.

    Args:
        tensors: the plan's inputs.
        profiles: the ranges of each profile, by the inputs' names.
        inputs: the arrays, by name.

    Errors:
        PK542: an input is missing, unknown, of another dtype, or outside every profile.
    """
    expected = {tensor.name: tensor for tensor in tensors}
    listing = ", ".join(
        f"{one.name} {one.dtype.lower()}[{', '.join('?' if d < 0 else str(d) for d in one.shape)}]"
        for one in tensors
    )
    if set(expected) != set(inputs):
        raise UsageError(
            "PK542",
            f"got inputs {', '.join(sorted(inputs)) or 'none'}; the plan takes {listing}.",
        )
    for name, tensor in expected.items():
        array = inputs[name]
        if array.dtype.name != tensor.dtype.lower() or array.ndim != len(tensor.shape):
            raise UsageError(
                "PK542",
                f"input '{name}' is {array.dtype}[{', '.join(map(str, array.shape))}]; "
                f"the plan takes {listing}.",
            )
    misfits = []
    for number, ranges in enumerate(profiles):
        misfit = next(_misfits(tensors, inputs, ranges), None)
        if misfit is None:
            return number
        misfits.append(misfit)
    wider = "build the plan with wider --shapes."
    if len(misfits) == 1:
        raise UsageError("PK542", f"{misfits[0]}.", fix=wider)
    raise UsageError(
        "PK542",
        f"the inputs fit none of the plan's {len(misfits)} optimization profiles.",
        cause="\n".join(f"profile {number}: {misfit}" for number, misfit in enumerate(misfits)),
        fix=wider,
    )


def _misfits(
    tensors: Iterable[Tensor], inputs: Arrays, ranges: Mapping[str, Range]
) -> Iterator[str]:
    """Yield, in words, each input that is outside a profile."""
    for tensor in tensors:
        name, array = tensor.name, inputs[tensor.name]
        limits = ranges.get(name, Range(tensor.shape, tensor.shape, tensor.shape))
        bounds = [(limits.min, array.shape, limits.max)]
        if limits.is_shape_tensor:
            values = tuple(int(one) for one in array.flat)
            bounds = [(tensor.shape, array.shape, tensor.shape), (limits.min, values, limits.max)]
        for low, value, high in bounds:
            if not _is_between(low, value, high):
                yield (
                    f"input '{name}' is {text_from_shape(value)}; "
                    f"the plan takes {text_from_shape(low)} to {text_from_shape(high)}"
                )


def _is_between(low: tuple[int, ...], value: tuple[int, ...], high: tuple[int, ...]) -> bool:
    return len(low) == len(value) == len(high) and all(
        a <= b <= c for a, b, c in zip(low, value, high, strict=True)
    )
