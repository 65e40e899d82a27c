"""Look values up in a sorted sequence where a model spells that out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._upstream import Upstream
from pluginkit.onnx import (
    Change,
    GraphIndex,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    elem_type,
    place_of,
    plugin_node,
    replace_nodes,
)
from pluginkit.plugins.search_sorted import SearchSorted

_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
#: Operators that may give what is compared with x: they choose among stored elements.
_CHOOSING = frozenset(("Constant", "Expand", "Gather", "GatherND", "Reshape", "Unsqueeze"))
#: Operators that compute positions, masks and shapes.
_COUNTING = _CHOOSING.union(
    ("Add", "And", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Mod", "Mul", "Not"),
    ("ReduceSum", "Shape", "Slice", "Squeeze", "Sub", "Where"),
    _COMPARISONS,
)
_DTYPES = ("float32", "float16")
#: The longest sequence, the most elements that are evaluated at once, and how often that is done.
_LONGEST, _MOST, _RUNS = 1 << 14, 1 << 18, 64


class FuseSearchSorted(GraphRewrite):
    """ReduceSum(Cast(Greater(x, sequence))) -> SearchSorted_PK(sequence, x).

    That is what the TorchScript exporter makes of torch.bucketize, and people write by hand. So are
    the steps of a binary search that torch.export's exporter unrolls. The sequence is stored. What
    the nodes compute is evaluated for each of its elements and for numbers between them, and must
    be their places. NaN gets the last place, as in torch, and not in all of its exports.
    """

    plugin = SearchSorted
    pattern = Op(("ReduceSum", "Where"))
    order = -1
    opt_in = True

    def rewrite_scope(self, scope: Scope, graphs: Graphs) -> Iterator[Change]:
        index = GraphIndex(scope)
        up = Upstream(index, graphs)
        new: dict[int, list[onnx.NodeProto]] = {}
        done = set[int]()
        for at, x in _candidates(up):
            search = None if at in done else _search_of(at, x, up)
            if search is not None:
                done |= search.nodes
                new[at] = _nodes(index.nodes[at], search, graphs)
                yield place_of(scope, index.nodes[at]), ("SearchSorted_PK",)
        if new:
            replace_nodes(index, new)


@dataclass(frozen=True)
class _SpelledOutSearch:
    """A search that nodes spell out.

    Attributes:
        x: the values that are looked up.
        sequence: the name of what they are looked up in.
        right: whether equal elements come before a value.
        dtype: the type of positions.
        nodes: the positions of the nodes.
    """

    x: str
    sequence: np.ndarray[Any, Any]
    right: bool
    dtype: str
    nodes: frozenset[int]


def _candidates(up: Upstream) -> Iterator[tuple[int, str]]:
    """Yield nodes that may give places, the last ones first, and what they look up."""
    for at, node in reversed(list(enumerate(up.index.nodes))):
        above = {"ReduceSum": "Cast", "Where": "And"}.get(node.op_type)
        masked = None if above is None else up.above(node.input[0], above)
        if masked is None:
            continue
        negated = up.above(masked.input[0], "Not")
        mask = masked.input[0] if negated is None else negated.input[0]
        for comparison in (up.above(mask, each) for each in _COMPARISONS):
            for x in comparison.input if comparison is not None else ():
                expanded = up.above(x, "Unsqueeze")
                yield at, x if expanded is None else expanded.input[0]


def _search_of(at: int, x: str, up: Upstream) -> _SpelledOutSearch | None:
    """Return the search of x that ends with a node, if its places are those of a search."""
    node = up.index.nodes[at]
    dtype = up.dtype(node.output[0])
    nodes = (
        _between(x, node, up) if up.dtype(x) in _DTYPES and dtype in ("int64", "int32") else None
    )
    if nodes is None:
        return None
    stored = {name: up.stored(name) for at in nodes for name in up.index.nodes[at].input if name}
    floats = [each for each in stored.values() if each is not None and each.dtype.kind == "f"]
    if not floats:
        return None
    sequence = np.ravel(max(floats, key=lambda each: np.unique(each).size))
    has_others = not all(np.isin(each, sequence).all() for each in floats)
    if has_others or not 0 < sequence.size <= _LONGEST or (np.diff(sequence) < 0).any():
        return None
    evaluated = _Evaluation(x, node.output[0], nodes, up)
    for right in (False, True):
        if all(_is_search(evaluated, sequence, right, step) for step in (1, -1)):
            return _SpelledOutSearch(x, sequence, right, dtype, frozenset(nodes))
    return None


def _between(x: str, node: onnx.NodeProto, up: Upstream) -> list[int] | None:
    """Return the positions of the nodes from x to a node; None if they may do more than search."""
    found, pending = set[int](), list(node.output)
    while pending:
        name = pending.pop()
        at = up.index.producers.get(name)
        if name in ("", x) or at in found or up.stored(name) is not None:
            continue
        if at is None or up.index.nodes[at].domain or up.index.nodes[at].op_type not in _COUNTING:
            return None
        maker = up.index.nodes[at]
        is_of_x = x in maker.input and maker.op_type not in (*_COMPARISONS, "Shape", "Unsqueeze")
        is_number = up.dtype(name) not in ("bool", "int32", "int64")
        if is_of_x or (is_number and maker.op_type not in _CHOOSING):
            return None
        found.add(at)
        pending += maker.input
    return sorted(found)


class _Evaluation:
    """Computes a value from x with onnx's reference."""

    def __init__(self, x: str, y: str, nodes: Sequence[int], up: Upstream) -> None:
        index = up.index
        self._x, self._dims = x, up.dims(x)
        made = [index.nodes[at] for at in nodes]
        outputs = {name for node in made for name in node.output}
        read = dict.fromkeys(name for node in made for name in node.input)
        stored = [
            onnx.numpy_helper.from_array(array, name)
            for name in read
            if name not in (x, "", *outputs) and (array := up.stored(name)) is not None
        ]
        graph = onnx.helper.make_graph(
            made,
            "search",
            [onnx.helper.make_tensor_value_info(x, elem_type(up.dtype(x)), None)],
            [onnx.ValueInfoProto(name=y)],
            stored,
        )
        opset = onnx.helper.make_opsetid("", index.scope.opsets.get("", 1))
        self._model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def of(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Return what becomes of each value, or None if that takes long or fails."""
        from onnx.reference import ReferenceEvaluator

        sizes = [size if isinstance(size, int) else 0 for size in self._dims]
        if 0 in sizes:
            sizes[sizes.index(0)] = len(values)
            sizes = [size or 1 for size in sizes]
        each = prod(sizes)
        runs = -(-len(values) // each) if each else 0
        if not 0 < each <= _MOST or runs > _RUNS:
            return None
        evaluator = ReferenceEvaluator(self._model)
        given = np.resize(values, (runs, *sizes))
        try:
            found = [next(iter(evaluator.run(None, {self._x: x}))) for x in given]
        except Exception:  # the nodes fit no x of this shape
            return None
        if any(np.shape(y) != tuple(sizes) for y in found):
            return None
        return np.concatenate([np.ravel(y) for y in found])[: len(values)]


def _is_search(
    evaluated: _Evaluation, sequence: np.ndarray[Any, Any], right: bool, step: int
) -> bool:
    """Whether the elements of a sequence, and what is between them, get their places."""
    below, above = (np.nextafter(sequence, sequence.dtype.type(to)) for to in (-np.inf, np.inf))
    values = np.concatenate([below, sequence, above])[::step]
    found = evaluated.of(values)
    places = np.searchsorted(sequence, values, "right" if right else "left")
    return found is not None and np.array_equal(found, places)


def _nodes(node: onnx.NodeProto, search: _SpelledOutSearch, graphs: Graphs) -> list[onnx.NodeProto]:
    name = graphs.names.new_value(f"{node.output[0]}/sequence")
    stored = onnx.numpy_helper.from_array(search.sequence, name)
    constant = onnx.helper.make_node("Constant", [], [name], graphs.names.new_node(name))
    constant.attribute.append(onnx.helper.make_attribute("value", stored))
    plugin = SearchSorted(right=search.right, out_int32=search.dtype == "int32")
    return [constant, plugin_node(plugin, [name, search.x], list(node.output), node.name)]
