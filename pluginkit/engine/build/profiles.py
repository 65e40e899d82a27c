"""Make the optimization profiles: the ranges of shapes that an engine is built for.

A dynamic dimension without a given range gets the range of another dimension of the same name, or
else 1 to 1024, optimized for 64. A dimension that is named like a batch gets 1 to 16, optimized for
4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.dimension_names import Extent, names_in, range_of
from pluginkit.onnx.inference.given_ranges import GivenRanges, given_ranges
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.inference.shape_ranges import OpenRange, ShapeSpec, text_from_shape

DEFAULT_RANGE = (1, 64, 1024)
DEFAULT_BATCH_RANGE = (1, 4, 16)
_BATCH_NAME = re.compile(r"(?i)\A(n_?)?batch([_ -]?(size|dim))?\Z|\Ab\Z|\Abs\Z")

Dims = tuple[int, ...]
#: A dimension that may get a default: its name, or the input and axis of one without a name.
DefaultDim = str | tuple[str, int]


def is_batch_name(dim: int | str) -> bool:
    """Whether a dimension is dynamic and named as a batch: independent samples, in any number."""
    return isinstance(dim, str) and _BATCH_NAME.match(dim) is not None


@dataclass(frozen=True)
class ShapeRange:
    """The smallest, most likely and largest shape of an input, or values of a shape tensor."""

    min: Dims
    opt: Dims
    max: Dims

    def __iter__(self) -> Iterator[Dims]:
        return iter((self.min, self.opt, self.max))

    def __str__(self) -> str:
        return ", ".join(text_from_shape(shape) for shape in self)


@dataclass(frozen=True)
class OptimizationProfile:
    """One optimization profile.

    Attributes:
        ranges: the range of every input that has a dynamic dimension or is a shape tensor.
        defaulted: the inputs with a dimension whose range is the default.
    """

    ranges: Mapping[str, ShapeRange]
    defaulted: frozenset[str] = frozenset()


def resolve_profiles(
    inputs: Sequence[NetworkInput],
    shapes: Mapping[str, ShapeSpec],
    defaults: Mapping[DefaultDim, Extent] = MappingProxyType({}),
) -> tuple[OptimizationProfile, ...]:
    """Return the profiles of a network, from the user's shapes and the defaults; at least one.

    Args:
        inputs: the network's inputs.
        shapes: the user's ranges.
        defaults: ranges to take in place of the usual defaults.

    Errors:
        PK500 to PK504: as for ``given_ranges``.  PK505: a shape tensor has no values.
    """
    return tuple(_resolve(inputs, each, defaults) for each in given_ranges(inputs, shapes))


def default_dims(
    inputs: Sequence[NetworkInput], shapes: Mapping[str, ShapeSpec]
) -> dict[DefaultDim, Extent]:
    """Return each dimension that gets a default, with its default.

    Errors:
        The same as for resolve_profiles.
    """
    found: dict[DefaultDim, Extent] = {}
    given = given_ranges(inputs, shapes)[0]
    ranges, named = given.of_inputs, given.of_names
    for one in inputs:
        if one.is_shape_tensor:
            continue
        for axis, dim in enumerate(one.shape):
            is_open = one.name not in ranges or ranges[one.name][0][axis] is None
            if isinstance(dim, str) and is_open and dim not in named:
                for name in names_in(dim) or [dim]:
                    if name not in named:
                        found[name or (one.name, axis)] = _default(name)
    return found


def _default(dim: str) -> Extent:
    return DEFAULT_BATCH_RANGE if is_batch_name(dim) else DEFAULT_RANGE


def _resolve(
    inputs: Sequence[NetworkInput],
    given: GivenRanges,
    defaults: Mapping[DefaultDim, Extent],
) -> OptimizationProfile:
    ranges: dict[str, ShapeRange] = {}
    defaulted = set()
    for one in inputs:
        if one.is_shape_tensor:
            ranges[one.name] = _value_range(one, given.of_inputs.get(one.name))
        elif one.is_dynamic:
            ranges[one.name], is_default = _shape_range(one, given, defaults)
            if is_default:
                defaulted.add(one.name)
    return OptimizationProfile(ranges, frozenset(defaulted))


def _shape_range(
    one: NetworkInput,
    ranges: GivenRanges,
    defaults: Mapping[DefaultDim, Extent],
) -> tuple[ShapeRange, bool]:
    given, named = ranges.of_inputs.get(one.name), ranges.of_names
    is_default = False
    columns = []
    for axis, dim in enumerate(one.shape):
        wanted = tuple(shape[axis] for shape in given) if given else (None,)
        if isinstance(dim, int):
            columns.append((dim, dim, dim))
        elif wanted[0] is not None:
            columns.append(wanted)  # type: ignore[arg-type]
        elif dim in named:
            columns.append(named[dim])
        else:
            names = names_in(dim)
            is_default |= not names or not names <= named.keys()
            known = {name: named.get(name, defaults.get(name, _default(name))) for name in names}
            computed = range_of(dim, known)
            usual = defaults.get(dim or (one.name, axis), _default(dim))
            columns.append(usual if computed is None else computed)
    return ShapeRange(*zip(*columns, strict=True)), is_default


def _value_range(one: NetworkInput, given: OpenRange | None) -> ShapeRange:
    if given is None or any(size is None for shape in given for size in shape):
        count = one.value_count
        values = "one value" if count == 1 else f"{count} values joined by x"
        example = ",".join(text_from_shape([size] * count) for size in (1, 8, 64))
        error = UsageError(
            "PK505",
            f"input {one} is a shape tensor, whose values need a range; none was given.",
            fix=f"add --shapes {one.name}:MIN,OPT,MAX with {values} in each, "
            f"as in --shapes {one.name}:{example}.",
        )
        error.rewrite = "DetachIntegers"
        raise error
    return ShapeRange(*given)  # type: ignore[arg-type]
