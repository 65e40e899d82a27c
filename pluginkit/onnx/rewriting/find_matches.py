"""Where a pattern fits, and where it almost does, why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import Scope, describe, is_op, names_read, output_names
from pluginkit.onnx.rewriting.pattern import AnyOf, Constant, Element, Op, Optional, OutputOf

_TENSOR_TYPES = {
    "value_float": onnx.TensorProto.FLOAT,
    "value_floats": onnx.TensorProto.FLOAT,
    "value_int": onnx.TensorProto.INT64,
    "value_ints": onnx.TensorProto.INT64,
}


class GraphIndex:
    """The nodes of one scope: what they are, and who produces and who reads each value."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = list(scope.graph.node)
        self.outputs = frozenset(output_names(scope.graph))
        self._replaced: list[tuple[list[onnx.NodeProto], list[onnx.NodeProto]]] = []

    @cached_property
    def positions(self) -> Mapping[str, Sequence[int]]:
        """Where the nodes of each op_type stand."""
        found: dict[str, list[int]] = {}
        for position, node in enumerate(self.nodes):
            found.setdefault(node.op_type, []).append(position)
        return found

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """The position of the node that produces each value."""
        return {
            name: index for index, node in enumerate(self.nodes) for name in node.output if name
        }

    @cached_property
    def readers(self) -> Counter[str]:
        """How many nodes read each value."""
        found = Counter(name for node in self.nodes for name in names_read(node))
        for old, new in self._replaced:
            _count_again(found, old, new)
        return found

    def replace(self, old: list[onnx.NodeProto], new: list[onnx.NodeProto]) -> None:
        """Count what new nodes read in place of what old ones did; the rest stays as it was."""
        if "readers" in self.__dict__:
            _count_again(self.readers, old, new)
        else:
            self._replaced.append((old, new))

    @cached_property
    def _initializers(self) -> dict[str, onnx.TensorProto]:
        found: dict[str, onnx.TensorProto] = {}
        scope: Scope | None = self.scope
        while scope is not None:
            if isinstance(scope.graph, onnx.GraphProto):
                found = {tensor.name: tensor for tensor in scope.graph.initializer} | found
            scope = scope.outer
        return found

    def constant(self, name: str) -> onnx.TensorProto | None:
        """The Constant called ``name``, or the initializer, here or in a scope around."""
        if name not in self.producers:
            return self._initializers.get(name)
        node = self.nodes[self.producers[name]]
        return _constant_of(node) if is_op(node, "Constant") else None


def _count_again(
    readers: Counter[str], old: Iterable[onnx.NodeProto], new: Iterable[onnx.NodeProto]
) -> None:
    for nodes, change in ((old, -1), (new, 1)):
        for node in nodes:
            for name in names_read(node):
                readers[name] += change


def _constant_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """What a Constant node gives, None for texts and sparse tensors."""
    attribute = next(iter(node.attribute), None)
    if attribute is None or attribute.ref_attr_name:
        return None
    if attribute.type == onnx.AttributeProto.TENSOR:
        tensor: onnx.TensorProto = attribute.t
        return tensor
    if attribute.name not in _TENSOR_TYPES:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    values, dims = (value, [len(value)]) if attribute.name.endswith("s") else ([value], [])
    return onnx.helper.make_tensor(node.output[0], _TENSOR_TYPES[attribute.name], dims, values)


class Bindings:
    """What the parts of a pattern stand for.

    Attributes:
        values: the name of the value that each of the pattern's names stands for, "" where an
            optional input is absent.
        nodes: the position of each node.
    """

    def __init__(self, values: dict[str, str], nodes: dict[Op, int]) -> None:
        self.values = values
        self.nodes = nodes

    @property
    def kept(self) -> list[int]:
        """The positions of the nodes whose outputs the new nodes produce too."""
        return [position for op, position in self.nodes.items() if op.kept]

    def with_value(self, name: str, value: str) -> Bindings:
        """These, and a value of the pattern's name ``name``."""
        return Bindings({**self.values, name: value}, self.nodes) if name else self


def find_bindings(pattern: Op, root: int, index: GraphIndex) -> Bindings | None:
    """How ``pattern`` fits with its last node at position ``root``, or None."""
    return next(_Search(index).node(pattern, root, Bindings({}, {})), None)


