"""Replace Resize with antialias, which TensorRT lacks, by a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pluginkit.graph_rewrites._resize_weights import ResizedAxis, resized_axes
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite
from pluginkit.plugins.antialias_resize import AntialiasResize

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit import Plugin
    from pluginkit.onnx import NewNode

#: How each resized axis is resized; None where that is known only when the model runs.
_Axes: TypeAlias = dict[int, ResizedAxis | None]


class ReplaceAntialiasResize(Rewrite):
    """Resize(x, sizes) with antialias -> AntialiasResize_PK(x, sizes).

    A node takes two axes; three take two nodes, one after the other. Sizes may be known only when
    the model runs, if coordinates are not those of a crop and the ratio of sizes is not kept;
    scales must be stored in the model. If this is skipped, ExpandResize gathers the elements, or
    ExpandDynamicResize multiplies with matrices of weights.
    """

    plugin = AntialiasResize
    pattern = Op("Resize", "x", *map(Optional, ("roi", "scales", "sizes")))
    order = -1

    def check(
        self, match: Match, x: gs.Tensor, scales: gs.Tensor | None, sizes: gs.Tensor | None
    ) -> str | _Axes:
        if not match.attribute("antialias", 0):
            return "it has no antialias"
        if match.attribute("mode", "nearest") not in ("linear", "cubic"):
            return "it takes the nearest elements"
        problem = match.dtype_problem(FLOATS, x)
        if problem is not None:
            return problem
        shape = match.shape(x)
        if shape is None or len(shape) < 2:
            return "the rank of its input is unknown, or less than 2"
        axes = [axis % len(shape) for axis in match.attribute("axes", range(len(shape)))]
        given = [each for each in (match["roi"], scales, sizes) if each is not None and each.name]
        is_known = all(match.constant(each) is not None for each in given)
        if is_known and all(shape[axis] is not None for axis in axes):
            found = resized_axes(match, shape)
            if isinstance(found, str):
                return found
            return {axis: each for axis, each in found.items() if not each.is_same}
        return _dynamic_axes(match, axes, x, scales, sizes)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        scales: gs.Tensor | None,
        sizes: gs.Tensor | None,
        facts: _Axes,
    ) -> list[NewNode]:
        import onnx_graphsurgeon as gs

        new = Replacement(match)
        if not facts:
            return list(new.end("Identity", x))
        nodes: list[NewNode] = []
        pairs = list(_pairs(sorted(facts), match, x))
        for number, pair in enumerate(pairs):
            both = [_size(new, match, axis, facts, scales, sizes) for axis in pair]
            wanted: gs.Tensor
            stored = [each for each in both if isinstance(each, np.ndarray)]
            if len(stored) == len(both):
                wanted = gs.Constant(f"sizes_{number}", np.concatenate(stored))
            else:
                wanted = new.add("Concat", *both, axis=0)
            is_last = number == len(pairs) - 1
            y = match.outputs[0] if is_last else gs.Variable(f"resized_{number}")
            nodes.append(match.plugin_node(_plugin(match, pair, facts), [x, wanted], [y]))
            x = y
        return [*new, *nodes]


def _dynamic_axes(
    match: Match,
    axes: list[int],
    x: gs.Tensor,
    scales: gs.Tensor | None,
    sizes: gs.Tensor | None,
) -> str | _Axes:
    """Return the axes whose sizes are known when the model runs, or why they are not resized."""
    if match.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        return "it keeps the ratio of sizes that are not known"
    if match.attribute("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return "it crops an image whose size is not known"
    if sizes is None and (scales is None or match.constant(scales) is None):
        return "its scales are not stored in the model"
    resized: _Axes = {}
    for at, axis in enumerate(axes):
        factor = _scale(match, at)
        before, after = ((each.shape or [])[axis : axis + 1] for each in (x, match.outputs[0]))
        is_same = before and before[0] is not None and before == after
        if factor != 1 and not (factor is None and is_same):
            resized[axis] = None
    return resized


def _pairs(axes: list[int], match: Match, x: gs.Tensor) -> Iterator[tuple[int, int]]:
    """Yield the axes of each node, the last ones first, with one that is kept beside a single."""
    while len(axes) > 1:
        yield axes[-2], axes[-1]
        axes = axes[:-2]
    if axes:
        (axis,) = axes
        shape = match.shape(x) or ()
        # A size that is known need not be computed.
        others = sorted(set(range(len(shape))) - {axis}, key=lambda other: shape[other] is None)
        first, second = sorted((axis, others[0]))
        yield first, second


def _scale(match: Match, at: int) -> float | None:
    """Return the stored scale of an axis of the node; None if it has sizes."""
    stored = match.constant(match["scales"]) if match["scales"] is not None else None
    return float(stored.reshape(-1)[at]) if stored is not None and stored.size > at else None


def _place(match: Match, axis: int) -> int:
    """Return the place of an axis among those of the node."""
    rank = match.rank(match["x"]) or 1
    return [each % rank for each in match.attribute("axes", range(rank))].index(axis)


def _size(
    new: Replacement,
    match: Match,
    axis: int,
    facts: _Axes,
    scales: gs.Tensor | None,
    sizes: gs.Tensor | None,
) -> NodeInput:
    """Return the size of an axis of y, as a vector of one."""
    x = match["x"]
    known = (match.shape(x) or ())[axis]
    if axis not in facts and known is not None:
        return np.array([known])
    if axis not in facts:
        return new.slice(new.add("Shape", x), 0, axis, axis + 1)
    fact, at = facts[axis], _place(match, axis)
    if fact is not None:
        return np.array([fact.resized])
    if sizes is not None:
        return new.slice(sizes, 0, at, at + 1)
    before = new.slice(new.add("Shape", x), 0, axis, axis + 1)
    length = new.add("Mul", new.add("Cast", before, to="float32"), new.slice(scales, 0, at, at + 1))
    return new.add("Cast", new.add("Floor", length), to="int64")


def _plugin(match: Match, pair: tuple[int, int], facts: _Axes) -> Plugin:
    """Return the plugin for two axes."""
    known = [facts.get(axis) or ResizedAxis(1, 1, 1.0) for axis in pair]
    scales: list[float] | None = [each.scale for each in known]
    if any(axis in facts and facts[axis] is None for axis in pair):
        given = [_scale(match, _place(match, axis)) if axis in facts else 1.0 for axis in pair]
        stored = [each for each in given if each is not None]
        scales = stored if len(stored) == len(given) else None
    elif all(each.scale == each.resized / each.size for each in known):
        scales = None
    return match.plugin(
        AntialiasResize,
        ignoring=["antialias", "keep_aspect_ratio_policy", "nearest_mode", "axes"],
        axes=pair,
        scales=scales,
        roi=[*(each.start for each in known), *(each.end for each in known)],
    )
