"""Read the notation of shape ranges.

``name:min,opt,max`` is the range of an input, each shape written ``1x16``. A single shape is all
three, and ``?`` takes a dimension from the model, or its default if it is dynamic there. A slash
begins the range of the next optimization profile::

    x:1x16,64x16,1024x16        x:64x16        x:1x?,64x?,1024x?        x:1x16/1x16,64x16,1024x16
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import index

from pluginkit.errors import UsageError

_LARGEST = 2**31 - 1  # TensorRT's dimensions are 64-bit, its profiles' extents are not

OpenShape = tuple[int | None, ...]
#: The smallest, most likely and largest shape; None for a dimension written ``?``.
OpenRange = tuple[OpenShape, OpenShape, OpenShape]
#: One range: in the notation above, or as one or three shapes with None for ``?``.
RangeSpec = str | Sequence[Sequence[int | None]]
#: An input's range, or a sequence of them for several profiles.
ShapeSpec = RangeSpec | Sequence[RangeSpec]


def text_from_shape(shape: Sequence[int | None]) -> str:
    """Return ``(1, 16)`` as ``"1x16"``, a scalar's shape as ``"scalar"``."""
    return "x".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def parse_shapes(texts: Sequence[str]) -> dict[str, str]:
    """Return ``["x:1x16,64x16"]`` as ``{"x": "1x16,64x16"}``; the last colon ends the name.

    Errors:
        PK500: not of the form ``name:min,opt,max``, two for one input, or inputs with ranges for
            different numbers of profiles.  PK503: not 0 <= min <= opt <= max.
    """
    shapes: dict[str, str] = {}
    for text in texts:
        name, colon, spec = text.rpartition(":")
        if not name or not colon:
            raise _malformed(text, "expected name:min,opt,max")
        if name in shapes:
            raise UsageError(
                "PK500",
                f"'{name}' is given shapes twice; expected one --shapes for each input.",
                fix=f"write {name}:RANGE/RANGE for two profiles.",
            )
        shapes[name] = spec
    profile_count({name: parse_ranges(name, spec) for name, spec in shapes.items()})
    return shapes


def parse_ranges(name: str, spec: ShapeSpec) -> list[OpenRange]:
    """Return the ranges of the input ``name``: one for each profile, or one for all.

    Errors:
        PK500: a range cannot be read.  PK503: not 0 <= min <= opt <= max.
    """
    given = f"{name}:{spec}"
    try:
        return [_parse_range(given, name, one) for one in _split(given, spec)]
    except TypeError:
        raise _malformed(given, "expected text, or shapes of ints") from None


def profile_count(ranges: Mapping[str, Sequence[OpenRange]]) -> int:
    """Return the number of profiles that the ranges of several inputs are for.

    Errors:
        PK500: the inputs disagree.
    """
    counts = {name: len(found) for name, found in ranges.items() if len(found) != 1}
    if len(set(counts.values())) > 1:
        fewest, *_, most = sorted(counts, key=lambda name: counts[name])
        raise UsageError(
            "PK500",
            f"'{fewest}' has {counts[fewest]} ranges and '{most}' has {counts[most]}; expected the "
            "same number.",
            fix="give each input one range for every profile, or one for all.",
        )
    return max(counts.values(), default=1)


def _malformed(given: str, expected: str) -> UsageError:
    return UsageError(
        "PK500",
        f"shapes '{given}': {expected}.",
        fix="write, for example, --shapes x:1x16,64x16,1024x16.",
    )


def _split(given: str, spec: ShapeSpec) -> Sequence[RangeSpec]:
    if isinstance(spec, str):
        ranges = spec.split("/")
        if "" in ranges and len(ranges) > 1:
            raise _malformed(given, "expected a range on both sides of each slash")
        return ranges
    is_one = all(_is_shape(one) for one in spec)
    return [spec] if is_one else spec  # type: ignore[list-item, return-value]


def _is_shape(one: RangeSpec | Sequence[int | None]) -> bool:
    is_dim = (dim is None or hasattr(dim, "__index__") for dim in one)
    return not isinstance(one, str) and all(is_dim)


def _parse_range(given: str, name: str, spec: RangeSpec) -> OpenRange:
    if isinstance(spec, str):
        shapes = [_parse_shape(given, part) for part in spec.split(",")]
    else:
        shapes = [tuple(None if dim is None else index(dim) for dim in shape) for shape in spec]
    if len(shapes) == 1:
        shapes *= 3
    if len(shapes) != 3 or len({len(shape) for shape in shapes}) != 1:
        raise _malformed(given, "expected one shape or min,opt,max, all of one rank")
    low, opt, high = shapes
    for axis, dims in enumerate(zip(low, opt, high, strict=True)):
        known = [dim for dim in dims if dim is not None]
        if len(known) not in (0, 3):
            raise _malformed(given, f"axis {axis} is '?' in some shapes only")
        if known != sorted(known) or any(not 0 <= dim <= _LARGEST for dim in known):
            raise UsageError(
                "PK503",
                f"shapes of '{name}': axis {axis} is {', '.join(map(str, known))}; "
                f"expected 0 <= min <= opt <= max <= {_LARGEST}.",
            )
    return low, opt, high


def _parse_shape(given: str, text: str) -> OpenShape:
    dims = text.strip().lower().split("x")
    if not all(re.fullmatch(r"\?|[0-9]{1,18}", dim) for dim in dims):
        raise _malformed(given, "expected dimensions joined by x, as in 1x16")
    return tuple(None if dim == "?" else int(dim) for dim in dims)
