"""Bring the local functions of a model to its version of ONNX's operators."""

from __future__ import annotations

import onnx
import onnx.defs

from pluginkit.onnx.model.graphs import root_of, scopes
from pluginkit.onnx.model.structure import find_schema

#: The names of the domain of ONNX's own operators.
ONNX_DOMAINS = ("", "ai.onnx")


def has_other_opsets(model: onnx.ModelProto) -> bool:
    """Whether a function imports another version of ONNX's operators than the model."""
    own = {entry.version for entry in model.opset_import if entry.domain in ONNX_DOMAINS}
    return any(
        entry.version not in own
        for function in model.functions
        for entry in function.opset_import
        if entry.domain in ONNX_DOMAINS
    )


def share_opset(model: onnx.ModelProto) -> None:
    """Let functions import the model's version of ONNX's operators, where theirs mean the same.

    onnx converts only nodes whose types it knows, even if there is nothing to convert.
    """
    own = next((each.version for each in model.opset_import if each.domain in ONNX_DOMAINS), None)
    used: dict[tuple[str, str], set[str]] = {}
    for scope in scopes(model):
        root = root_of(scope).graph
        if isinstance(root, onnx.FunctionProto):
            op_types = {node.op_type for node in scope.graph.node if node.domain in ONNX_DOMAINS}
            used.setdefault((root.domain, root.name), set()).update(op_types)
    for function in model.functions:
        op_types = used[function.domain, function.name]
        for each in function.opset_import:
            if own is None or each.domain not in ONNX_DOMAINS:
                continue
            if all(_means_the_same(op_type, each.version, own) for op_type in op_types):
                each.version = own


def _means_the_same(op_type: str, version: int, own: int) -> bool:
    """Whether a node of one version of ONNX's operators is the same node of another.

    The versions may differ in the types that they take. A new attribute may change what a node
    without it means.
    """
    old, new = find_schema(op_type, version), find_schema(op_type, own)
    if old is None or new is None:
        return False
    return old.since_version == new.since_version or (
        _signature(old) == _signature(new)
        and all(
            set(before.types) <= set(after.types)
            for before, after in zip(
                (*old.inputs, *old.outputs), (*new.inputs, *new.outputs), strict=True
            )
        )
    )


def _signature(schema: onnx.defs.OpSchema) -> tuple[object, ...]:
    attributes = {
        (name, one.type, one.required, one.default_value.SerializeToString())
        for name, one in schema.attributes.items()
    }
    formals = [(one.name, one.option) for one in (*schema.inputs, *schema.outputs)]
    return len(schema.inputs), formals, attributes
