"""Walk the graphs of an ONNX model.

A *scope* is a list of nodes in which a name means one value: the main graph, the body of an If,
Loop or Scan, or a local function. All functions work on the protobufs, so that nothing in a model
is lost.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import onnx

from pluginkit.errors import ModelError

Nodes = onnx.GraphProto | onnx.FunctionProto

#: Identifies a node: the path of its scope, its label and its first output.
Place = tuple[str, str, str]

MAIN_GRAPH = "main graph"

# Looking these up in onnx for every attribute would take longer than the rest of a walk. Walks over
# all nodes take slices of repeated fields, [:], which protobuf iterates over at twice the speed.
_GRAPH, _GRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS
_BODIES = frozenset((_GRAPH, _GRAPHS))
_TENSOR, _TENSORS = onnx.AttributeProto.TENSOR, onnx.AttributeProto.TENSORS
_SAME_NUMBERS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_WIDE = tuple(getattr(onnx.TensorProto, name) for name in ("DOUBLE", "FLOAT", "INT32", "INT64"))


@dataclass(frozen=True, eq=False)
class Scope:
    """One list of nodes.

    Attributes:
        path: a unique description for people: ``"main graph"``, ``"function a::F"``,
            ``"main graph / If 'c1'.then_branch"``. A second ``If 'c1'`` in the same graph is
            ``If 'c1' (2)``.
        graph: the protobuf inside the model.
        outer: the scope whose names it can read too; None for the main graph and for functions.
        opsets: the version of each domain's operators.
    """

    path: str
    graph: Nodes
    outer: Scope | None
    opsets: dict[str, int]


def scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """Yield every scope of the model, outer scopes before inner ones."""
    yield from main_and_bodies(model)
    for function in model.functions:
        path = f"function {function.domain}::{function.name}"
        yield from _nested(Scope(path, function, None, _opsets(function)))


def main_and_bodies(model: onnx.ModelProto) -> Iterator[Scope]:
    """Yield the main graph and the bodies in it, outer scopes before inner ones."""
    yield from _nested(Scope(MAIN_GRAPH, model.graph, None, _opsets(model)))


def is_in_function(scope: Scope) -> bool:
    """Whether the scope is a local function, or a body in one."""
    return isinstance(root_of(scope).graph, onnx.FunctionProto)


def _opsets(owner: onnx.ModelProto | onnx.FunctionProto) -> dict[str, int]:
    return {_plain(entry.domain): entry.version for entry in owner.opset_import}


def _plain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _nested(scope: Scope) -> Iterator[Scope]:
    yield scope
    for _, inner in inner_scopes(scope):
        for _, body in inner:
            yield from _nested(body)


def inner_scopes(scope: Scope) -> Iterator[tuple[onnx.NodeProto, list[tuple[str, Scope]]]]:
    """Yield each node with bodies, and for each body its attribute's name and its scope."""
    alike: Counter[str] = Counter()
    for node in _owners(scope.graph).values():
        text = describe(node)
        alike[text] += 1
        path = f"{scope.path} / {text}" + f" ({alike[text]})" * (alike[text] > 1)
        yield (
            node,
            [
                (attribute, Scope(f"{path}.{attribute}", body, scope, scope.opsets))
                for attribute, body in bodies(node)
            ],
        )


def _owners(graph: Nodes) -> dict[int, onnx.NodeProto]:
    """Return the nodes that have bodies, by id."""
    return {
        id(node): node
        for node in graph.node[:]
        if (node.domain or _may_have_bodies(node.op_type)) and has_bodies(node)
    }


@cache
def _may_have_bodies(op_type: str) -> bool:
    """Whether nodes have bodies, as few of ONNX's operators have."""
    if not onnx.defs.has(op_type):
        return True
    kinds = onnx.defs.OpSchema.AttrType
    attributes = onnx.defs.get_schema(op_type).attributes
    return any(each.type in (kinds.GRAPH, kinds.GRAPHS) for each in attributes.values())


def has_bodies(node: onnx.NodeProto) -> bool:
    """Whether a node has attributes that are graphs."""
    for attribute in node.attribute[:]:  # noqa: SIM110 any() takes three times as long
        if attribute.type in _BODIES:
            return True
    return False


