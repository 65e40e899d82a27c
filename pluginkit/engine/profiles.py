"""Optimization profiles: the range of shapes that an engine is built for.

``name:min,opt,max`` gives an input's range, each shape written ``1x16``; one shape means all three,
and ``?`` leaves a dimension to the model, or to its default where the model leaves it open::

    x:1x16,64x16,1024x16        x:64x16        x:1x?,64x?,1024x?

A dynamic dimension that nobody gives a range gets the range of the same dimension name elsewhere,
else 1 to 1024, optimized for 64; a dimension named as a batch gets 1 to 16, optimized for 4.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pluginkit.errors import UsageError

DEFAULT_RANGE = (1, 64, 1024)
DEFAULT_BATCH_RANGE = (1, 4, 16)
_BATCH_NAME = re.compile(r"(?i)\A(n_?)?batch([_ -]?(size|dim))?\Z|\Ab\Z|\Abs\Z")
_LARGEST = 2**31 - 1  # TensorRT's dimensions are 64-bit, its profiles' extents are not

Shape = tuple[int, ...]
OpenShape = tuple[int | None, ...]
#: An input's range: in the notation above, or three shapes with None for ``?``.
ShapeSpec = str | Sequence[Sequence[int | None]]


@dataclass(frozen=True)
class ShapeRange:
    """The smallest, likeliest and largest shape (values, for a shape tensor) of an input."""

    min: Shape
    opt: Shape
    max: Shape

    def __iter__(self) -> Iterator[Shape]:
        return iter((self.min, self.opt, self.max))

    def __str__(self) -> str:
        return ", ".join(text_from_shape(shape) for shape in self)


@dataclass(frozen=True)
class NetworkInput:
    """An input of a parsed network.

    Attributes:
        name: its name.
        shape: an int for a static dimension; the dimension's name, possibly empty, for a dynamic
            one.
        is_shape_tensor: whether the profile gives the tensor's values and not its shape.
    """

    name: str
    shape: tuple[int | str, ...]
    is_shape_tensor: bool = False

    def __str__(self) -> str:
        return f"{self.name}[{', '.join(str(dim) or '?' for dim in self.shape)}]"


@dataclass(frozen=True)
class Profile:
    """One optimization profile.

    Attributes:
        ranges: of every input that has a dynamic dimension or is a shape tensor.
        defaulted: the inputs of which a dimension got its range by default.
    """

    ranges: Mapping[str, ShapeRange]
    defaulted: frozenset[str] = frozenset()


def text_from_shape(shape: Sequence[int | None]) -> str:
    """``(1, 16)`` as ``"1x16"``, a scalar's shape as ``"scalar"``."""
    return "x".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def inputs_of(network: Any) -> list[NetworkInput]:
    """The inputs of a TensorRT network."""
    inputs = []
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(
            dim if dim >= 0 else tensor.get_dimension_name(axis) or ""
            for axis, dim in enumerate(tensor.shape)
        )
        inputs.append(NetworkInput(tensor.name, shape, tensor.is_shape_tensor))
    return inputs


def parse_shapes(texts: Sequence[str]) -> dict[str, str]:
    """``["x:1x16,64x16"]`` as ``{"x": "1x16,64x16"}``; the last colon ends the name.

    Errors:
        PK500: not of the form ``name:min,opt,max``, or two for one input.
    """
    shapes: dict[str, str] = {}
    for text in texts:
        name, colon, shape = text.rpartition(":")
        if not name or not colon:
            raise _malformed(text, "expected name:min,opt,max")
        if name in shapes:
            raise UsageError(
                "PK500", f"--shapes gives '{name}' twice; expected one range an input."
            )
        _parse_range(name, shape)
        shapes[name] = shape
    return shapes


