"""Check the operators on which TensorRT's ONNX parser crashes instead of reporting an error.

The parser runs in the process that builds. It chooses an importer by the node's ``op_type``,
whatever the domain, and reads inputs, outputs and attributes without checking number and kind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import onnx.defs
import onnx.helper

from pluginkit.engine.parse.foreign_operators import foreign_operators
from pluginkit.engine.parse.known_failures import onnxruntime_only
from pluginkit.errors import ModelError
from pluginkit.onnx.inference.annotations import type_by_schema
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.value_types import Types, known_sizes
from pluginkit.onnx.model.graphs import (
    Scope,
    bodies,
    describe,
    inner_scopes,
    output_names,
    scopes,
    tensors,
)
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.structure import RE_EXPORT, find_schema, missing_input, optional_inputs
from pluginkit.onnx.model.weightless_model import skeleton_for_inference

_INT32_MAX = 2**31 - 1

_AXES = ("at least one axis", lambda dims: len(dims) > 0)
_LIST = ("one axis", lambda dims: len(dims) == 1)
_RANK = (
    "one axis, and at most 8 elements, as many as TensorRT has dimensions",
    lambda dims: len(dims) == 1 and (dims[0] or 0) <= 8,
)
_ONE = ("one element", lambda dims: len(dims) < 2 and all(size in (None, 1) for size in dims))
_FULL = ("one axis that is not empty", lambda dims: len(dims) == 1 and dims[0] != 0)
#: What the shape of an input, by its position, must be: in words, and as a test of its sizes, None
#: for an unknown size.
_SHAPES: Mapping[str, Mapping[int, tuple[str, Callable[[Sequence[int | None]], bool]]]] = {
    "ArgMax": {0: _AXES},
    "ArgMin": {0: _AXES},
    "Clip": {1: _ONE, 2: _ONE},
    "ConstantOfShape": {0: _RANK},
    "Dropout": {1: _ONE, 2: _ONE},
    "Expand": {1: _RANK},
    "GatherND": {0: _AXES, 1: _AXES},
    "If": {0: _ONE},
    "Loop": {0: _ONE, 1: _ONE},
    "NonMaxSuppression": {2: _ONE, 3: _ONE, 4: _ONE},
    "Range": {0: _ONE, 1: _ONE, 2: _ONE},
    "Reshape": {1: _RANK},
    "RotaryEmbedding": {0: _AXES},
    "Slice": {1: _LIST, 2: _LIST, 3: _LIST, 4: _LIST},
    "Split": {1: _FULL},
    "Tile": {1: _RANK},
    "TopK": {1: _ONE},
}
_DIRECTION = (b"forward", b"reverse", b"bidirectional").__contains__
_DIVISOR = range(1, 2**31).__contains__
#: Attributes that the parser uses unchecked as a divisor, a count or a choice, and their allowed
#: values. It truncates integers to 32 bits.
_VALUES: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "DepthToSpace": ("blocksize", _DIVISOR),
    "GatherND": ("batch_dims", range(64).__contains__),
    "GRU": ("direction", _DIRECTION),
    "LSTM": ("direction", _DIRECTION),
    "RNN": ("direction", _DIRECTION),
    "RotaryEmbedding": ("num_heads", range(2**31).__contains__),
    "SpaceToDepth": ("blocksize", _DIVISOR),
}


def check_operators(model: onnx.ModelProto) -> None:
    """Refuse nodes that contradict the ONNX operator for which the parser will take them.

    Args:
        model: a model that ``load_model`` or ``rewrite_model`` returned; it is not changed.

    Errors:
        PK446: a node's inputs, outputs, attributes or bodies contradict its operator.
        PK447: an input has a shape that its operator, or the parser, does not take.
        PK466: an operator of another domain has the name of one of ONNX.
        PK408: local functions cannot be inlined.
    """
    _refuse_foreign(model)
    _refuse_large_sizes(model)
    light = skeleton_for_inference(model)
    for tensor in tensors(light):
        if min(tensor.dims, default=0) < 0:
            raise ModelError(
                "PK446",
                f"tensor '{tensor.name}' has {list(tensor.dims)} elements; expected 0 or more.",
                fix=RE_EXPORT,
            )
    if light.functions:
        light = inline_functions(light)
    shaped = []
    for scope in scopes(light):
        version = scope.opsets.get("", onnx.defs.onnx_opset_version())
        for node in scope.graph.node:
            schema = _schema(node.op_type, version)
            if schema is None:
                continue
            problem = schema.problem(node) or _body_problem(node, version)
            if problem is not None:
                raise _refusal("PK446", scope, node, problem)
            if node.op_type in _SHAPES:
                shaped.append((scope, node))
    if shaped:
        types = infer_types(light)
        for scope, node in shaped:
            problem = _shape_problem(scope, node, types)
            if problem is not None:
                raise _refusal("PK447", scope, node, problem)
        for scope in scopes(light):
            for node, inner in inner_scopes(scope):
                problem = _condition_problem(node, inner, types)
                if problem is not None:
                    raise _refusal("PK446", scope, node, problem)


def _refuse_foreign(model: onnx.ModelProto) -> None:
    for scope, node, problem in foreign_operators(model):
        cause = onnxruntime_only(node)
        raise ModelError(
            "PK466",
            f"{describe(node)} {problem}; expected an operator of ONNX, or a plugin.",
            where=scope.path,
            cause=cause,
            fix="export the model again as the cause says."
            if cause
            else "if it is ONNX's, give the node the domain ''; if not, begin a plugin of another "
            "name, and its rewrite, with pluginkit new NAME --from MODEL:NODE.",
        )


def _refuse_large_sizes(model: onnx.ModelProto) -> None:
    """Refuse sizes of inputs of which the parser would keep the last 32 bits."""
    for value in model.graph.input:
        sizes = known_sizes(value.type) or []
        if max((size or 0 for size in sizes), default=0) > _INT32_MAX:
            got = ", ".join("?" if size is None else str(size) for size in sizes)
            raise ModelError(
                "PK447",
                f"input '{value.name}' has shape ({got}); expected sizes of at most {_INT32_MAX}.",
                cause="TensorRT's ONNX parser reads sizes as numbers of 32 bits.",
                fix="divide the axis into two, or export the model for smaller inputs.",
            )


def _refusal(code: str, scope: Scope, node: onnx.NodeProto, problem: str) -> ModelError:
    return ModelError(
        code,
        f"{describe(node)} {problem}.",
        where=scope.path,
        cause="TensorRT's ONNX parser could crash on it.",
        fix=RE_EXPORT,
    )


class _Schema:
    """The parts of an operator's schema that each node is compared with."""

    def __init__(self, schema: Any) -> None:
        self._inputs = range(schema.min_input, schema.max_input + 1)
        self._outputs = range(schema.min_output, schema.max_output + 1)
        self._optional = optional_inputs(schema)
        self._kinds = {name: one.type.value for name, one in schema.attributes.items()}
        self._required = [name for name, one in schema.attributes.items() if one.required]

    def problem(self, node: onnx.NodeProto) -> str | None:
        """Return how the node contradicts its operator, or None."""
        for what, names, allowed in (
            ("input", node.input, self._inputs),
            ("output", node.output, self._outputs),
        ):
            if len(names) not in allowed:
                return f"has {len(names)} {what}s; expected {_span(allowed)}"
        at = missing_input(node, self._optional) if "" in node.input else None
        if at is not None:
            return f"lacks input {at}, which is not optional"
        return self._attribute_problem(node)

    def _attribute_problem(self, node: onnx.NodeProto) -> str | None:
        given = {one.name: one for one in node.attribute}
        for name, one in given.items():
            if one.ref_attr_name:
                return (
                    f"has attribute '{name}' that refers to a function's, outside of any function"
                )
            kind = self._kinds.get(name, one.type)
            if one.type != kind:
                names = onnx.AttributeProto.AttributeType
                got = names.Name(one.type)
                return f"has attribute '{name}' of type {got}; expected {names.Name(kind)}"
        missing = next((name for name in self._required if name not in given), None)
        if missing is not None:
            return f"lacks attribute '{missing}'"
        name, is_right = _VALUES.get(node.op_type, ("", bool))
        if name in given and not is_right(onnx.helper.get_attribute_value(given[name])):
            return f"has a value of '{name}' that its operator does not allow"
        if node.op_type == "Scan" and not 0 < given["num_scan_inputs"].i <= len(node.input):
            return f"scans {given['num_scan_inputs'].i} of {len(node.input)} inputs"
        return None


