"""Fuse the scan of Mamba 2, in chunks, into one plugin.

TensorRT supports these nodes, so the rewrite is opt-in: measure with and without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.graph_rewrites._trials import computed
from pluginkit.graph_rewrites._upstream import (
    Upstream,
    are_same,
    attribute_of,
    store_numbers,
)
from pluginkit.onnx import (
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
from pluginkit.plugins.selective_scan import SelectiveScan
from pluginkit.plugins.selective_scan.launches import MOST_STATES
from pluginkit.plugins.selective_scan.reference import selective_scan

Array = npt.NDArray[Any]

#: The products of a chunk with itself, of scores with what is scanned, and of states with C.
_SCORES, _WITHIN = "bclhn,bcshn->bclsh", "bclsh,bcshp->bclhp"
_ACROSS, _CARRIED = "bclhn,bchpn->bclhp", "bzch,bzhpn->bchpn"
#: What may lie between the matrices of groups and those that are repeated for each head.
_REPEATING = ("Reshape", "Expand", "Tile", "Unsqueeze", "Cast")
#: The items of a trial and its chunks, of which the last is not whole, where the model leaves open
#: how many there are.
_ITEMS, _CHUNKS = 2, 3


class FuseChunkedScan(GraphRewrite):
    """Mamba 2's scan as products of chunks -> SelectiveScan_PK(u, delta, A, B, C).

    As transformers writes it without kernels of its own, in float32 and from a state of 0, with or
    without its last state. The products name the place; whether the nodes compute the scan is found
    out by running them on drawn values. What comes before and after, such as the softplus of delta
    and D, stays.
    """

    plugin = SelectiveScan
    opt_in = True
    pattern = Op("Einsum")

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index, graph = GraphIndex(scope), scope.graph
        if not isinstance(graph, onnx.GraphProto):
            return
        up = Upstream(index, graphs)
        new: dict[int, list[onnx.NodeProto]] = {}
        for position in index.positions.get("Reshape", ()):
            found = _ChunkedScan.ending_in(index.nodes[position], up)
            if found is None or not _computes_a_scan(found, up):
                continue
            # The last state may be taken before the outputs are complete.
            made = [index.producers[name] for name in (found.out, found.last_state) if name]
            new |= {each: [] for each in made}
            new[min(made)] = found.nodes(graphs, graph)
            yield place_of(scope, index.nodes[position]), tuple(n.op_type for n in new[min(made)])
        if new:
            replace_nodes(index, new)


@dataclass(frozen=True)
class _ChunkedScan:
    """What a scan in chunks reads and gives.

    Attributes:
        u: (items, length, heads, size).
        delta: (items, length, heads).
        a: (heads,), in any shape.
        b, c: (items, length, groups, states).
        pads: the pads of u up to whole chunks; none if there are no other elements.
        out: the scanned values, as u is padded.
        last_state: (items, heads, size, states); none if nothing reads it.
        sizes: heads, size and states.
        chunk: the length of a chunk.
    """

    u: str
    delta: str
    a: str
    b: str
    c: str
    pads: str
    out: str
    last_state: str
    sizes: tuple[int, int, int]
    chunk: int

    @classmethod
    def ending_in(cls, reshape: onnx.NodeProto, up: Upstream) -> _ChunkedScan | None:
        """Return the scan whose chunks a node joins, or None."""
        total = up.above(reshape.input[0], "Add")
        for within, across in (total.input, reversed(total.input)) if total else ():
            inside, carried = _product(within, _WITHIN, up), _scaled_product(across, _ACROSS, up)
            scores = None if inside is None else _scaled_product(inside[0], _SCORES, up)
            if inside is None or carried is None or scores is None:
                continue
            scaled, pads = _whole(inside[1], up)
            repeated = [_whole(each, up)[0] for each in (scores[1], scores[0])]
            b, c = (_of_groups(each, up) for each in repeated)
            last, chunk = _last_state(carried[1], up), [*up.dims(inside[1]), None, None, None][2]
            for u, delta, a in _discretized(scaled, carried[2], up):
                sizes = _sizes(up, (u, delta, a, b, c))
                if sizes is not None and isinstance(chunk, int):
                    out = str(reshape.output[0])
                    return cls(u, delta, a, b, c, pads, out, last, sizes, chunk)
        return None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values that a trial draws."""
        return self.u, self.delta, self.a, self.b, self.c

    def nodes(self, graphs: Graphs, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
        """Return the plugin's node, with those that bring time to the last axis and back."""
        made: list[onnx.NodeProto] = []
        heads, size, states = self.sizes

        def add(op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
            output = graphs.names.new_value(f"{self.out}/{name}")
            node_name = graphs.names.new_node(f"{self.out}/{name}")
            made.append(onnx.helper.make_node(op_type, inputs, [output], node_name, **attributes))
            return output

        def shaped(name: str, value: str, *shape: int) -> str:
            return add("Reshape", name, value, store_numbers(graphs, graph, f"{name}_shape", shape))

        def named(output: str) -> None:
            made[-1].output[0] = output

        channels = shaped(
            "u", add("Transpose", "u_t", self.u, perm=[0, 2, 3, 1]), 0, heads * size, -1
        )
        delta = add("Transpose", "delta", self.delta, perm=[0, 2, 1])
        inputs = [channels, delta, shaped("A", self.a, heads, 1), self.b, self.c]
        outputs = [graphs.names.new_value(f"{self.out}/{name}") for name in ("scan", "state")]
        plugin = SelectiveScan().with_inputs("u", "delta", "A", "B", "C")
        made.append(plugin_node(plugin, inputs, outputs, graphs.names.new_node(f"{self.out}/scan")))
        if self.last_state:
            shaped("last_state", outputs[1], 0, heads, size, states)
            named(self.last_state)
        joined = add(
            "Transpose",
            "out",
            shaped("of_heads", outputs[0], 0, heads, size, -1),
            perm=[0, 3, 1, 2],
        )
        if self.pads:
            add("Pad", "padded", joined, self.pads)
        named(self.out)
        return made


def _product(name: str, equation: str, up: Upstream) -> tuple[str, str] | None:
    """Return the factors of an Einsum."""
    einsum = up.above(up.without_casts(name), "Einsum")
    if einsum is None or attribute_of(einsum, "equation", "").replace(" ", "") != equation:
        return None
    return str(einsum.input[0]), str(einsum.input[1])


def _scaled_product(name: str, equation: str, up: Upstream) -> tuple[str, str, str] | None:
    """Return the factors of an Einsum and what it is multiplied by, element by element."""
    scaled = up.above(name, "Mul")
    for product, factor in (scaled.input, reversed(scaled.input)) if scaled else ():
        found = _product(product, equation, up)
        if found is not None:
            return *found, str(factor)
    return None


def _whole(chunks: str, up: Upstream) -> tuple[str, str]:
    """Return the value that is padded and split into chunks, and the pads, "" for none."""
    reshape = up.above(up.without_casts(chunks), "Reshape")
    if reshape is None:
        return chunks, ""
    pad = up.above(up.without_casts(reshape.input[0]), "Pad")
    if pad is None or len(pad.input) < 2:
        return up.without_casts(reshape.input[0]), ""
    return up.without_casts(pad.input[0]), str(pad.input[1])


def _of_groups(name: str, up: Upstream) -> str:
    """Return the matrices of groups, of which these may be repetitions for each head."""
    found, dims = name, up.dims(name)
    node = next((n for op in _REPEATING if (n := up.above(name, op)) is not None), None)
    while node is not None and len(dims) == 4:
        above = str(node.input[0])
        sizes = up.dims(above)
        if len(sizes) == 4 and [*sizes[:2], sizes[3]] == [*dims[:2], dims[3]]:
            found = above
        node = next((n for op in _REPEATING if (n := up.above(above, op)) is not None), None)
    return found


def _last_state(before: str, up: Upstream) -> str:
    """Return the state after the last chunk, "" if nothing reads it."""
    cut = up.above(before, "Slice")
    while cut is not None and up.above(cut.input[0], "Slice") is not None:
        cut = up.above(cut.input[0], "Slice")
    if cut is None or _product(cut.input[0], _CARRIED, up) is None:
        return ""
    for position in up.index.positions.get("Gather", ()):
        node = up.index.nodes[position]
        is_last = node.input[0] == cut.input[0] and attribute_of(node, "axis", 0) == 1
        if is_last and up.is_number(node.input[1], -1):
            return str(node.output[0])
    return ""


def _discretized(scaled: str, factor: str, up: Upstream) -> Iterator[tuple[str, str, str]]:
    """Yield u, delta and A, of which u * delta and A * delta are scanned."""
    name = factor
    for op_type in ("Unsqueeze", "Transpose", "Exp", "CumSum", "Transpose"):
        node = up.above(up.without_casts(name), op_type)
        if node is None:
            return
        name = str(node.input[0])
    steps, decays = up.above(scaled, "Mul"), up.above(_whole(name, up)[0], "Mul")
    if steps is None or decays is None:
        return
    for u, wide in (steps.input, reversed(steps.input)):
        unsqueezed = up.above(up.without_casts(wide), "Unsqueeze")
        for a, delta in (decays.input, reversed(decays.input)) if unsqueezed else ():
            delta = up.without_casts(delta)
            if unsqueezed is not None and up.without_casts(unsqueezed.input[0]) == delta:
                yield up.without_casts(u), delta, up.without_casts(a)


def _sizes(up: Upstream, names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return heads, size and states if shapes and types are known to fit each other."""
    u, delta, a, b, c = (up.dims(name) for name in names)
    if any(up.dtype(name) != "float32" for name in names) or [len(u), len(b)] != [4, 4]:
        return None
    heads, size, groups, states = *u[2:], *b[2:]
    counts = [each for each in (heads, size, groups, states) if isinstance(each, int)]
    if len(counts) < 4 or a not in ([heads], [1, 1, heads]):
        return None
    fits = are_same(delta, u[:3]) and are_same(b, [*u[:2], *b[2:]]) and are_same(b, c)
    is_possible = counts[0] % max(counts[2], 1) == 0 and 1 <= counts[3] <= MOST_STATES
    return (counts[0], counts[1], counts[3]) if fits and is_possible else None


def _computes_a_scan(found: _ChunkedScan, up: Upstream) -> bool:
    """Whether the nodes give what SelectiveScan gives, for drawn values."""
    rng = np.random.default_rng(0)
    given: dict[str, Array] = {}
    for name in found.inputs:
        dims = zip(up.dims(name), (_ITEMS, _CHUNKS * found.chunk - 1, 1, 1), strict=False)
        shape = [dim if isinstance(dim, int) else trial for dim, trial in dims]
        given[name] = rng.uniform(0.1, 1, shape).astype(np.float32)
    given[found.a] = -given[found.a]
    wanted = [name for name in (found.out, found.last_state) if name]
    got = computed(wanted, given, up)
    if got is None:
        return False
    u, delta, a, b, c = (given[name] for name in found.inputs)
    items, length, heads, size = u.shape
    channels = u.transpose(0, 2, 3, 1).reshape(items, heads * size, length)
    arguments = (channels, delta.transpose(0, 2, 1), a.reshape(heads, 1), b, c)
    y, state = selective_scan((*arguments, None, None, None, None), delta_softplus=False)
    expected = [
        y.reshape(items, heads, size, length).transpose(0, 3, 1, 2),
        state.reshape(items, heads, size, -1),
    ]
    got[0], rest = got[0][:, :length], got[0][:, length:]
    pairs = zip(got, expected, strict=False)
    return not rest.any() and all(
        one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-3)
        for one, other in pairs
    )
