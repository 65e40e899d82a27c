"""Check the ranges that a user gives the inputs of a model, and find those of named dimensions.

A dimension that is named by an expression, ``2*n``, gets its value for the range of ``n``.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pluginkit.errors import UsageError
from pluginkit.onnx.inference.dimension_names import Extent, names_in, range_of, range_of_factor
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.inference.shape_ranges import (
    OpenRange,
    ShapeSpec,
    parse_ranges,
    profile_count,
)


@dataclass(frozen=True)
class GivenRanges:
    """What a user gives for one optimization profile.

    Attributes:
        of_inputs: the range of each input that has one; of a shape tensor, that of its values.
        of_names: the range of each dimension name that has one.
    """

    of_inputs: Mapping[str, OpenRange]
    of_names: Mapping[str, Extent]


def given_ranges(
    inputs: Sequence[NetworkInput], shapes: Mapping[str, ShapeSpec]
) -> list[GivenRanges]:
    """Return what ``shapes`` gives for each optimization profile; at least one.

    Errors:
        PK500: a range cannot be read, or inputs have ranges for different numbers of profiles.
        PK501: no input has the name.
        PK502: the rank or a static dimension differs.  PK503: not 0 <= min <= opt <= max.
        PK504: two ranges for one dimension name.
    """
    if not isinstance(shapes, Mapping):
        raise UsageError(
            "PK500",
            f"shapes is {shapes!r}; expected a range for each input, {{'x': '1x8,4x8,64x8'}}.",
        )
    by_name = {one.name: one for one in inputs}
    for name in shapes:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            raise UsageError(
                "PK501",
                f"the model has no input '{name}'; it has {', '.join(map(str, inputs)) or 'none'}.",
                fix=f"did you mean '{near[0]}'?" if near else "name one of the model's inputs.",
            )
    given = {name: parse_ranges(name, spec) for name, spec in shapes.items()}
    for name, ranges in given.items():
        if not by_name[name].is_dynamic and len(ranges) > 1:
            raise UsageError(
                "PK500",
                f"'{name}' has {len(ranges)} ranges; expected one, since the model fixes the shape "
                f"of {by_name[name]}.",
            )
    count = profile_count(given)
    found = []
    for number in range(count):
        ranges_now = {name: ranges[number % len(ranges)] for name, ranges in given.items()}
        try:
            found.append(GivenRanges(ranges_now, _named_ranges(by_name, ranges_now)))
        except UsageError as error:
            error.where = f"optimization profile {number}" if count > 1 else None
            raise
    return found


def _named_ranges(
    inputs: Mapping[str, NetworkInput],
    given: Mapping[str, OpenRange],
) -> dict[str, tuple[int, int, int]]:
    """Return the given range of each dimension name; equal names are equal at run time."""
    named: dict[str, tuple[str, tuple[int, int, int]]] = {}
    for name, shapes in given.items():
        one = inputs[name]
        _check_rank(one, shapes)
        if one.is_shape_tensor:
            continue
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
    if one.is_shape_tensor:
        if len(shapes[0]) != one.value_count:
            raise UsageError(
                "PK502",
                f"shapes of '{one.name}' have {len(shapes[0])} values; "
                f"expected {one.value_count}, for {one}.",
            )
        return
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
