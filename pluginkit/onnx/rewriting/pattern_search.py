"""Try a pattern on the nodes of one scope; say why it does not match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import onnx

from pluginkit.onnx.model.graphs import describe
from pluginkit.onnx.rewriting.graph_index import GraphIndex
from pluginkit.onnx.rewriting.pattern import AnyOf, Constant, Op, Optional, OutputOf, PatternOperand


class Bindings:
    """The values and nodes of the model that the names and Ops of a pattern matched.

    Attributes:
        values: the model's value for each name of the pattern; "" for an absent optional input.
        nodes: the position of the node that each Op matched.
    """

    def __init__(self, values: dict[str, str], nodes: dict[Op, int]) -> None:
        self.values = values
        self.nodes = nodes

    @property
    def kept(self) -> list[int]:
        """The positions of the nodes whose outputs the new nodes must produce too."""
        return [position for op, position in self.nodes.items() if op.kept]

    def with_value(self, name: str, value: str) -> Bindings:
        """Return these bindings and one more value."""
        return Bindings({**self.values, name: value}, self.nodes) if name else self


def find_bindings(pattern: Op, root: int, index: GraphIndex) -> Bindings | None:
    """Return the first way in which ``pattern`` matches with its last node at ``root``, or None."""
    return next(PatternSearch(index).match_node(pattern, root, Bindings({}, {})), None)


def explain_mismatch(pattern: Op, root: int, index: GraphIndex) -> str:
    """Return why ``pattern`` does not match there: what stopped the attempt that got furthest."""
    search = PatternSearch(index)
    for _ in search.match_node(pattern, root, Bindings({}, {})):
        pass
    return search.obstacle


class PatternSearch:
    """Tries every way in which a pattern can match the nodes of one scope.

    Each method yields the bindings of the ways that work, and notes why the others do not.
    """

    def __init__(self, index: GraphIndex) -> None:
        self._index = index
        self._reached = -1
        self._say: Callable[[], str] = str

    @property
    def obstacle(self) -> str:
        """The reason that stopped the attempt that got furthest."""
        return self._say()

    def _stop(self, so_far: Bindings, say: Callable[[], str]) -> None:
        """Note why an attempt ends. ``say`` builds the text, which most callers never need."""
        reached = len(so_far.nodes) + len(so_far.values)
        if reached > self._reached:
            self._reached, self._say = reached, say

    def match_node(self, op: Op, position: int, so_far: Bindings) -> Iterator[Bindings]:
        """Yield the ways in which ``op`` matches the node at ``position``."""
        if op in so_far.nodes:
            if so_far.nodes[op] == position:
                yield so_far
            else:
                self._stop(so_far, lambda: "two inputs come from different nodes; expected one")
            return
        node = self._index.nodes[position]
        if not op.fits(node):
            self._stop(so_far, lambda: f"{_kind(node)}; expected {_wanted(op)}")
            return
        if position in so_far.nodes.values():
            self._stop(so_far, lambda: f"{_kind(node)}, which the pattern needs in two places")
            return
        found = Bindings(so_far.values, {**so_far.nodes, op: position})
        if op.attributes:
            opset = self._index.scope.opsets.get(op.domain, 1)
            problem = op.attribute_mismatch(node, opset)
            if problem is not None:
                self._stop(found, lambda: f"{describe(node)}: {problem}")
                return
        if op.inputs:
            yield from self._match_inputs(op, node, found)
        else:
            yield found

    def _match_inputs(self, op: Op, node: onnx.NodeProto, so_far: Bindings) -> Iterator[Bindings]:
        names = list(node.input)
        while names and not names[-1]:
            names.pop()
        has_rest = op.inputs[-1] is ...
        wanted = [each for each in op.inputs if not isinstance(each, type(...))]
        if len(names) > len(wanted):
            if not has_rest:
                count = f"{len(names)}; expected {len(wanted)}"
                self._stop(so_far, lambda: f"{describe(node)}: the number of its inputs is {count}")
                return
            names = names[: len(wanted)]
        names += [""] * (len(wanted) - len(names))
        pairs = list(zip(wanted, names, strict=True))
        yield from self._match_pairs(pairs, so_far)
        if op.commutative:
            yield from self._match_pairs(list(zip(wanted[::-1], names, strict=True)), so_far)

    def _match_pairs(
        self, pairs: Sequence[tuple[PatternOperand, str]], so_far: Bindings
    ) -> Iterator[Bindings]:
        """Yield the ways in which every operand matches its value."""
        if not pairs:
            yield so_far
            return
        (operand, name), *rest = pairs
        for option in self._match_operand(operand, name, so_far):
            yield from self._match_pairs(rest, option)

    def _match_operand(
        self, operand: PatternOperand, name: str, so_far: Bindings
    ) -> Iterable[Bindings]:
        if isinstance(operand, Optional):
            inner = operand.element
            if name:
                return self._match_operand(inner, name, so_far)
            return self._bind(_name_of(inner), "", so_far)
        if isinstance(operand, AnyOf):
            ways = operand.elements
            return chain.from_iterable(self._match_operand(each, name, so_far) for each in ways)
        if operand is None or not name:
            if operand is None and not name:
                return [so_far]
            got = f"input '{name}' is given" if name else "an input is absent"
            expected = "none" if operand is None else repr(operand)
            self._stop(so_far, lambda: f"{got}; expected {expected}")
            return []
        if isinstance(operand, str):
            return self._bind(operand, name, so_far)
        if isinstance(operand, Constant):
            problem = operand.mismatch(self._index.constant(name))
            if problem is None:
                return self._bind(operand.name, name, so_far)
            self._stop(so_far, lambda: f"'{name}' {problem}")
            return []
        return self._match_producer(operand, name, so_far)

    def _bind(self, operand: str, name: str, so_far: Bindings) -> list[Bindings]:
        bound = so_far.values.get(operand, name)
        if bound == name:
            return [so_far.with_value(operand, name)]
        self._stop(
            so_far, lambda: f"'{operand}' is both '{bound}' and '{name}'; expected one value"
        )
        return []

    def _match_producer(
        self, operand: Op | OutputOf, name: str, so_far: Bindings
    ) -> Iterable[Bindings]:
        op, number = (operand, 0) if isinstance(operand, Op) else (operand.op, operand.index)
        position = self._index.producers.get(name)
        if position is None:
            self._stop(
                so_far, lambda: f"'{name}' comes from no node of this graph; expected {_wanted(op)}"
            )
            return []
        outputs = self._index.nodes[position].output
        if op.fits(self._index.nodes[position]) and list(outputs).index(name) != number:
            self._stop(so_far, lambda: f"'{name}' is not output {number} of {op.op_types[0]}")
            return []
        return self.match_node(op, position, so_far)


def _name_of(operand: Op | Constant | str) -> str:
    return operand if isinstance(operand, str) else operand.name


def _kind(node: onnx.NodeProto) -> str:
    return f"there is {describe(node)}{f' of {node.domain}' if node.domain else ''}"


def _wanted(op: Op) -> str:
    return f"{' or '.join(op.op_types)}{f' of {op.domain}' if op.domain else ''}"
