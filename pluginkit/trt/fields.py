"""Attributes between a plugin's wire form and TensorRT's PluginFields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pluginkit.contract.attributes import AttributeSpec, Wire
from pluginkit.contract.spec import PluginSpec
from pluginkit.errors import AttributeValueError

# : The largest string of bytes for one field that makes sense; TensorRT's length is a 32-bit
# integer.
_MAX_FIELD_BYTES = 2**31 - 1


class FieldBlock:
    """A PluginFieldCollection together with the buffers that it points into.

    TensorRT's collection copies raw pointers, so the block must live as long as anyone may read the
    collection.
    """

    def __init__(self, module: Any, wire: Mapping[str, Wire]) -> None:
        self.buffers = {name: _buffer(value) for name, value in wire.items()}
        types = module.PluginFieldType
        kinds = {"int8": types.CHAR, "int32": types.INT32, "float32": types.FLOAT32}
        self.fields = [
            module.PluginField(name, array, kinds[array.dtype.name])
            for name, array in self.buffers.items()
        ]
        self.collection = module.PluginFieldCollection(self.fields)


def announced_fields(module: Any, spec: PluginSpec) -> FieldBlock:
    """The fields that a creator announces; the ONNX parser drops all other attributes."""
    return FieldBlock(module, dict.fromkeys(_announced_names(spec), ""))


def _announced_names(spec: PluginSpec) -> list[str]:
    names = [attribute.name for attribute in spec.attributes]
    return [*names, "pluginkit_inputs"] if spec.has_optional_inputs else names


def wire_from_fields(spec: PluginSpec, collection: Any, where: str | None) -> dict[str, Any]:
    """The wire form of the attributes in a PluginFieldCollection.

    Errors:
        PK205: a field has a type in which TensorRT has lost the value.
    """
    declared = {attribute.name: attribute for attribute in spec.attributes}
    wire: dict[str, Any] = {}
    for field in collection:
        if field.name in declared:
            wire[field.name] = _value(spec, declared[field.name], field, where)
        elif field.name in ("pluginkit_inputs", "pluginkit_promises"):
            wire[field.name] = _text(field)
    return wire


def _buffer(value: Wire) -> Any:
    import numpy as np

    if isinstance(value, str):
        data = value.encode() + b"\0"
        if len(data) > _MAX_FIELD_BYTES:
            raise AttributeValueError(
                "PK205", f"attribute of {len(data)} bytes; expected at most {_MAX_FIELD_BYTES}."
            )
        return np.frombuffer(data, np.int8).copy()
    items = value if isinstance(value, list) else [value]
    return np.array(items, np.float32 if isinstance(items[0], float) else np.int32)


def _text(field: Any) -> str:
    return bytes(field.data).rstrip(b"\0").decode()


def _value(spec: PluginSpec, attribute: AttributeSpec, field: Any, where: str | None) -> Any:
    kind = field.type.name
    if kind == "CHAR":
        text = _text(field)
        is_joined = attribute.item == "str" and not text.startswith("json:")
        return text.split("\0") if is_joined else text
    if kind not in ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64"):
        raise AttributeValueError(
            "PK205",
            f"{spec.name}: attribute '{attribute.name}' reached TensorRT as a {kind} field; "
            f"expected {attribute.type_name}.",
            where=where,
            cause="TensorRT's ONNX parser mislabels int64, bool and uint8 tensors as FLOAT16.",
            fix="let `pluginkit rewrite` write the node: it carries such values as text.",
        )
    items = field.data.tolist() if field.size else []
    is_scalar = attribute.kind not in ("tuple", "array") and len(items) == 1
    return items[0] if is_scalar else items
