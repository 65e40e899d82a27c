"""Check the structure of a model before anything else reads it, since other parsers may crash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

import onnx
import onnx.defs

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import (
    MAIN_GRAPH,
    Scope,
    bodies,
    defined_names,
    describe,
    is_op,
    scopes,
    sorted_nodes,
)
from pluginkit.onnx.model.inference_hazards import inference_hazards

RE_EXPORT = "export the model again, or copy the whole file."
#: The graphs that an operator must have.
_BODIES = {"If": {"then_branch", "else_branch"}, "Loop": {"body"}, "Scan": {"body"}}

#: ONNX's names of element types in its schemas.
_TYPES: Mapping[int, str] = {
    onnx.TensorProto.FLOAT: "float",
    onnx.TensorProto.DOUBLE: "double",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
}


def check_structure(model: onnx.ModelProto) -> None:
    """Check names, nodes, their order and local functions.

    Errors:
        PK401: a name is not UTF-8.  PK403: a graph has a cycle.  PK408: a node lacks an input, an
        output, a body or an equation or has an attribute twice, a name has two values, an output
        none, a function calls itself, or no opset has the number that is imported.
    """
    _check_opsets(model)
    defined: dict[Scope, set[str]] = {}
    for scope in scopes(model):
        _check_names(scope)
        defined[scope] = defined_names(scope.graph)
        _check_single_producers(scope)
        sorted_nodes(scope)
        for node in scope.graph.node:
            for problem in _problems_of_node(node, scope, defined):
                raise _invalid(f"{describe(node)} {problem}", scope)
        _check_ports(scope, defined)
    _check_functions(model)


def _invalid(problem: str, scope: Scope) -> ModelError:
    return ModelError(
        "PK408", f"{problem}; expected a valid model.", where=scope.path, fix=RE_EXPORT
    )


def _check_ports(scope: Scope, defined: Mapping[Scope, set[str]]) -> None:
    """Refuse an output that is nowhere a value, and a tensor of no known type as an input."""
    for output in scope.graph.output:
        name = output if isinstance(output, str) else output.name
        if name and not _is_seen(name, scope, defined):
            raise _invalid(f"the graph has output '{name}', which no node produces", scope)
    for value in scope.graph.input if scope.outer is None else ():
        if isinstance(value, str) or not value.type.HasField("tensor_type"):
            continue
        elem_type = value.type.tensor_type.elem_type
        if elem_type == onnx.TensorProto.UNDEFINED:
            raise _invalid(f"input '{value.name}' has no element type", scope)
        if elem_type not in onnx.TensorProto.DataType.values():
            raise _invalid(
                f"input '{value.name}' has element type {elem_type}, which onnx "
                f"{onnx.__version__} does not know",
                scope,
            )


def _check_opsets(model: onnx.ModelProto) -> None:
    """Refuse versions of ONNX's operators that are no positive numbers of 32 bits."""
    imported = [(MAIN_GRAPH, model.opset_import)]
    imported += [
        (f"function {each.domain}::{each.name}", each.opset_import) for each in model.functions
    ]
    for where, entries in imported:
        for entry in entries:
            if entry.domain in ("", "ai.onnx") and not 0 < entry.version < 2**31:
                raise ModelError(
                    "PK408",
                    f"the model imports opset {entry.version} of ONNX's operators; expected 1 to "
                    f"{onnx.defs.onnx_opset_version()}.",
                    where=where,
                    fix=RE_EXPORT,
                )


def _check_names(scope: Scope) -> None:
    """Refuse names that are not UTF-8, which protobuf gives as bytes."""
    names: list[object] = [scope.graph.name]
    for node in scope.graph.node:
        names += (node.op_type, node.domain, node.name, *node.input[:], *node.output[:])
        names += [attribute.name for attribute in node.attribute[:]]
    names += [value.name for value in scope.graph.value_info]
    if isinstance(scope.graph, onnx.GraphProto):
        for value in (*scope.graph.input, *scope.graph.output):
            names += [value.name, *(dim.dim_param for dim in value.type.tensor_type.shape.dim)]
        names += [tensor.name for tensor in scope.graph.initializer]
    else:
        names += [scope.graph.domain, *scope.graph.input, *scope.graph.output]
    if bytes in map(type, names):
        name = next(name for name in names if isinstance(name, bytes))
        raise ModelError(
            "PK401",
            f"the name {name!r} is not UTF-8; expected an ONNX model.",
            where=scope.path,
            fix=RE_EXPORT,
        )


def _check_single_producers(scope: Scope) -> None:
    """Refuse a name with two values; in a function, ONNX Runtime would crash on it."""
    graph = scope.graph
    if isinstance(graph, onnx.GraphProto):
        given = {one.name for one in (*graph.input, *graph.initializer)}
    else:
        given = set(graph.input)
    given.discard("")
    produced = [name for node in graph.node for name in node.output[:] if name]
    if len(given.union(produced)) < len(given) + len(produced):
        twice = next(name for name in produced if name in given or produced.count(name) > 1)
        raise ModelError(
            "PK408",
            f"'{twice}' has two values; expected one.",
            where=scope.path,
            fix=RE_EXPORT,
        )