def explain_mismatch(pattern: Op, root: int, index: GraphIndex) -> str:
    """Why ``pattern`` does not fit there: what ended the attempt that went furthest."""
    search = _Search(index)
    for _ in search.node(pattern, root, Bindings({}, {})):
        pass
    return search.obstacle


class _Search:
    """Tries a pattern on the nodes of one scope."""

    def __init__(self, index: GraphIndex) -> None:
        self._index = index
        self._reached = -1
        self._say: Callable[[], str] = str

    @property
    def obstacle(self) -> str:
        """What ended the attempt that went furthest."""
        return self._say()

    def _stop(self, so_far: Bindings, say: Callable[[], str]) -> None:
        """Note why an attempt ends; the words are found when somebody asks for them."""
        reached = len(so_far.nodes) + len(so_far.values)
        if reached > self._reached:
            self._reached, self._say = reached, say

    def node(self, op: Op, position: int, so_far: Bindings) -> Iterator[Bindings]:
        """The ways in which ``op`` can be the node there."""
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
            self._stop(so_far, lambda: f"{_kind(node)} stands in two places of the pattern")
            return
        found = Bindings(so_far.values, {**so_far.nodes, op: position})
        if op.attributes:
            opset = self._index.scope.opsets.get(op.domain, 1)
            problem = op.why_not(node, opset)
            if problem is not None:
                self._stop(found, lambda: f"{describe(node)}: {problem}")
                return
        if op.inputs:
            yield from self._inputs_of(op, node, found)
        else:
            yield found

    def _inputs_of(self, op: Op, node: onnx.NodeProto, so_far: Bindings) -> Iterator[Bindings]:
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
        yield from self._pairs(pairs, so_far)
        if op.commutative:
            yield from self._pairs(list(zip(wanted[::-1], names, strict=True)), so_far)

    def _pairs(self, pairs: Sequence[tuple[Element, str]], so_far: Bindings) -> Iterator[Bindings]:
        """The ways in which every element can be its value."""
        if not pairs:
            yield so_far
            return
        (element, name), *rest = pairs
        for option in self._element(element, name, so_far):
            yield from self._pairs(rest, option)

    def _element(self, element: Element, name: str, so_far: Bindings) -> Iterable[Bindings]:
        if isinstance(element, Optional):
            inner = element.element
            if name:
                return self._element(inner, name, so_far)
            return self._value(_name_of(inner), "", so_far)
        if isinstance(element, AnyOf):
            ways = element.elements
            return chain.from_iterable(self._element(each, name, so_far) for each in ways)
        if element is None or not name:
            if element is None and not name:
                return [so_far]
            got = f"input '{name}' is given" if name else "an input is absent"
            expected = "none" if element is None else repr(element)
            self._stop(so_far, lambda: f"{got}; expected {expected}")
            return []
        if isinstance(element, str):
            return self._value(element, name, so_far)
        if isinstance(element, Constant):
            problem = element.why_not(self._index.constant(name))
            if problem is None:
                return self._value(element.name, name, so_far)
            self._stop(so_far, lambda: f"'{name}' {problem}")
            return []
        return self._produced(element, name, so_far)

    def _value(self, element: str, name: str, so_far: Bindings) -> list[Bindings]:
        bound = so_far.values.get(element, name)
        if bound == name:
            return [so_far.with_value(element, name)]
        self._stop(
            so_far, lambda: f"'{element}' is both '{bound}' and '{name}'; expected one value"
        )
        return []

    def _produced(self, element: Op | OutputOf, name: str, so_far: Bindings) -> Iterable[Bindings]:
        op, number = (element, 0) if isinstance(element, Op) else (element.op, element.index)
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
        return self.node(op, position, so_far)


def _name_of(element: Op | Constant | str) -> str:
    return element if isinstance(element, str) else element.name


def _kind(node: onnx.NodeProto) -> str:
    return f"there is {describe(node)}{f' of {node.domain}' if node.domain else ''}"


def _wanted(op: Op) -> str:
    return f"{' or '.join(op.op_types)}{f' of {op.domain}' if op.domain else ''}"
