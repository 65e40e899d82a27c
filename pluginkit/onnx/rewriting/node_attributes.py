"""Read a node's attributes, with the operator's defaults where the node leaves them out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.contract.plugin import Plugin
from pluginkit.errors import AttributeValueError
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.structure import find_schema


def attribute_or_default(node: onnx.NodeProto, name: str, opset: int) -> Any:
    """Return the node's attribute, else the operator's default in this opset, else None."""
    found = next((each for each in node.attribute if each.name == name), None)
    if found is None:
        return default_attribute(node.op_type, node.domain, opset, name)
    return _decoded(found)


@cache
def default_attribute(op_type: str, domain: str, opset: int, name: str) -> Any:
    """Return the operator's default for an attribute; None if there is no default or operator."""
    schema = find_schema(op_type, opset, "" if domain == "ai.onnx" else domain)
    declared = None if schema is None else schema.attributes.get(name)
    return None if declared is None else _decoded(declared.default_value)


def _decoded(attribute: onnx.AttributeProto) -> Any:
    if attribute.ref_attr_name or not attribute.type:
        return None
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto) and not is_external(value):
        return onnx.numpy_helper.to_array(value)
    if attribute.type == onnx.AttributeProto.STRINGS:
        return [each.decode(errors="replace") for each in value]
    return value


def axes_of(
    node: onnx.NodeProto, find: Callable[[str], npt.NDArray[Any] | None]
) -> list[int] | None:
    """Return the axes of a node, an attribute or, in later opsets, an input; [] without any.

    Args:
        node: an Unsqueeze, a Squeeze or a reduction.
        find: returns a value if it is known before the model runs, or None.

    Returns:
        The axes as the node gives them; None if they are an input that is not known.
    """
    if len(node.input) > 1 and node.input[1]:
        found = find(node.input[1])
        return None if found is None else [int(axis) for axis in np.ravel(found)]
    return [axis for each in node.attribute if each.name == "axes" for axis in each.ints]


def plugin_from_node(
    plugin: type[Plugin],
    node: onnx.NodeProto,
    opset: int,
    given: Mapping[str, Any],
    ignored: Collection[str],
) -> Plugin:
    """Make a plugin whose attributes have the values of a node of the same operator.

    An attribute that the node leaves out gets the operator's default, else the default of the
    class.

    Args:
        plugin: the plugin class.
        node: the node.
        opset: the version of the operator.
        given: values for attributes that are not to be read from the node.
        ignored: attributes of the node that the plugin does not need.

    Errors:
        PK413: the node has an attribute that the plugin does not declare.  PK104, PK109: a value is
        wrong or missing.
    """
    values = dict(given)
    for declared in plugin.spec.attributes:
        if declared.name in values:
            continue
        value = attribute_or_default(node, declared.name, opset)
        if value is not None and not _rounds_to(declared.default, value):
            has_bools = "bool" in (declared.kind, declared.item)
            values[declared.name] = _bools(value) if has_bools else value
    lost = [
        each.name
        for each in node.attribute
        if each.name not in values
        and each.name not in ignored
        and not _is_default(node, each.name, opset)
    ]
    if lost:
        name = plugin.spec.name
        raise AttributeValueError(
            "PK413",
            f"{name} has no attribute {', '.join(lost)}",
            fix=f"declare it in {name}, or name it in match.plugin({name}, ignoring=(...)).",
        )
    return plugin(**values)


def _rounds_to(default: Any, value: Any) -> bool:
    """Whether a float is what ONNX stores, in float32, for the class's own default."""
    are_floats = isinstance(default, float) and isinstance(value, float)
    return are_floats and bool(np.float32(default) == np.float32(value))


def _bools(value: Any) -> Any:
    """Turn 0 and 1 into bools, because ONNX has no attributes of that type."""
    if isinstance(value, list):
        return [_bools(each) for each in value]
    return bool(value) if isinstance(value, int) and value in (0, 1) else value


def _is_default(node: onnx.NodeProto, name: str, opset: int) -> bool:
    """Whether the node's attribute only repeats the operator's default."""
    default = default_attribute(node.op_type, node.domain, opset, name)
    value = attribute_or_default(node, name, opset)
    return default is not None and bool(np.array_equal(value, default))