@functools.cache
def _schema(op_type: str, version: int) -> _Schema | None:
    # The parser ignores the opset, so it takes operators of later opsets too.
    schema = find_schema(op_type, version) or find_schema(op_type, onnx.defs.onnx_opset_version())
    return None if schema is None or schema.deprecated else _Schema(schema)


def _span(allowed: range) -> str:
    if len(allowed) == 1:
        return str(allowed.start)
    if allowed.stop > _INT32_MAX:
        return f"{allowed.start} or more"
    return f"{allowed.start} to {allowed.stop - 1}"


def _body_problem(node: onnx.NodeProto, version: int) -> str | None:
    """Return how an If, Loop or Scan and its bodies disagree on inputs or outputs, or None."""
    for name, body in bodies(node):
        expected = _body_arity(node, version)
        if expected is None:
            continue
        got = (len(body.input), len(body.output))
        if got != expected:
            return (
                f"has a graph '{name}' with {got[0]} inputs and {got[1]} outputs; "
                f"expected {expected[0]} and {expected[1]}"
            )
        if node.op_type == "Loop" and len(body.input[0].type.tensor_type.shape.dim) == 1:
            return (
                f"has a body that declares its iteration number '{body.input[0].name}' as a "
                "vector; expected a scalar, of which ReshapeLoopNumber makes the vector"
            )
    return None