def _problems_of_node(
    node: onnx.NodeProto, scope: Scope, defined: Mapping[Scope, set[str]]
) -> Iterator[str]:
    """Yield what is wrong with a node."""
    yield from _problems_of_names(node, scope, defined)
    yield from _problems_of_operator(node, scope)
    yield from _problems_of_bodies(node)


def _problems_of_names(
    node: onnx.NodeProto, scope: Scope, defined: Mapping[Scope, set[str]]
) -> Iterator[str]:
    """Yield what is wrong with the names of outputs, attributes and inputs."""
    if not node.op_type:
        yield "is a node without an operator"
    if not any(node.output[:]):
        yield "has no output"
    attributes = [one.name for one in node.attribute]
    if len(set(attributes)) < len(attributes):
        yield f"has attribute '{max(attributes, key=attributes.count)}' twice"
    for name in node.input[:]:
        if name and name not in defined[scope] and not _is_seen(name, scope.outer, defined):
            yield f"reads '{name}', which no node produces"


def _problems_of_operator(node: onnx.NodeProto, scope: Scope) -> Iterator[str]:
    """Yield what an operator does not allow."""
    if "" in node.input[:] and is_op(node, node.op_type):
        schema = find_schema(node.op_type, scope.opsets.get("", 0))
        at = schema and missing_input(node, optional_inputs(schema))
        if at is not None:
            yield f"lacks input {at}, which is not optional"
    yield from inference_hazards(node)


def _problems_of_bodies(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what is wrong with the graphs of an If, Loop or Scan."""
    if node.op_type not in _BODIES or not is_op(node, node.op_type):
        return
    graphs = dict(bodies(node))
    missing = _BODIES[node.op_type] - graphs.keys()
    if missing:
        yield f"has no graph '{min(missing)}'"
    elif node.op_type == "Loop" and len(graphs["body"].input) != max(2, len(node.input)):
        yield "has a body with another number of inputs"


def find_schema(op_type: str, version: int, domain: str = "") -> onnx.defs.OpSchema | None:
    """Return the schema of an operator, by default of ONNX's own domain; None if there is none."""
    try:
        return onnx.defs.get_schema(op_type, version, domain)
    except (onnx.defs.SchemaError, TypeError):  # TypeError: the version exceeds 32 bits
        return None


def missing_operator(
    nodes: Iterable[onnx.NodeProto], constants: Iterable[onnx.TensorProto], version: int
) -> str | None:
    """Return which of these nodes a version of ONNX's operators lacks and the newest has, or None.

    Args:
        nodes: the nodes; those of other domains are passed over.
        constants: tensors that they read.
        version: the version.
    """
    types = {each.name: _TYPES.get(each.data_type) for each in constants}
    for node in nodes:
        if is_op(node, node.op_type):
            problem = _schema_problem(node, types, version)
            if problem and not _schema_problem(node, types, onnx.defs.onnx_opset_version()):
                return problem
        for _, body in bodies(node):
            problem = missing_operator(body.node, body.initializer, version)
            if problem:
                return problem
    return None


def _schema_problem(
    node: onnx.NodeProto, types: Mapping[str, str | None], version: int
) -> str | None:
    """Return what a version of ONNX's operators lacks to have the node, or None."""
    schema, count = find_schema(node.op_type, version), len(node.input)
    if schema is None:
        return node.op_type
    if not schema.min_input <= count <= schema.max_input:
        return f"{node.op_type} with {count} inputs"
    for name, formal in zip(node.input, schema.inputs, strict=False):
        found = types.get(name)
        if found is not None and f"tensor({found})" not in formal.types:
            return f"{node.op_type} of {found}"
    return None


def optional_inputs(schema: onnx.defs.OpSchema) -> list[bool]:
    """Return for each input of the schema whether a node may give it an empty name."""
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    return [one.option == optional for one in schema.inputs]


def missing_input(node: onnx.NodeProto, optional: Sequence[bool]) -> int | None:
    """Return the index of the first input that is absent though it is required, or None.

    onnx's shape inference crashes on some of these.

    Args:
        node: the node.
        optional: as from ``optional_inputs``; the last input may be repeated.
    """
    for at, name in enumerate(node.input):
        if not name and optional and not optional[min(at, len(optional) - 1)]:
            return at
    return None


def _is_seen(name: str, scope: Scope | None, defined: Mapping[Scope, set[str]]) -> bool:
    while scope is not None:
        if name in defined[scope]:
            return True
        scope = scope.outer
    return False


def _check_functions(model: onnx.ModelProto) -> None:
    """Refuse functions that call themselves; the overload is ignored, as by TensorRT's parser."""
    calls: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for scope in scopes(model) if model.functions else ():
        root = scope
        while root.outer is not None:
            root = root.outer
        if isinstance(root.graph, onnx.FunctionProto):
            called = {(node.domain, node.op_type) for node in scope.graph.node}
            calls.setdefault((root.graph.domain, root.graph.name), set()).update(called)
    try:
        TopologicalSorter(calls).prepare()
    except CycleError as error:
        raise ModelError(
            "PK408",
            "local functions call themselves; expected a valid model.",
            where="the functions",
            cause=" <- ".join("::".join(name) for name in error.args[1]),
            fix=RE_EXPORT,
        ) from error
