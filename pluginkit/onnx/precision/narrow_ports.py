"""Find out which inputs and outputs of a node can be 16-bit floats.

ONNX's own operators say so in their schemas, and plugins in their declarations. Of operators that
neither knows, nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache

import onnx
import onnx.defs
import onnx.helper
import onnx.shape_inference

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PluginkitError
from pluginkit.onnx.inference.element_types import dtype_of_elem_type
from pluginkit.onnx.inference.infer_types import plugin_output_types
from pluginkit.onnx.model.graphs import Scope
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_of_node
from pluginkit.onnx.model.structure import find_schema

_FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True)
class NarrowPorts:
    """The positions of a node's inputs and outputs that can be 16-bit floats."""

    inputs: frozenset[int]
    outputs: frozenset[int]


#: Returns the type of a value, None if it is unknown.
TypeOf = Callable[[str], onnx.TypeProto | None]


def narrow_ports(
    scope: Scope, node: onnx.NodeProto, narrow: int, type_of: TypeOf, plugins: Plugins
) -> NarrowPorts | str:
    """Return what of a node can be 16-bit, or the reason why nothing can.

    Args:
        scope: the node's scope.
        node: the node; its float32 values are looked at.
        narrow: the 16-bit type, as ONNX's number.
        type_of: the types of values.
        plugins: the plugins, by registry key.
    """
    plugin = plugin_of_node(node, plugins)
    if plugin is not None:
        return _from_plugin(plugin, node, narrow, type_of)
    if node.domain not in ("", "ai.onnx"):
        return "nothing is known of its operator"
    return _from_schema(node, scope.opsets.get("", 1), narrow, type_of)


def _from_plugin(
    plugin: Plugin, node: onnx.NodeProto, narrow: int, type_of: TypeOf
) -> NarrowPorts | str:
    ports = [
        port for port, is_there in zip(plugin.spec.inputs, plugin.present, strict=True) if is_there
    ]
    wanted = frozenset(
        at
        for at, (name, port) in enumerate(zip(node.input, ports, strict=True))
        if _is_float32(type_of(name)) and any(dtype.onnx == narrow for dtype in port.dtypes)
    )
    types = [
        _narrowed(found, narrow) if at in wanted else found
        for at, found in enumerate(map(type_of, node.input))
    ]
    try:
        made = plugin_output_types(plugin, types)
    except PluginkitError:
        return "its plugin does not take the type"
    outputs = frozenset(
        at
        for at, each in enumerate(made)
        if each is not None and each.tensor_type.elem_type == narrow
    )
    return NarrowPorts(wanted, outputs) if wanted else "its plugin does not take the type"


def _from_schema(
    node: onnx.NodeProto, opset: int, narrow: int, type_of: TypeOf
) -> NarrowPorts | str:
    schema = _schema(node.op_type, opset)
    if schema is None:
        return "nothing is known of its operator"
    known = {name: type_of(name) for name in [*node.input, *node.output] if name}
    if any(found is not None and not found.HasField("tensor_type") for found in known.values()):
        return "its values are no tensors"
    inputs = _variables(node.input, schema.inputs, type_of)
    outputs = _variables(node.output, schema.outputs, type_of)
    allowed = _allowing(node.op_type, opset, narrow)
    bound = set(inputs.values()) & allowed  # what only outputs have, an attribute decides
    if not bound:
        return _why_not(node.op_type, set(inputs.values()), narrow)
    wanted = frozenset(at for at, variable in inputs.items() if variable in bound)
    given = {
        name: _narrowed(found, narrow) if at in wanted else found
        for at, name in enumerate(node.input)
        if (found := known.get(name)) is not None
    }
    try:
        made = onnx.shape_inference.infer_node_outputs(
            schema, node, given, opset_imports=[onnx.helper.make_opsetid("", opset)]
        )
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError, KeyError):
        return "its operator does not take the type with these inputs"
    # What onnx infers goes before the schema: an attribute may choose the type of an output.
    types = {
        at: made[node.output[at]].tensor_type.elem_type
        if node.output[at] in made
        else narrow * (variable in bound)
        for at, variable in outputs.items()
    }
    return NarrowPorts(wanted, frozenset(at for at, kind in types.items() if kind == narrow))


def _variables(
    names: Sequence[str], formal: Sequence[onnx.defs.OpSchema.FormalParameter], type_of: TypeOf
) -> dict[int, str]:
    """Return the type variable of each float32 value."""
    return {
        at: formal[min(at, len(formal) - 1)].type_str
        for at, name in enumerate(names)
        if name and formal and _is_float32(type_of(name))
    }


_schema = cache(find_schema)


@cache
def _allowing(op_type: str, opset: int, narrow: int) -> frozenset[str]:
    """Return the type variables of an operator that allow a type."""
    schema = _schema(op_type, opset)
    text = f"tensor({dtype_of_elem_type(narrow)})"
    constraints = () if schema is None else schema.type_constraints
    return frozenset(each.type_param_str for each in constraints if text in each.allowed_type_strs)


def _why_not(op_type: str, variables: Collection[str], narrow: int) -> str:
    """Return why an operator takes no 16-bit type, and from which opset on it does."""
    newest = _schema(op_type, onnx.defs.onnx_opset_version())
    if newest is None or _allowing(op_type, newest.since_version, narrow).isdisjoint(variables):
        return "its operator does not take the type"
    return f"its operator takes the type from opset {newest.since_version} on"


def _is_float32(value_type: onnx.TypeProto | None) -> bool:
    return value_type is not None and value_type.tensor_type.elem_type == _FLOAT


def _narrowed(value_type: onnx.TypeProto | None, narrow: int) -> onnx.TypeProto:
    changed = onnx.TypeProto()
    if value_type is not None:
        changed.CopyFrom(value_type)
    changed.tensor_type.elem_type = narrow
    return changed