def resolve_profile(inputs: Sequence[NetworkInput], shapes: Mapping[str, ShapeSpec]) -> Profile:
    """The profile for a network's inputs, from what the user gave and the defaults.

    Errors:
        PK500: a range cannot be read.  PK501: no input has the name.
        PK502: the rank or a static dimension differs.  PK503: not 0 <= min <= opt <= max.
        PK504: two ranges for one dimension name.  PK505: a shape tensor has no values.
    """
    by_name = {one.name: one for one in inputs}
    given = {name: _parse_range(name, spec) for name, spec in shapes.items()}
    for name in given:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1)
            raise UsageError(
                "PK501",
                f"the model has no input '{name}'; it has {', '.join(map(str, inputs)) or 'none'}.",
                fix=f"did you mean '{near[0]}'?" if near else "name one of the model's inputs.",
            )
    named = _named_ranges(by_name, given)
    ranges: dict[str, ShapeRange] = {}
    defaulted = set()
    for one in inputs:
        if one.is_shape_tensor:
            ranges[one.name] = _value_range(one, given.get(one.name))
        elif any(isinstance(dim, str) for dim in one.shape):
            ranges[one.name], is_default = _shape_range(one, given.get(one.name), named)
            if is_default:
                defaulted.add(one.name)
    return Profile(ranges, frozenset(defaulted))


def _malformed(text: str, expected: str) -> UsageError:
    return UsageError(
        "PK500",
        f"shapes '{text}': {expected}.",
        fix="write, for example, --shapes x:1x16,64x16,1024x16.",
    )


def _parse_range(name: str, spec: ShapeSpec) -> tuple[OpenShape, OpenShape, OpenShape]:
    shapes = [_parse_shape(name, part) for part in spec.split(",")] if isinstance(spec, str) else [
        tuple(shape) for shape in spec
    ]  # fmt: skip
    if len(shapes) == 1:
        shapes *= 3
    if len(shapes) != 3 or len({len(shape) for shape in shapes}) != 1:
        raise _malformed(f"{name}:{spec}", "expected one shape or min,opt,max, all of one rank")
    low, opt, high = shapes
    for axis, dims in enumerate(zip(low, opt, high, strict=True)):
        known = [dim for dim in dims if dim is not None]
        if len(known) not in (0, 3):
            raise _malformed(f"{name}:{spec}", f"axis {axis} is '?' in some shapes only")
        if known != sorted(known) or any(not 0 <= dim <= _LARGEST for dim in known):
            raise UsageError(
                "PK503",
                f"shapes of '{name}': axis {axis} is {', '.join(map(str, known))}; "
                f"expected 0 <= min <= opt <= max <= {_LARGEST}.",
            )
    return low, opt, high


def _parse_shape(name: str, text: str) -> OpenShape:
    dims = text.strip().lower().split("x")
    if not all(re.fullmatch(r"\?|[0-9]{1,18}", dim) for dim in dims):
        raise _malformed(f"{name}:{text}", "expected dimensions joined by x, as in 1x16")
    return tuple(None if dim == "?" else int(dim) for dim in dims)


def _named_ranges(
    inputs: Mapping[str, NetworkInput],
    given: Mapping[str, tuple[OpenShape, OpenShape, OpenShape]],
) -> dict[str, tuple[int, int, int]]:
    """The range of each dimension name that the user gave one; TensorRT wants them equal."""
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
    return {dim: known for dim, (_, known) in named.items()}


def _check_rank(one: NetworkInput, shapes: tuple[OpenShape, OpenShape, OpenShape]) -> None:
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
    given: tuple[OpenShape, OpenShape, OpenShape] | None,
    named: Mapping[str, tuple[int, int, int]],
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
            is_default = True
            columns.append(DEFAULT_BATCH_RANGE if _BATCH_NAME.match(dim) else DEFAULT_RANGE)
    return ShapeRange(*zip(*columns, strict=True)), is_default


def _value_range(
    one: NetworkInput, given: tuple[OpenShape, OpenShape, OpenShape] | None
) -> ShapeRange:
    dims = [dim for dim in one.shape if isinstance(dim, int)]
    count = dims[0] if dims else 1
    if given is None or any(size is None for shape in given for size in shape):
        raise UsageError(
            "PK505",
            f"input {one} holds a shape, so its values have ranges; none were given.",
            fix=f"add --shapes {one.name}:MIN,OPT,MAX with {count} values joined by x in each.",
        )
    if len(given[0]) != count:
        raise UsageError(
            "PK502",
            f"shapes of '{one.name}' have {len(given[0])} values; expected {count}, for {one}.",
        )
    return ShapeRange(*given)  # type: ignore[arg-type]
