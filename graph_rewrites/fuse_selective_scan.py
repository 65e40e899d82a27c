"""Fuse the unrolled recurrence of Mamba into one plugin.

TensorRT supports these nodes, so the rewrite is opt-in: measure with and without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

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


class FuseSelectiveScan(GraphRewrite):
    """Concat(C[t] @ (dA[t] * state + dBu[t]) for each t) -> SelectiveScan_PK(u, delta, A, B, C).

    As transformers writes the recurrence of Mamba without kernels of its own, and PyTorch's
    exporters unroll it: dA = exp(A * delta) and dBu = delta * B * u, all in float32, from a state
    of 0. As many steps are computed as were unrolled, even if the inputs have more. What comes
    before and after, such as the softplus of delta, D and the gate, stays.
    """

    plugin = SelectiveScan
    opt_in = True
    pattern = Op("Concat")

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index, graph = GraphIndex(scope), scope.graph
        if not isinstance(graph, onnx.GraphProto):
            return
        upstream = Upstream(index, graphs)
        new: dict[int, list[onnx.NodeProto]] = {}
        for position in index.positions.get("Concat", ()):
            node = index.nodes[position]
            recurrence = _Recurrence.ending_in(node, upstream)
            found = None if recurrence is None else _scan(recurrence, upstream)
            if recurrence is None or found is None:
                continue
            # The place where the last state was computed, which may be read before the outputs are.
            last = index.producers[recurrence.last_state]
            if all(index.producers.get(name, -1) < last for name in found.inputs):
                new[position] = []
                new[last] = found.nodes(graphs, graph, node.output[0], recurrence.last_state)
                yield place_of(scope, node), tuple(each.op_type for each in new[last])
        if new:
            replace_nodes(index, new)


@dataclass(frozen=True)
class _Recurrence:
    """The values that an unrolled recurrence reads step by step.

    Attributes:
        kept, given: how much of the state each step keeps, and what it adds.
        read: C, whose rows the states are multiplied by.
        last_state: the state after the last step.
        length: the number of steps.
    """

    kept: str
    given: str
    read: str
    last_state: str
    length: int

    @classmethod
    def ending_in(cls, concat: onnx.NodeProto, up: Upstream) -> _Recurrence | None:
        """Return the recurrence whose outputs a node concatenates, or None."""
        if attribute_of(concat, "axis", 0) not in (-1, 2):
            return None
        found, states = set(), []
        before = ""  # the state before the step, as it was read in the step after
        for time in reversed(range(len(concat.input))):
            step = _step(concat.input[time], time, up)
            if step is None or (before and step.state != before):
                return None
            found.add((step.kept, step.given, step.read))
            states.append(step.state)
            before = step.before
        if len(found) != 1 or not _is_zero(before, up):
            return None
        return cls(*found.pop(), states[0], len(states))


@dataclass(frozen=True)
class _StepValues:
    """The values that one step reads, the state after it, and the one before it."""

    kept: str
    given: str
    read: str
    state: str
    before: str


def _step(output: str, time: int, up: Upstream) -> _StepValues | None:
    """Return the step whose output a value is: Unsqueeze((state @ C[time])[..., 0])."""
    added = up.above(output, "Unsqueeze")
    column = None if added is None else _taken(added.input[0], 0, 2, up)
    product = None if column is None else up.above(column, "MatMul")
    row = None if product is None else up.above(product.input[1], "Unsqueeze")
    read = None if row is None else _taken(row.input[0], time, 1, up)
    if added is None or product is None or row is None or read is None:
        return None
    if up.axes(added) not in ([-1], [2]) or up.axes(row) not in ([-1], [2]):
        return None
    state = up.without_casts(product.input[0])
    total = up.above(state, "Add")
    for decayed, addend in (total.input, reversed(total.input)) if total else ():
        given, scaled = _taken(addend, time, 2, up), up.above(decayed, "Mul")
        for factor, before in (scaled.input, reversed(scaled.input)) if scaled and given else ():
            kept = _taken(factor, time, 2, up)
            if kept is not None and given is not None:
                return _StepValues(kept, given, read, state, up.without_casts(before))
    return None


def _taken(name: str, number: int, axis: int, up: Upstream) -> str | None:
    """Return the value of which a Gather takes one slice."""
    gather = up.above(name, "Gather")
    if gather is None or attribute_of(gather, "axis", 0) != axis:
        return None
    at = up.stored(gather.input[1])
    is_slice = at is not None and at.ndim == 0 and at == number
    return up.without_casts(gather.input[0]) if is_slice else None


def _is_zero(name: str, up: Upstream) -> bool:
    """Whether a value holds only zeros, of whatever shape."""
    filled, expand = up.above(name, "ConstantOfShape"), up.above(name, "Expand")
    if filled is not None:
        value = attribute_of(filled, "value", None)
        return value is None or not np.any(onnx.numpy_helper.to_array(value))
    stored = up.stored(name if expand is None else expand.input[0])
    return stored is not None and not np.any(stored)


@dataclass(frozen=True)
class _Scan:
    """The inputs of the plugin, of which B and C are (batch, time, states), A any shape."""

    u: str
    delta: str
    a: str
    b: str
    c: str
    channels: int
    states: int
    length: int
    is_cut: bool  # whether inputs may have more steps

    @property
    def inputs(self) -> tuple[str, ...]:
        """The values that the new nodes read."""
        return self.u, self.delta, self.a, self.b, self.c

    def nodes(
        self, graphs: Graphs, graph: onnx.GraphProto, out: str, last_state: str
    ) -> list[onnx.NodeProto]:
        """Return the plugin's node, after those that give its inputs their shapes."""
        made: list[onnx.NodeProto] = []

        def add(op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
            output = graphs.names.new_value(f"{out}/{name}")
            node_name = graphs.names.new_node(f"{out}/{name}")
            node = onnx.helper.make_node(op_type, inputs, [output], node_name, **attributes)
            made.append(node)
            return output

        def shaped(name: str, value: str, shape: Sequence[int]) -> str:
            return add("Reshape", name, value, store_numbers(graphs, graph, f"{name}_shape", shape))

        def in_time(name: str, value: str, axis: int) -> str:
            if not self.is_cut:
                return value
            ends = [
                store_numbers(graphs, graph, f"{name}_{each}", [at])
                for each, at in (("start", 0), ("end", self.length), ("axis", axis))
            ]
            return add("Slice", name, value, *ends)

        rows = [0, self.length, 1, self.states]
        inputs = [
            in_time("u", self.u, 2),
            in_time("delta", self.delta, 2),
            shaped("A", self.a, [self.channels, self.states]),
            shaped("B_rows", in_time("B", self.b, 1), rows),
            shaped("C_rows", in_time("C", self.c, 1), rows),
        ]
        plugin = SelectiveScan().with_inputs("u", "delta", "A", "B", "C")
        node_name = graphs.names.new_node(f"{out}/scan")
        return [*made, plugin_node(plugin, inputs, [out, last_state], node_name)]


def _scan(found: _Recurrence, up: Upstream) -> _Scan | None:
    """Return what the plugin reads, if the recurrence is that of Mamba; None otherwise."""
    exp = up.above(found.kept, "Exp")
    exponent = None if exp is None else up.above(exp.input[0], "Mul")
    factors = _factors(found.given, up)
    if exponent is None or len(factors) != 3:
        return None
    for a, step in (exponent.input, reversed(exponent.input)):
        wide = up.without_casts(step)
        others = [name for name in factors if name != wide]
        delta = _unsqueezed(wide, ([3], [-1]), up)
        if delta is None or len(others) != 2:
            continue
        for first, second in (others, others[::-1]):
            b, u = _unsqueezed(first, ([1], [-3]), up), _unsqueezed(second, ([3], [-1]), up)
            if b is not None and u is not None:
                return _fitting(up, found, a, (u, delta, b, found.read))
    return None


def _factors(name: str, up: Upstream) -> list[str]:
    """Return the factors of a product of products."""
    product = up.above(name, "Mul")
    if product is None:
        return [name]
    return [each for given in product.input for each in _factors(up.without_casts(given), up)]


def _unsqueezed(name: str, axes: Sequence[list[int]], up: Upstream) -> str | None:
    node = up.above(name, "Unsqueeze")
    return str(node.input[0]) if node is not None and up.axes(node) in axes else None


def _fitting(
    up: Upstream, found: _Recurrence, a: str, values: tuple[str, str, str, str]
) -> _Scan | None:
    """Return the scan if shapes and types fit each other."""
    u, delta, b, c = values
    sizes, decays = up.dims(u), up.dims(a)
    if len(sizes) != 3 or len(decays) != 4 or any(up.dtype(x) != "float32" for x in (a, *values)):
        return None
    items, channels, length = sizes
    states = decays[3]
    if not isinstance(channels, int) or not isinstance(states, int):
        return None
    fits = (
        are_same(decays, [1, channels, 1, states])
        and are_same(up.dims(delta), sizes)
        and are_same(up.dims(b), [items, length, states])
        and are_same(up.dims(c), [items, length, states])
        and 1 <= states <= MOST_STATES
    )
    is_cut = length != found.length
    return _Scan(u, delta, a, b, c, channels, states, found.length, is_cut) if fits else None