def bodies(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """Yield each graph among a node's attributes, with the attribute's name."""
    for attribute in node.attribute:
        kind = attribute.type
        if kind == _GRAPH:
            yield attribute.name, attribute.g
        elif kind == _GRAPHS:
            for index, body in enumerate(attribute.graphs):
                yield f"{attribute.name}[{index}]", body


def describe(node: onnx.NodeProto) -> str:
    """Describe a node for messages: its op_type and its label."""
    return f"{node.op_type} '{label(node)}'"


def label(node: onnx.NodeProto) -> str:
    """Return the node's name, or else the name of its first output."""
    return node.name or first_output(node.output)


def first_output(outputs: Iterable[str]) -> str:
    """Return the first name that is not empty; no other node of the scope produces it."""
    return next(filter(None, outputs), "")


def place_of(scope: Scope, node: onnx.NodeProto) -> Place:
    """Return the node's identity in the model, since several nodes may have one name."""
    return scope.path, label(node), first_output(node.output)


def is_op(node: onnx.NodeProto, op_type: str, domain: str = "") -> bool:
    """Whether the node is ``domain::op_type``; ``ai.onnx`` and "" are the same domain."""
    return node.op_type == op_type and _plain(node.domain) == domain


def root_of(scope: Scope) -> Scope:
    """Return the main graph or function that a scope is in."""
    while scope.outer is not None:
        scope = scope.outer
    return scope


def defined_names(graph: Nodes) -> set[str]:
    """Return the names of all values that are defined in this graph itself."""
    names = {name for node in graph.node for name in node.output[:]}
    if isinstance(graph, onnx.FunctionProto):
        return names | set(graph.input)
    names.update(value.name for value in graph.input)
    names.update(tensor.name for tensor in graph.initializer)
    names.update(sparse.values.name for sparse in graph.sparse_initializer)
    return names


def producer_of(graph: Nodes, name: str) -> onnx.NodeProto | None:
    """Return the node of this graph itself that makes a value; None if it has none."""
    return next((node for node in graph.node if name in node.output), None)


def source_of(
    name: str, producer: Callable[[str], onnx.NodeProto | None], *, is_condition: bool = False
) -> str:
    """Return the value whose numbers a value has, in another shape or type.

    A cast to 32 bits or more keeps whole numbers up to 2^24, the largest that float32 counts to.

    Args:
        name: the value.
        producer: returns the node that makes a value, or None.
        is_condition: whether only the truth of the value matters, which casts to bool keep too.
    """
    types = (*_WIDE, onnx.TensorProto.BOOL) if is_condition else _WIDE
    while (node := producer(name)) is not None and is_op(node, node.op_type):
        is_kept = node.op_type == "Cast" and node.attribute[0].i in types
        if not is_kept and node.op_type not in _SAME_NUMBERS:
            break
        name = node.input[0]
    return name


def names_read(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads in its scope, including those that its bodies capture."""
    names = set(node.input[:])
    names.discard("")
    for _, body in bodies(node) if has_bodies(node) else ():
        inner = {value.name for value in body.output}
        for inner_node in body.node:
            inner |= names_read(inner_node)
        names |= inner - defined_names(body)
    return names


def output_names(graph: Nodes) -> list[str]:
    """Return the names of the graph's outputs."""
    if isinstance(graph, onnx.FunctionProto):
        return list(graph.output)
    return [value.name for value in graph.output]


def sorted_nodes(scope: Scope) -> list[onnx.NodeProto] | None:
    """Return the nodes in topological order, or None if they already are.

    Errors:
        PK403: the graph has a cycle.
    """
    read: set[str] = set()
    owners = _owners(scope.graph)
    for node in scope.graph.node:
        read.update(names_read(node) if id(node) in owners else node.input[:])
        read.discard("")
        if not read.isdisjoint(node.output[:]):
            return _order(scope, list(scope.graph.node))
    return None


def _order(scope: Scope, nodes: list[onnx.NodeProto]) -> list[onnx.NodeProto]:
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [{producer[name] for name in names_read(node) if name in producer} for node in nodes]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, needed in enumerate(needs):
        for other in needed:
            readers[other].append(index)
    missing = [len(needed) for needed in needs]
    ready = deque(index for index, count in enumerate(missing) if count == 0)
    order = []
    while ready:
        index = ready.popleft()
        order.append(nodes[index])
        for reader in readers[index]:
            missing[reader] -= 1
            if missing[reader] == 0:
                ready.append(reader)
    if len(order) == len(nodes):
        return order
    cycle = _find_cycle({index for index, count in enumerate(missing) if count}, needs)
    raise ModelError(
        "PK403",
        "the graph has a cycle; expected each node to read only what earlier nodes produce.",
        where=scope.path,
        cause=" <- ".join(describe(nodes[index]) for index in cycle),
        fix="export the model again; a cycle cannot be run.",
    )


def _find_cycle(stuck: set[int], needs: list[set[int]]) -> list[int]:
    """Return one cycle among these nodes, with the first node repeated at the end."""
    trail: list[int] = []
    seen: dict[int, int] = {}
    index = min(stuck)
    while index not in seen:
        seen[index] = len(trail)
        trail.append(index)
        index = min(needs[index] & stuck)
    return [*trail[seen[index] :], index]


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor that the model stores: initializers, and tensors in attributes."""
    for scope in scopes(model):
        if isinstance(scope.graph, onnx.GraphProto):
            yield from scope.graph.initializer
        for node in scope.graph.node:
            for attribute in node.attribute:
                kind = attribute.type
                if kind == _TENSOR:
                    yield attribute.t
                elif kind == _TENSORS:
                    yield from attribute.tensors
