"""Fuse the GridSamples of multi-scale deformable attention into one plugin.

TensorRT supports these nodes, so the rewrite is opt-in: measure with and without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import onnx
import onnx.helper

from pluginkit.graph_rewrites._upstream import (
    AxisSize,
    AxisSizes,
    Upstream,
    are_same,
    attribute_of,
    is_same,
    known_product,
    perm_of,
    store_numbers,
)
from pluginkit.onnx import (
    FLOATS,
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    place_of,
    plugin_node,
    replace_nodes,
)
from pluginkit.plugins.multi_scale_deformable_attention import MultiScaleDeformableAttention


class FuseMultiScaleDeformableAttention(GraphRewrite):
    """Transpose(Sum(Concat(GridSample of each level) * w)) -> MultiScaleDeformableAttention_PK.

    As transformers, mmcv and others write it without their own kernel, and PyTorch's exporters
    export it: in Deformable DETR, RT-DETR and Grounding DINO the values of all levels are split
    before heads and channels are moved, in RT-DETR v2 after. The sizes of the levels must be
    stored, every level must have the same number of points, and heads and channels must be known.
    """

    plugin = MultiScaleDeformableAttention
    opt_in = True
    pattern = Op("GridSample")

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        graph = scope.graph
        if "GridSample" not in index.positions or not isinstance(graph, onnx.GraphProto):
            return
        new: dict[int, list[onnx.NodeProto]] = {}
        for position in index.positions.get("Transpose", ()):
            tail = index.nodes[position]
            found = _Candidate(Upstream(index, graphs)).attention(tail)
            if found is not None:
                made = found.nodes(graphs, graph, tail)
                yield place_of(scope, tail), tuple(each.op_type for each in made)
                new[position] = made
        if new:
            replace_nodes(index, new)


@dataclass(frozen=True)
class _Attention:
    """What the plugin reads, and the sizes of heads, levels and points.

    Attributes:
        value, locations, weights: the names of the values.
        heads, points: how many there are.
        sizes: the height and width of each level.
        is_merged: whether levels and points are one axis of locations and weights.
    """

    value: str
    locations: str
    weights: str
    heads: int
    points: int
    sizes: tuple[tuple[int, int], ...]
    is_merged: bool

    def nodes(
        self, graphs: Graphs, graph: onnx.GraphProto, tail: onnx.NodeProto
    ) -> list[onnx.NodeProto]:
        """Return the plugin's node, after those that it needs, in place of the last node."""

        def stored(name: str, numbers: Any) -> str:
            return store_numbers(graphs, graph, f"{tail.output[0]}/{name}", numbers)

        def in_levels(name: str, value: str, last: Sequence[int]) -> onnx.NodeProto:
            shape = stored(f"{name}_shape", [0, 0, self.heads, len(self.sizes), self.points, *last])
            made = graphs.names.new_value(f"{tail.output[0]}/{name}")
            node_name = graphs.names.new_node(f"{tail.name}/{name}")
            return onnx.helper.make_node("Reshape", [value, shape], [made], node_name)

        before: list[onnx.NodeProto] = []
        read = [self.locations, self.weights]
        if self.is_merged:
            before.append(in_levels("sampling_loc", self.locations, [2]))
            before.append(in_levels("attn_weight", self.weights, []))
            read = [node.output[0] for node in before]
        counts = [height * width for height, width in self.sizes]
        sizes = stored("spatial_shapes", self.sizes)
        starts = stored("level_start_index", np.cumsum([0, *counts[:-1]]))
        name = graphs.names.new_node(tail.name or "deformable_attention")
        plugin = MultiScaleDeformableAttention()
        inputs = [self.value, sizes, starts, *read]
        return [*before, plugin_node(plugin, inputs, list(tail.output), name)]


