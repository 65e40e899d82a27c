"""Replace sequences of tensors, which TensorRT lacks, by their elements."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._sequence_nodes import SequenceNodes
from pluginkit.onnx import (
    BodyCopies,
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    StaticValues,
    bodies,
    defined_names,
    inner_scopes,
    is_op,
    names_read,
    output_names,
    place_of,
    scopes,
)

_OPERATORS = (
    *("ConcatFromSequence", "Identity", "Optional", "OptionalGetElement", "OptionalHasElement"),
    *("SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"),
    *("SequenceLength", "SequenceMap", "SplitToSequence"),
)


class UnpackSequences(GraphRewrite):
    """SequenceAt(SequenceConstruct(a, b), 1) -> Identity(b), ConcatFromSequence -> Concat.

    For all sequences whose length is known before the model runs, and whose elements are read at
    known positions. A SplitToSequence becomes a Split, a SequenceMap becomes its body for each
    element, and an Optional with a value becomes the value. Sequences that are outputs of a branch
    or a loop stay.
    """

    pattern = Op(_OPERATORS)
    order = -2

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        unpacking = _Unpacking(graphs, next(scopes(graphs.model)), None)
        unpacking.run()
        return unpacking.changes


class _Unpacking:
    """Unpacks the sequences of one scope and those inside it.

    Attributes:
        changes: the changes so far, those of all scopes.
    """

    def __init__(self, graphs: Graphs, scope: Scope, outer: _Unpacking | None) -> None:
        self.changes: list[Change] = [] if outer is None else outer.changes
        self._graphs = graphs
        self._scope = scope
        self._known: dict[str, list[str]] = {} if outer is None else dict(outer._known)
        self._optional: dict[str, str] = {} if outer is None else dict(outer._optional)
        #: For each element of an unused split, the function that adds the nodes of the split.
        self._pending: dict[str, Callable[[], None]] = {} if outer is None else outer._pending
        self._outer = outer
        self._values = StaticValues(scope, graphs.types)
        self._defined = defined_names(scope.graph)
        self._nodes: list[onnx.NodeProto] = []
        self._new = SequenceNodes(graphs, scope, self._find)
        self._copies = BodyCopies(graphs, scope.graph)

    def run(self) -> None:
        """Replace the nodes that read known sequences, then remove unread nodes."""
        before = len(self.changes)
        waiting = deque(self._scope.graph.node)
        inner = {id(node): found for node, found in inner_scopes(self._scope)}
        while waiting:
            node = waiting.popleft()
            if is_op(node, "SequenceMap") and self._known.get(node.input[0]) is not None:
                waiting.extendleft(reversed(self._mapped(node)))
                continue
            for _, body in inner.get(id(node), ()):
                _Unpacking(self._graphs, body, self).run()
            self._handle(node)
        read = set(output_names(self._scope.graph)).union(*map(names_read, self._nodes))
        for node in self._nodes:
            if is_op(node, "SequenceEmpty") and node.output[0] not in read:
                self._note(node, ())
        if len(self.changes) > before:
            self._write()

    def _handle(self, node: onnx.NodeProto) -> None:
        """Append a node, or the nodes that replace it."""
        is_onnx = node.domain in ("", "ai.onnx")
        if is_onnx and node.op_type in _MAKERS:
            _MAKERS[node.op_type](self, node)
        replace = _READERS.get(node.op_type) if is_onnx else None
        made = None if replace is None else replace(self, node)
        if made is None:
            self._nodes.append(node)
        else:
            self._nodes += made
            self._note(node, made)

    def _note(self, node: onnx.NodeProto, made: Sequence[onnx.NodeProto]) -> None:
        types = tuple(dict.fromkeys(each.op_type for each in made))
        self.changes.append((place_of(self._scope, node), types))

    def _write(self) -> None:
        """Store the nodes, without those of sequences that are no longer read."""
        kept: list[onnx.NodeProto] = []
        read = set(output_names(self._scope.graph))
        for node in reversed(self._nodes):
            first = node.output[0] if node.output else ""
            if read.isdisjoint(node.output) and (first in self._known or first in self._optional):
                continue
            kept.append(node)
            read |= names_read(node)
        nodes = [onnx.NodeProto.FromString(each.SerializeToString()) for each in kept[::-1]]
        named: set[str] = set()
        for node in nodes:  # a split that is still read has the name of what replaces it elsewhere
            if node.name in named:
                node.name = self._graphs.names.new_node(node.name)
            named.update([node.name] if node.name else ())
        del self._scope.graph.node[:]
        self._scope.graph.node.extend(nodes)

    def _use(self, elements: Sequence[str]) -> None:
        """Add the nodes of a split when its elements are first used."""
        for each in elements:
            make = self._pending.pop(each, None)
            if make is not None:
                make()

    def _find(self, name: str) -> npt.NDArray[Any] | None:
        """Return a value if it is known before the model runs, or None."""
        if name in self._defined or self._outer is None:
            return self._values.find(name)
        return self._outer._find(name)

    def _at(self, node: onnx.NodeProto, index: int, length: int, default: int) -> int | None:
        """Return the position in an input, counted from the front; None if it is unknown."""
        if len(node.input) <= index or not node.input[index]:
            return default
        found = self._find(node.input[index])
        if found is None or found.size != 1:
            return None
        at = int(found.item())
        return at + length if at < 0 else at

    def _makes(self, node: onnx.NodeProto, elements: list[str] | None) -> None:
        if elements is not None:
            self._known[node.output[0]] = elements

    def _construct(self, node: onnx.NodeProto) -> None:
        self._makes(node, list(node.input))

    def _empty(self, node: onnx.NodeProto) -> None:
        self._makes(node, [])

    def _alias(self, node: onnx.NodeProto) -> None:
        self._makes(node, self._known.get(node.input[0]))
        if node.input[0] in self._optional:
            self._optional[node.output[0]] = self._optional[node.input[0]]

    def _make_optional(self, node: onnx.NodeProto) -> None:
        self._optional[node.output[0]] = node.input[0] if node.input else ""

    def _insert(self, node: onnx.NodeProto) -> None:
        elements = self._known.get(node.input[0])
        if elements is None:
            return
        at = self._at(node, 2, len(elements), len(elements))
        if at is not None and 0 <= at <= len(elements):
            self._makes(node, [*elements[:at], node.input[1], *elements[at:]])

    def _erase(self, node: onnx.NodeProto) -> None:
        elements = self._known.get(node.input[0])
        at = None if not elements else self._at(node, 1, len(elements), len(elements) - 1)
        if elements and at is not None and 0 <= at < len(elements):
            self._makes(node, [*elements[:at], *elements[at + 1 :]])

    def _split(self, node: onnx.NodeProto) -> None:
        made = self._new.split(node)
        if made is None:
            return
        nodes, elements = made

        def make() -> None:
            for each in elements:
                self._pending.pop(each, None)
            self._nodes.extend(nodes)
            self._note(node, nodes)

        self._pending.update(dict.fromkeys(elements, make))
        self._known[node.output[0]] = elements

    def _get(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        value = self._optional.get(node.input[0]) if node.input else None
        if not value:
            return None
        self._makes(node, self._known.get(value))
        return [onnx.helper.make_node("Identity", [value], node.output, name=node.name)]

    def _has(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        value = self._optional.get(node.input[0]) if node.input else None
        if value is None:
            return None
        return [self._new.constant(np.array(bool(value)), node.output[0], node.name)]

    def _take(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        elements = self._known.get(node.input[0])
        at = None if elements is None else self._at(node, 1, len(elements), 0)
        if elements is None or at is None or not 0 <= at < len(elements):
            return None
        self._use([elements[at]])
        return [onnx.helper.make_node("Identity", [elements[at]], node.output, name=node.name)]

    def _length(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        elements = self._known.get(node.input[0])
        if elements is None:
            return None
        return [self._new.constant(np.array(len(elements), np.int64), node.output[0], node.name)]

    def _concatenate(self, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
        elements = self._known.get(node.input[0])
        if not elements:
            return None
        self._use(elements)
        return self._new.concatenated(node, elements)

    def _mapped(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Return the nodes that run the body for each element of the input sequences."""
        body = next(body for _, body in bodies(node))
        nodes: list[onnx.NodeProto] = []
        made: list[list[str]] = [[] for _ in node.output]
        for number in range(len(self._known.get(node.input[0]) or ())):
            given = {}
            for value, name in zip(body.input, node.input, strict=True):
                elements = self._known.get(name)
                self._use(elements or ())
                given[value.name] = name if elements is None else elements[number]
            copied, outputs = self._copies.copy(body, given)
            nodes += copied
            for parts, output in zip(made, outputs, strict=True):
                parts.append(output)
        for output, parts in zip(node.output, made, strict=True):
            nodes.append(onnx.helper.make_node("SequenceConstruct", parts, [output]))
        self._note(node, nodes)
        return nodes


_READERS: dict[str, Callable[[_Unpacking, onnx.NodeProto], list[onnx.NodeProto] | None]] = {
    "ConcatFromSequence": _Unpacking._concatenate,
    "OptionalGetElement": _Unpacking._get,
    "OptionalHasElement": _Unpacking._has,
    "SequenceAt": _Unpacking._take,
    "SequenceLength": _Unpacking._length,
}
#: Operators that create sequences or optional values.
_MAKERS: dict[str, Callable[[_Unpacking, onnx.NodeProto], None]] = {
    "Identity": _Unpacking._alias,
    "Optional": _Unpacking._make_optional,
    "SequenceConstruct": _Unpacking._construct,
    "SequenceEmpty": _Unpacking._empty,
    "SequenceErase": _Unpacking._erase,
    "SequenceInsert": _Unpacking._insert,
    "SplitToSequence": _Unpacking._split,
}
