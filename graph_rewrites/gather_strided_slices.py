"""Take the elements that TensorFlow's slices take in a loop, with bounds along several axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite, is_op, source_of

#: An end or a step beyond every axis, as tf2onnx writes 1000000000 for a bound that is left out.
_FAR = 2**29


@dataclass(frozen=True)
class _Number:
    """A number that is stored, or that adds what is stored to an element of a value.

    Attributes:
        stored: the number, or what is added.
        root: the value; empty if there is none.
    """

    stored: int
    root: str = ""


@dataclass(frozen=True)
class _Taken:
    """What a slice takes: one element along one axis, and stored ranges along others.

    Attributes:
        axis: the axis of the element.
        at: which of the starts is its index.
        ranges: the starts, ends, axes and steps of the others, without those of whole axes.
    """

    axis: int
    at: int
    ranges: tuple[Sequence[int], ...]


class GatherStridedSlices(Rewrite):
    """Slice(x, [0, k], [end, end], [0, 1], [1, end]) -> Gather(x, k, axis=1), in a Loop's body.

    tf2onnx writes ``x[:, k]`` so, with an end and a step of 1000000000, and chooses bounds by masks
    of which it stores those that decide. TensorRT builds no loop with a slice whose bounds the body
    computes. k has to lie within x, beyond which ONNX's slice is empty.
    """

    pattern = Op("Slice", "x", "starts", "ends", "axes", Optional("steps"))

    def check(
        self, match: Match, x: gs.Tensor, starts: gs.Tensor, ends: gs.Tensor, axes: gs.Tensor
    ) -> str | _Taken:
        stored, steps = match.constant(axes), match.bound("steps")
        strides = np.ones(1, np.int64) if steps is None else match.constant(steps)
        rank = match.rank(x)
        if ".body" not in match.where or stored is None or strides is None or rank is None:
            return "it is in no loop, or its axes and steps are not stored"
        if stored.size < 2 and strides.max() < _FAR:
            return "it has one axis, which GatherSlices takes"
        count = int(stored.size)
        bounds = [
            (_element(match, starts.name, at, count), _element(match, ends.name, at, count))
            for at in range(count)
        ]
        over = [int(axis) % rank for axis in stored.flat]
        far = np.broadcast_to(strides.ravel(), stored.size).tolist()
        return _taken(over, bounds, far)

    def rewrite(
        self, match: Match, x: gs.Tensor, starts: gs.Tensor, facts: _Taken
    ) -> list[gs.Node]:
        new = Replacement(match)
        kept: Any = x
        if facts.ranges[0]:
            kept = new.add("Slice", x, *(np.array(each, np.int64) for each in facts.ranges))
        index = new.add("Gather", starts, np.array([facts.at]), axis=0)
        return new.end("Gather", kept, index, axis=facts.axis)


def _taken(
    axes: Sequence[int],
    bounds: Sequence[tuple[_Number | None, _Number | None]],
    steps: Sequence[int],
) -> str | _Taken:
    """Return what a slice with these bounds takes, or why GatherStridedSlices leaves it."""
    elements: list[tuple[int, int]] = []
    ranges: list[tuple[int, int, int, int]] = []
    for at, (axis, (start, end), step) in enumerate(zip(axes, bounds, steps, strict=True)):
        if start is None or end is None:
            return "its bounds follow from no stored masks"
        if start.root:
            is_next = step == 1 and end == _Number(start.stored + 1, start.root) and end.stored > 0
            if not is_next and not (step >= _FAR and end.stored >= _FAR and not end.root):
                return "it takes more than one element where its bounds change"
            elements.append((axis, at))
        elif end.root:
            return "it begins at a stored place and ends at one that changes"
        elif (start.stored, step) != (0, 1) or end.stored < _FAR:
            ranges.append((start.stored, end.stored, axis, step))
    if len(elements) != 1:
        return "its bounds change along another number of axes than one"
    return _Taken(*elements[0], tuple(zip(*ranges, strict=True)) or ((),) * 4)


def _element(match: Match, name: str, at: int, count: int) -> _Number | None:
    """Return an element of a vector of ``count``; None if it follows from what is not known.

    Of a maximum with a number beyond every axis it gives that number.
    """
    name = source_of(name, match.producer)
    stored = match.constant_called(name)
    if stored is not None:
        number = float(stored.flat[at if stored.size > 1 else 0])
        return _Number(int(number)) if number.is_integer() else None
    node = match.producer(name)
    if node is None or not is_op(node, node.op_type):
        return _Number(0, name) if count == 1 else None
    op_type, given = node.op_type, list(node.input)
    if op_type == "Where":
        chosen = _truth(match, given[0], at)
        return None if chosen is None else _element(match, given[1 if chosen else 2], at, count)
    if op_type == "Concat":
        return _piece(match, given, at, count)
    each = [_element(match, one, at, count) for one in given if op_type in ("Add", "Max")]
    far = [one for one in each if one is not None and not one.root and one.stored >= _FAR]
    if op_type == "Max" and far:
        return far[0]
    added = _sum(each) if op_type == "Add" else None
    return added or (_Number(0, name) if count == 1 else None)


def _piece(match: Match, pieces: Sequence[str], at: int, count: int) -> _Number | None:
    """Return an element of joined vectors, of which one may have an unknown size."""
    stored = [match.constant_called(name) for name in pieces]
    sizes = [None if each is None else int(each.size) for each in stored]
    if sizes.count(None) > 1:
        return None
    rest = count - sum(size for size in sizes if size is not None)
    for name, size in zip(pieces, (rest if each is None else each for each in sizes), strict=True):
        if at < size:
            return _element(match, name, at, size)
        at -= size
    return None


def _sum(terms: Sequence[_Number | None]) -> _Number | None:
    """Return the sum of a value and a stored integer, None for other terms."""
    if len(terms) != 2 or None in terms:
        return None
    one, other = (each for each in terms if each is not None)
    if one.root and other.root:
        return None
    return _Number(one.stored + other.stored, one.root or other.root)


def _truth(match: Match, name: str, at: int) -> bool | None:
    """Return an element of a mask, None if it is not known."""
    stored = match.constant_called(name)
    if stored is not None:
        return bool(stored.flat[at if stored.size > 1 else 0])
    node = match.producer(name)
    if node is None or not is_op(node, "And"):
        return None
    each = [_truth(match, given, at) for given in node.input]
    return False if False in each else (True if each == [True, True] else None)