class _Candidate:
    """Looks for deformable attention above a node."""

    def __init__(self, upstream: Upstream) -> None:
        self._up = upstream

    def attention(self, tail: onnx.NodeProto) -> _Attention | None:
        """Return the attention that ends with a Transpose, or None."""
        joined = self._up.above(tail.input[0], "Reshape") if perm_of(tail) == [0, 2, 1] else None
        total = None if joined is None else self._up.above(joined.input[0], "ReduceSum")
        product = None if total is None else self._up.above(total.input[0], "Mul")
        if joined is None or total is None or product is None:
            return None
        if self._up.axes(total) not in ([-1], [3]) or attribute_of(total, "keepdims", 1):
            return None
        for sampled, weights in (product.input, reversed(product.input)):
            samples = self._samples(sampled)
            found = self._of_samples(samples, weights) if samples else None
            if found is not None and self._ends(found, joined.output[0]):
                return found
        return None

    def _ends(self, found: _Attention, joined: str) -> bool:
        """Whether the sums become all heads of each query, and the types are the plugin's."""
        dims, value, locations = map(self._up.dims, (joined, found.value, found.locations))
        last = value[3]
        if len(dims) != 3 or not isinstance(last, int) or dims[1] != found.heads * last:
            return False
        is_whole = is_same(dims[0], value[0]) or is_same(dims[0], locations[0])
        types = {*map(self._up.dtype, (found.value, found.locations, found.weights))}
        return (
            (is_whole or is_same(dims[2], locations[1])) and len(types) == 1 and types <= {*FLOATS}
        )

    def _samples(self, name: str) -> list[onnx.NodeProto]:
        """Return the GridSamples whose results are concatenated; none if it is something else."""
        concat = self._up.above(name, "Concat")
        if concat is not None:
            if attribute_of(concat, "axis", 0) not in (-1, 3):
                return []
            return self._grid_samples(concat.input)
        reshape = self._up.above(name, "Reshape")
        concat = None if reshape is None else self._up.above(reshape.input[0], "Concat")
        if concat is None or attribute_of(concat, "axis", 0) not in (-2, 3):
            return []
        before, after = self._up.dims(concat.output[0]), self._up.dims(name)
        if len(before) != 5 or len(after) != 4 or not are_same(before[1:3], after[1:3]):
            return []
        numbers = [size for size in before[3:] if isinstance(size, int)]
        has_all = len(numbers) == 2 and after[3] == numbers[0] * numbers[1]
        if not has_all and not is_same(before[0], after[0]):
            return []
        added = [self._up.above(each, "Unsqueeze") for each in concat.input]
        if any(each is None or self._up.axes(each) not in ([-2], [3]) for each in added):
            return []
        return self._grid_samples([each.input[0] for each in added if each is not None])

    def _grid_samples(self, names: Sequence[str]) -> list[onnx.NodeProto]:
        found = (self._up.above(name, "GridSample") for name in names)
        samples = [each for each in found if each is not None and _is_plain(each)]
        return samples if len(samples) == len(names) else []

    def _of_samples(self, samples: Sequence[onnx.NodeProto], weights: str) -> _Attention | None:
        """Return the attention with these GridSamples, if they and the weights fit each other."""
        images, of_grids = ([self._up.dims(each.input[at]) for each in samples] for at in (0, 1))
        sizes = tuple((h, w) for *_, h, w in images if isinstance(h, int) and isinstance(w, int))
        counts = {dims[2] for dims in of_grids if len(dims) == 4}
        points = counts.pop() if len(counts) == 1 else None
        if len(sizes) != len(samples) or not isinstance(points, int):
            return None
        starts = [0, *accumulate(height * width for height, width in sizes)]
        values = {self._value(each.input[0], at, starts[at]) for at, each in enumerate(samples)}
        grids = {self._grid(each.input[1], at, at * points) for at, each in enumerate(samples)}
        weight = self._moved(weights, ([0, 2, 1, 3, 4], [0, 2, 1, 3]))
        if len(values) != 1 or len(grids) != 1 or weight is None:
            return None
        value, grid = values.pop(), grids.pop()
        if value is None or grid is None or (locations := self._scaled(grid)) is None:
            return None
        of_value, of_grid, of_weight = map(self._up.dims, (value, locations, weight))
        (_, queries, *_), heads = of_grid, of_value[2]
        if not isinstance(heads, int) or of_value[1] != starts[-1]:
            return None
        is_merged = len(of_grid) == 5
        last: AxisSizes = [len(sizes) * points] if is_merged else [len(sizes), points]
        is_one_batch = is_same(of_weight[0], of_value[0]) or is_same(of_weight[0], of_grid[0])
        fits = (
            is_one_batch
            and are_same(of_weight[1:], [queries, heads, *last])
            and are_same(of_grid[1:], [queries, heads, *last, 2])
            and is_same(of_grids[0][1], queries)
            and are_same(self._up.dims(weights)[1:], [1, queries, len(sizes) * points])
        )
        found = _Attention(value, locations, weight, heads, points, sizes, is_merged)
        return found if fits else None

    def _value(self, image: str, level: int, start: int) -> str | None:
        """Return the value whose pixels from `start` on are an image, all heads in its batch."""
        reshape, dims = self._up.above(image, "Reshape"), self._up.dims(image)
        if reshape is None or len(dims) != 4:
            return None
        transpose = self._up.above(reshape.input[0], "Transpose")
        if transpose is None:
            found = self._moved_before_split(reshape.input[0], dims[1], level, start)
        else:
            found = self._moved_after_split(transpose, level, start)
        if found is None:
            return None
        value, pixels = found
        of_value = self._up.dims(value)
        fits = len(of_value) == 4 and is_same(pixels, known_product(dims[2:]))
        return value if fits and is_same(of_value[3], dims[1]) else None

    def _moved_before_split(
        self, part: str, channels: AxisSize, level: int, start: int
    ) -> tuple[str, AxisSize] | None:
        """Return the value of whose pixels, the last axis, this is a part, and their number."""
        whole = self._up.part_of(part, 2, level, start)
        flat = None if whole is None else self._up.above(whole, "Reshape")
        moved = None if flat is None else self._up.above(flat.input[0], "Transpose")
        if flat is None or moved is None or perm_of(moved) != [0, 2, 3, 1]:
            return None
        value = moved.input[0]
        of_flat, of_value, of_part = map(self._up.dims, (flat.output[0], value, part))
        is_whole = len(of_value) == 4 and are_same(of_flat[1:], [channels, of_value[1]])
        return (value, of_part[2]) if is_whole and len(of_part) == 3 else None

    def _moved_after_split(
        self, transpose: onnx.NodeProto, level: int, start: int
    ) -> tuple[str, AxisSize] | None:
        """Return the value of whose pixels, the second axis, this is a part, and their number."""
        flat = self._up.above(transpose.input[0], "Reshape")
        value = None if flat is None else self._up.part_of(flat.input[0], 1, level, start)
        if flat is None or value is None or perm_of(transpose) != [0, 2, 1]:
            return None
        kept, part = map(self._up.dims, (flat.output[0], flat.input[0]))
        is_whole = len(kept) == 3 and len(part) == 4 and are_same(kept[:2], part[:2])
        return (value, part[1]) if is_whole else None

    def _grid(self, grid: str, level: int, start: int) -> str | None:
        """Return the grids of all levels, of which a GridSample reads one, all heads in a batch."""
        merged = self._up.part_of(grid, 2, level, start)
        if merged is not None:
            found, whole = self._moved(merged), self._up.dims(merged)
            fits = found is not None and are_same(whole[2:], self._up.dims(found)[3:])
            return found if fits else None
        moved = self._moved(grid)
        gather = None if moved is None else self._up.above(moved, "Gather")
        if gather is None or attribute_of(gather, "axis", 0) not in (3, -3):
            return None
        number = self._up.stored(gather.input[1])
        is_level = number is not None and number.ndim == 0 and number == level
        fits = are_same(self._up.dims(grid)[2:], self._up.dims(gather.output[0])[3:])
        return gather.input[0] if is_level and fits else None

    def _moved(self, name: str, perms: Sequence[Any] = ([0, 2, 1, 3, 4],)) -> str | None:
        """Return the value whose heads are moved before its queries, and into the batch."""
        reshape = self._up.above(name, "Reshape")
        transpose = None if reshape is None else self._up.above(reshape.input[0], "Transpose")
        if transpose is None or perm_of(transpose) not in perms:
            return None
        return str(transpose.input[0])

    def _scaled(self, grid: str) -> str | None:
        """Return the locations whose double, less one, the grid is."""
        shifted = self._up.above(grid, "Sub")
        if shifted is None or not self._up.is_number(shifted.input[1], 1):
            return None
        doubled = self._up.above(shifted.input[0], "Mul")
        for name, factor in (doubled.input, reversed(doubled.input)) if doubled else ():
            if self._up.is_number(factor, 2):
                return str(name)
        return None


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether a GridSample interpolates bilinearly, with zeros outside, between pixels' centres."""
    mode = attribute_of(node, "mode", "linear") in ("linear", "bilinear")
    is_zero = attribute_of(node, "padding_mode", "zeros") == "zeros"
    return mode and is_zero and not attribute_of(node, "align_corners", 0)
