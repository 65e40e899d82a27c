"""How the ranges of shapes are written.

``name:min,opt,max`` gives an input's range, each shape written ``1x16``; one shape means all three,
and ``?`` leaves a dimension to the model, or to its default where the model leaves it open. A slash
begins the range of the next optimization profile::

    x:1x16,64x16,1024x16        x:64x16        x:1x?,64x?,1024x?        x:1x16/1x16,64x16,1024x16
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pluginkit.errors import UsageError

_LARGEST = 2**31 - 1  # TensorRT's dimensions are 64-bit, its profiles' extents are not

OpenShape = tuple[int | None, ...]
#: The smallest, likeliest and largest shape, None for dimensions that are left open.
OpenRange = tuple[OpenShape, OpenShape, OpenShape]
#: An input's ranges in the notation above, or one as three shapes with None for ``?``.
ShapeSpec = str | Sequence[Sequence[int | None]]


def text_from_shape(shape: Sequence[int | None]) -> str:
    """``(1, 16)`` as ``"1x16"``, a scalar's shape as ``"scalar"``."""
    return "x".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def parse_shapes(texts: Sequence[str]) -> dict[str, str]:
    """``["x:1x16,64x16"]`` as ``{"x": "1x16,64x16"}``; the last colon ends the name.

    Errors:
        PK500: not of the form ``name:min,opt,max``, or two for one input.  PK503: as below.
    """
    shapes: dict[str, str] = {}
    for text in texts:
        name, colon, spec = text.rpartition(":")
        if not name or not colon:
            raise _malformed(text, "expected name:min,opt,max")
        if name in shapes:
            raise UsageError(
                "PK500",
                f"--shapes gives '{name}' twice; expected one text an input.",
                fix=f"write {name}:RANGE/RANGE for two profiles.",
            )
        parse_ranges(name, spec)
        shapes[name] = spec
    return shapes


def parse_ranges(name: str, spec: ShapeSpec) -> list[OpenRange]:
    """The ranges of the input ``name``: one for each profile, or one for all.

    Errors:
        PK500: one cannot be read.  PK503: not 0 <= min <= opt <= max.
    """
    specs = spec.split("/") if isinstance(spec, str) else [spec]
    return [_parse_range(name, one) for one in specs]


def _malformed(text: str, expected: str) -> UsageError:
    return UsageError(
        "PK500",
        f"shapes '{text}': {expected}.",
        fix="write, for example, --shapes x:1x16,64x16,1024x16.",
    )


def _parse_range(name: str, spec: ShapeSpec) -> OpenRange:
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