def _body_arity(node: onnx.NodeProto, version: int) -> tuple[int, int] | None:
    """Return how many inputs and outputs the bodies must have; None for other operators."""
    if node.op_type == "If":
        return 0, len(node.output)
    if node.op_type == "Loop":
        return max(len(node.input), 2), len(node.output) + 1
    if node.op_type == "Scan":
        lengths = version < 9  # its first input has the sequence lengths
        return len(node.input) - lengths, len(node.output)
    return None


def _condition_problem(
    node: onnx.NodeProto, inner: Sequence[tuple[str, Scope]], types: Types
) -> str | None:
    """Return the condition that a Loop's body returns if its node makes none, or None."""
    for _, body in inner if node.op_type == "Loop" else ():
        name = output_names(body.graph)[0]
        elem_type = type_by_schema(body, name, types)  # of the node: the body declares a bool
        if elem_type not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.BOOL):
            dtype = dtype_of_elem_type(elem_type)
            return f"has a body whose condition '{name}' is {dtype}; expected bool"
    return None


def _shape_problem(scope: Scope, node: onnx.NodeProto, types: Types) -> str | None:
    for at, (expected, is_right) in _SHAPES[node.op_type].items():
        name = node.input[at] if at < len(node.input) else ""
        sizes = known_sizes(types.find(scope, name)) if name else None
        if sizes is None:
            continue
        if not is_right(sizes):
            got = ", ".join("?" if size is None else str(size) for size in sizes)
            return f"has input '{name}' of shape ({got}); expected {expected}"
        if node.op_type == "RotaryEmbedding" and len(sizes) == 3 and not _has_heads(node):
            return f"has input '{name}' of three axes; expected four, or attribute 'num_heads'"
    return None


def _has_heads(node: onnx.NodeProto) -> bool:
    return any(one.name == "num_heads" and one.i > 0 for one in node.attribute)
