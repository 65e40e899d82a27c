"""Replace Keypoint R-CNN's exported loop, which searches heat maps for keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_graphsurgeon as gs

from pluginkit.graph_rewrites._loop_probes import RowLoop, row_loop, size_in_loop
from pluginkit.onnx import Match, NewNode, NodeInput, Op, Replacement, Rewrite
from pluginkit.plugins.resized_arg_max import ResizedArgMax
from pluginkit.plugins.resized_arg_max.reference import resized_arg_max

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Search:
    """The values that the loop reads: maps, sizes in pixels, sizes, and corners; x before y."""

    maps: str
    pixels: tuple[str, str]
    sizes: tuple[str, str]
    corners: tuple[str, str]


class ReplaceKeypointSearch(Rewrite):
    """Loop over regions: Concat(points, place of ArgMax(Resize(maps))) -> ResizedArgMax_PK.

    torchvision writes this loop for heat maps (N, K, S, S) and regions. TensorRT does not support a
    Resize to a size that depends on data. To recognise the loop, onnx's own evaluator runs its body
    on some maps and regions, and the results are compared.
    """

    plugin = ResizedArgMax
    pattern = Op("Loop")
    #: Before sizes are stored and equal nodes merged: the loop is recognised by what it reads.
    order = -6

    def check(self, match: Match) -> str | _Search:
        loop = row_loop(match)
        if isinstance(loop, str):
            return f"it is no loop that searches heat maps: {loop}"
        found = _search(match, loop)
        return found or "it is no loop that searches heat maps: its body computes something else"

    def rewrite(self, match: Match, facts: _Search) -> list[NewNode]:
        new = Replacement(match)
        first, count = np.zeros(1, np.int64), new.unsqueeze(match.inputs[0], [0])

        def rows_of(name: str) -> gs.Variable:
            return new.add("Slice", gs.Variable(name), first, count, first)

        maps = rows_of(facts.maps)
        pixels, sizes, corners = (
            [rows_of(name) for name in pair] for pair in (facts.pixels, facts.sizes, facts.corners)
        )
        width, height = (new.add("Cast", each, to="int64") for each in pixels)
        rows, columns, largest = (gs.Variable(name) for name in ("rows", "columns", "largest"))
        search = match.plugin_node(ResizedArgMax(), [maps, height, width], [rows, columns, largest])

        def along(axis: int, places: NodeInput) -> gs.Variable:
            at = new.add("Add", new.add("Cast", places, to="float32"), np.float32(0.5))
            unit = new.unsqueeze(new.add("Div", sizes[axis], pixels[axis]), [1])
            return new.add("Add", new.add("Mul", at, unit), new.unsqueeze(corners[axis], [1]))

        before = list(new)
        x, y = along(0, columns), along(1, rows)
        ones = new.add("Add", new.add("Mul", x, np.float32(0)), np.float32(1))
        points = new.add("Concat", *(new.unsqueeze(each, [1]) for each in (x, y, ones)), axis=1)
        new.into(match.outputs[:1], "Identity", points)
        new.into(match.outputs[1:], "Identity", largest)
        return [*before, search, *list(new)[len(before) :]]


def _search(match: Match, loop: RowLoop) -> _Search | None:
    """Return what a loop reads, in the order of torchvision, if it searches heat maps."""
    if len(loop.rows) != 7 or len(loop.pieces) != 2:
        return None
    maps, *numbers = loop.rows
    if any(match.dtype(gs.Variable(name)) != "float32" for name in loop.rows):
        return None
    counted = [axis for row, axis in loop.sizes.values() if row == maps]
    if len(counted) < len(loop.sizes) or any(axis != 1 for axis in counted):
        return None
    for heat, *given in _probes(size_in_loop(match, maps, 1, otherwise=3)):
        found = loop.piece_of(dict(zip(loop.rows, (heat, *given), strict=True)))
        if found is None:
            return None
        for got, expected in zip(found, _found(heat, *given), strict=True):
            if got.shape != expected.shape or not np.allclose(got, expected, atol=1e-4):
                return None
    pairs = [(numbers[i], numbers[i + 1]) for i in (0, 2, 4)]
    return _Search(maps, *pairs)


def _probes(count: int) -> Iterator[tuple[_Floats, ...]]:
    """Yield heat maps, and the size in pixels, the size and the corner of a region."""
    rng = np.random.default_rng(0)
    for pixels, size, corner in (
        ((5, 7), (4.5, 6.25), (3.5, -2.0)),
        ((2, 1), (1.75, 1.0), (0.0, 10.0)),
        ((6, 3), (6.0, 2.5), (1.25, 0.5)),
    ):
        heat = rng.normal(size=(count, 4, 4)).astype(np.float32)
        numbers = (np.array(each, np.float32) for each in (*pixels, *size, *corner))
        yield (heat, *numbers)


def _found(heat: _Floats, *numbers: _Floats) -> tuple[_Floats, _Floats]:
    """Return the points and the scores that a run appends, in numpy."""
    width, height, size_x, size_y, corner_x, corner_y = numbers
    heights, widths = (np.array([each], np.int64) for each in (height, width))
    rows, columns, largest = resized_arg_max(heat[None], heights, widths, -0.75)
    x = (columns[0] + 0.5) * (size_x / width) + corner_x
    y = (rows[0] + 0.5) * (size_y / height) + corner_y
    points = np.stack([x, y, np.ones_like(x)])
    return points[None].astype(np.float32), largest
