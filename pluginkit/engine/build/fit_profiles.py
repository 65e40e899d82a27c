"""Change default ranges that the model itself rules out until it builds.

A model may want a sequence of exactly 16, the length of its position embedding, or audio of at
least 400 samples. Only TensorRT, or a plugin's check, knows: they refuse a profile with a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pluginkit.engine.build.profiles import (
    DefaultDim,
    OptimizationProfile,
    default_dims,
    resolve_profiles,
)
from pluginkit.errors import BuildError
from pluginkit.onnx.inference.dimension_names import Extent
from pluginkit.onnx.inference.network_inputs import NetworkInput
from pluginkit.onnx.inference.shape_ranges import ShapeSpec

#: Builds with these profiles; raises BuildError.
Build = Callable[[Sequence[OptimizationProfile]], bytes]
#: The number of profiles that are tried; each refusal takes about a second.
_MOST_TRIES = 24
_REFUSED = re.compile(r"(kMIN|kOPT|kMAX) values for profile \d+ violate shape constraints: (.*)")
_COMPARED = re.compile(r"Condition '([^']+)' violated: (-?\d+) \S+ (-?\d+)")
_REFUSED_BY_PLUGIN = re.compile(r"the profile's (min|opt|max) shapes")
#: The factors by which a size that is too small grows.
_GROWTH = (8, 64, 512, 4096)
_LARGEST = 2**20

_Defaults = dict[DefaultDim, Extent]


@dataclass(frozen=True)
class _Violation:
    """TensorRT's or a plugin's objection to a profile.

    Attributes:
        at: 0, 1 or 2 for the smallest, most likely and largest shapes.
        node: what it says before the numbers, which names the node.
        is_equality: whether two sizes must be equal; None if it does not say.
        sizes: the sizes that it compares.
    """

    at: int
    node: str
    is_equality: bool | None
    sizes: tuple[int, ...]


def build_with_fitting_defaults(
    inputs: Sequence[NetworkInput],
    shapes: Mapping[str, ShapeSpec],
    build: Build,
    fixed: Mapping[DefaultDim, Extent] = MappingProxyType({}),
) -> tuple[bytes, tuple[OptimizationProfile, ...]]:
    """Build, and change the default ranges as long as the model rules them out.

    Args:
        inputs: the network's inputs.
        shapes: the user's ranges, which are never changed.
        build: builds a plan.
        fixed: ranges that are known to be needed, in place of the usual defaults.

    Returns:
        The plan and the profiles that it was built for.

    Errors:
        PK500 to PK505: as for ``resolve_profiles``.  PK521: the build fails with all that was
        tried, or for another reason.
    """
    profiles = resolve_profiles(inputs, shapes, fixed)
    usual = {dim: fixed.get(dim, one) for dim, one in default_dims(inputs, shapes).items()}
    try:
        return build(profiles), profiles
    except BuildError as error:
        first, violation = error, _violation(error)
    if violation is None or not usual:
        raise first
    tries = _MOST_TRIES
    waiting = [(usual, violation)]
    seen = [usual]
    while waiting:
        defaults, violation = waiting.pop(0)
        for changed in _changes(defaults, violation):
            if changed in seen or not tries:
                continue
            seen.append(changed)
            tries -= 1
            profiles = resolve_profiles(inputs, shapes, changed)
            try:
                return build(profiles), profiles
            except BuildError as error:
                found = _violation(error)
            if found is not None and (found.at, found.node) != (violation.at, violation.node):
                waiting.insert(0, (changed, found))
                break
            if found is not None and found.is_equality is None:
                waiting.append((changed, found))
    raise _not_fitted(first, inputs, usual)


def _changes(defaults: _Defaults, violation: _Violation) -> Iterator[_Defaults]:
    """Yield other defaults, the likeliest first: those that leave the widest ranges.

    A size that TensorRT or a plugin compares is tried as a bound, then as the only size. If a
    minimum is too small, the size that is refused grows.
    """
    at = violation.at
    sizes = sorted({size for size in violation.sizes if 0 < size <= _LARGEST})
    by_width = sorted(defaults, key=lambda dim: -defaults[dim][2])
    involved = [dim for dim in by_width if defaults[dim][at] in violation.sizes]
    if violation.is_equality is not True:
        for dim in involved or by_width:
            refused = defaults[dim][at]
            larger = [size for size in sizes if size > refused]
            if violation.is_equality is not None:
                larger += [refused * factor for factor in _GROWTH]
            for size in larger:
                yield {**defaults, dim: _with_at_least(defaults[dim], at, min(size, _LARGEST))}
            low, opt, high = defaults[dim]
            if at == 2 and high > opt:
                yield {**defaults, dim: (low, opt, opt)}
    if violation.is_equality is not False:
        for dim in [*involved, *(dim for dim in by_width if dim not in involved)]:
            for size in sorted(sizes, key=lambda size: size == 1):  # 1 only broadcasts
                yield {**defaults, dim: (size, size, size)}


def _with_at_least(extent: Extent, at: int, size: int) -> Extent:
    """Return the range with one of its sizes, and the larger ones, raised to ``size``."""
    low, opt, high = (max(each, size) if index >= at else each for index, each in enumerate(extent))
    return low, opt, high


def _violation(error: BuildError) -> _Violation | None:
    """Return what the error objects to; None if it is about something else."""
    text = error.cause or ""
    refused = _REFUSED.search(text)
    if refused is not None:
        at = ("kMIN", "kOPT", "kMAX").index(refused[1])
        compared = _COMPARED.search(refused[2])
        node = refused[2].partition(": ")[0]
        if compared is None:
            return _Violation(at, node, None, tuple(map(int, re.findall(r"\d+", refused[2]))))
        return _Violation(at, node, compared[1] == "==", (int(compared[2]), int(compared[3])))
    refused = _REFUSED_BY_PLUGIN.search(error.message)
    if refused is None or error.code != "PK522":
        return None
    at = ("min", "opt", "max").index(refused[1])
    sizes = tuple(map(int, re.findall(r"\b\d+\b", text)))
    return _Violation(at, error.where or text.partition(":")[0], None, sizes)


def _not_fitted(
    error: BuildError, inputs: Sequence[NetworkInput], usual: Mapping[DefaultDim, Extent]
) -> BuildError:
    named = [
        one
        for one in inputs
        if any(dim in usual or (one.name, axis) in usual for axis, dim in enumerate(one.shape))
    ]
    options = " ".join(
        f"--shapes {one.name}:{'x'.join('N' if isinstance(d, str) else str(d) for d in one.shape)}"
        for one in named
    )
    error.cause = f"{error.cause}\nThe default ranges of {', '.join(map(str, named))} do not fit."
    error.fix = f"give shapes that the model takes, with a number for each N: {options}."
    return error
