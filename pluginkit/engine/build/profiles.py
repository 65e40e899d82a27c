"""Make the optimization profiles: the ranges of shapes that an engine is built for.

A dynamic dimension without a given range gets the range of another dimension of the same name, or
else 1 to 1024, optimized for 64. A dimension that is named like a batch gets 1 to 16, optimized for
4. A dimension that is named by an expression, ``2*n``, gets its value for the range of ``n``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pluginkit.engine.build.network_inputs import NetworkInput
from pluginkit.engine.build.shape_ranges import (
    OpenRange,
    ShapeSpec,
    parse_ranges,
    profile_count,
    text_from_shape,
)
from pluginkit.errors import UsageError
from pluginkit.onnx.inference.dimension_names import Extent, names_in, range_of, range_of_factor

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
        PK500: a range cannot be read, or inputs have ranges for different numbers of profiles.
        PK501: no input has the name.
        PK502: the rank or a static dimension differs.  PK503: not 0 <= min <= opt <= max.
        PK504: two ranges for one dimension name.  PK505: a shape tensor has no values.
    """
    if not isinstance(shapes, Mapping):
        raise UsageError(
            "PK500",
            f"shapes is {shapes!r}; expected a range for each input, {{'x': '1x8,4x8,64x8'}}.",
        )
    names = [one.name for one in inputs]
    for name in shapes:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise UsageError(
                "PK501",
                f"the model has no input '{name}'; it has {', '.join(map(str, inputs)) or 'none'}.",
                fix=f"did you mean '{near[0]}'?" if near else "name one of the model's inputs.",
            )
    given = {name: parse_ranges(name, spec) for name, spec in shapes.items()}
    for one in inputs:
        if not one.is_dynamic and len(given.get(one.name, [])) > 1:
            raise UsageError(
                "PK500",
                f"'{one.name}' has {len(given[one.name])} ranges; expected one, since the model "
                f"fixes the shape of {one}.",
            )
    count = profile_count(given)
    return tuple(_profile(inputs, given, number, count, defaults) for number in range(count))


def _profile(
    inputs: Sequence[NetworkInput],
    given: Mapping[str, Sequence[OpenRange]],
    number: int,
    count: int,
    defaults: Mapping[DefaultDim, Extent],
) -> OptimizationProfile:
    try:
        return _resolve(
            inputs,
            {name: ranges[number % len(ranges)] for name, ranges in given.items()},
            defaults,
        )
    except UsageError as error:
        error.where = f"optimization profile {number}" if count > 1 else None
        raise


def default_dims(
    inputs: Sequence[NetworkInput], shapes: Mapping[str, ShapeSpec]
) -> dict[DefaultDim, Extent]:
    """Return each dimension that gets a default, with its default.

    Errors:
        The same as for resolve_profiles.
    """
    found: dict[DefaultDim, Extent] = {}
    given = {name: parse_ranges(name, spec) for name, spec in shapes.items()}
    ranges = {name: each[0] for name, each in given.items()}
    named = _named_ranges({one.name: one for one in inputs}, ranges)
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
    given: Mapping[str, OpenRange],
    defaults: Mapping[DefaultDim, Extent],
) -> OptimizationProfile:
    named = _named_ranges({one.name: one for one in inputs}, given)
    ranges: dict[str, ShapeRange] = {}
    defaulted = set()
    for one in inputs:
        if one.is_shape_tensor:
            ranges[one.name] = _value_range(one, given.get(one.name))
        elif one.is_dynamic:
            ranges[one.name], is_default = _shape_range(one, given.get(one.name), named, defaults)
            if is_default:
                defaulted.add(one.name)
    return OptimizationProfile(ranges, frozenset(defaulted))


def _named_ranges(
    inputs: Mapping[str, NetworkInput],
    given: Mapping[str, OpenRange],
) -> dict[str, tuple[int, int, int]]:
    """Return the given range of each dimension name; equal names are equal at run time."""
    named: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for name, shapes in given.items():
        one = inputs[name]
        if one.is_shape_tensor:
            continue
        _check_rank(one, shapes)
        for dim, low, opt, high in zip(one.shape, *shapes, strict=True):
            if not isinstance(dim, str) or not dim or low is None or opt is None or high is None:
                continue
            other, known = named.setdefault(dim, (name, (low, opt, high)))
            if known != (low, opt, high):
                raise UsageError(
                    "PK504",
                    f"dimension '{dim}' is {known} in '{other}' and {(low, opt, high)} in "
                    f"'{name}'; expected one range, since equal names are equal at run time.",
                )
    return _with_expressions({dim: known for dim, (_, known) in named.items()}, named)


def _with_expressions(
    ranges: dict[str, Extent], given_by: Mapping[str, tuple[str, Extent]]
) -> dict[str, Extent]:
    """Add the ranges of names that occur in products: ``n`` from ``2*n``.

    Errors:
        PK504: a range contradicts that of a name in it.
    """
    for dim, extent in list(ranges.items()):
        factor = range_of_factor(dim, extent)
        if factor is not None:
            ranges.setdefault(*factor)
    for dim, (name, extent) in given_by.items():
        expected = range_of(dim, ranges)
        if expected not in (None, extent):
            parts = ", ".join(f"'{part}' is {ranges[part]}" for part in sorted(names_in(dim)))
            raise UsageError(
                "PK504",
                f"dimension '{dim}' is {extent} in '{name}'; expected {expected}, since {parts}.",
                fix=f"give '{name}' that range, or write ? for the dimension.",
            )
    return ranges


def _check_rank(one: NetworkInput, shapes: OpenRange) -> None:
    if len(shapes[0]) != len(one.shape):
        raise UsageError(
            "PK502",
            f"shapes of '{one.name}' have rank {len(shapes[0])}; "
            f"the model has {one}, rank {len(one.shape)}.",
        )
    for axis, (dim, *wanted) in enumerate(zip(one.shape, *shapes, strict=True)):
        if isinstance(dim, int) and any(size not in (None, dim) for size in wanted):
            raise UsageError(
                "PK502",
                f"shapes of '{one.name}': axis {axis} is {', '.join(map(str, wanted))}; "
                f"the model fixes it to {dim}.",
                fix=f"write {dim} or ? for axis {axis}.",
            )


def _shape_range(
    one: NetworkInput,
    given: OpenRange | None,
    named: Mapping[str, Extent],
    defaults: Mapping[DefaultDim, Extent],
) -> tuple[ShapeRange, bool]:
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
    dims = [dim for dim in one.shape if isinstance(dim, int)]
    count = dims[0] if dims else 1
    if given is None or any(size is None for shape in given for size in shape):
        values = "one value" if count == 1 else f"{count} values joined by x"
        example = ",".join(text_from_shape([size] * count) for size in (1, 8, 64))
        raise UsageError(
            "PK505",
            f"input {one} is a shape tensor, whose values need a range; none was given.",
            fix=f"add --shapes {one.name}:MIN,OPT,MAX with {values} in each, "
            f"as in --shapes {one.name}:{example}.",
        )
    if len(given[0]) != count:
        raise UsageError(
            "PK502",
            f"shapes of '{one.name}' have {len(given[0])} values; expected {count}, for {one}.",
        )
    return ShapeRange(*given)  # type: ignore[arg-type]
