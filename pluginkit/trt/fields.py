"""Carry a plugin's attributes in TensorRT's PluginFields, and read them back.

The ONNX parser and a plan both hand a creator a PluginFieldCollection. The fields hold the
attributes in wire form; a plan also holds the sizes that the plugin stated during the build.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pluginkit.contract.attribute_values import is_json_text
from pluginkit.contract.attributes import AttributeSpec, WireValue
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PRESENT_INPUTS, RECORDED_SIZES, PluginSpec
from pluginkit.errors import AttributeValueError
from pluginkit.kernels.compile_early import compile_early
from pluginkit.trt.adapter import AdapterCore
from pluginkit.trt.callbacks import record
from pluginkit.trt.flavour import Flavour
from pluginkit.trt.recorded_sizes import RecordedSizes

#: TensorRT counts a field's bytes in a 32-bit integer.
_MAX_FIELD_BYTES = 2**31 - 1


class FieldBlock:
    """A PluginFieldCollection together with the buffers that it points into.

    TensorRT's collection copies raw pointers, so the block must live as long as anyone may read the
    collection.

    Attributes:
        collection: for calls from Python.
        returned: the same for a callback to return. The bindings convert ``collection`` only where
            a Python program has called TensorRT, not where a C++ program has.
    """

    def __init__(self, module: Any, wire: Mapping[str, WireValue]) -> None:
        self.buffers = {name: _buffer(value) for name, value in wire.items()}
        types = module.PluginFieldType
        kinds = {"int8": types.CHAR, "int32": types.INT32, "float32": types.FLOAT32}
        self.fields = [
            module.PluginField(name, array, kinds[array.dtype.name])
            for name, array in self.buffers.items()
        ]
        self.collection = module.PluginFieldCollection(self.fields)
        self.returned = module.PluginFieldCollection_(self.collection)


def announced_fields(module: Any, spec: PluginSpec) -> FieldBlock:
    """Return the fields that a creator announces; the ONNX parser drops all other attributes."""
    return FieldBlock(module, dict.fromkeys(_announced_names(spec), ""))


def _announced_names(spec: PluginSpec) -> list[str]:
    names = [attribute.name for attribute in spec.attributes]
    return [*names, PRESENT_INPUTS] if spec.has_optional_inputs else names


def wire_for_plan(core: AdapterCore) -> dict[str, WireValue]:
    """Return what a plan keeps of a plugin: its attributes and the sizes that it stated."""
    wire = core.plugin.to_wire()
    if any(core.recorded_sizes):
        wire[RECORDED_SIZES] = core.recorded_sizes.to_text()
    return wire


def wire_from_fields(spec: PluginSpec, collection: Any, where: str | None) -> dict[str, Any]:
    """Return the wire form of the attributes in a PluginFieldCollection.

    Errors:
        PK205: a field has a type in which TensorRT has lost the value.
    """
    declared = {attribute.name: attribute for attribute in spec.attributes}
    wire: dict[str, Any] = {}
    for field in collection:
        if field.name in declared:
            wire[field.name] = _value(spec, declared[field.name], field, where)
        elif field.name in (PRESENT_INPUTS, RECORDED_SIZES):
            wire[field.name] = _text(field)
    return wire


def _buffer(value: WireValue) -> Any:
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
        is_joined = attribute.item == "str" and not is_json_text(text)
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


class CreatorCore:
    """What the creators of both interfaces share: announce fields, make plugins from fields."""

    interface: type

    def __init__(self, plugin_class: type[Plugin], flavour: Flavour) -> None:
        self.interface.__init__(self)  # type: ignore[misc]
        self.plugin_class = plugin_class
        self.flavour = flavour
        self.name, self.plugin_version, self.plugin_namespace = plugin_class.spec.key
        # Kept here, because TensorRT keeps only a pointer.
        self.announced = announced_fields(flavour.module, plugin_class.spec)
        self.field_names = self.announced.collection

    def core_from_fields(self, node: str, fields: Any) -> AdapterCore:
        """Return the plugin that a PluginFieldCollection describes, for the node of that name."""
        with self.recorded("create_plugin", node):
            return self.core_from_wire(
                node, wire_from_fields(self.plugin_class.spec, fields, f"node '{node}'")
            )

    def core_from_wire(self, node: str, wire: Mapping[str, Any]) -> AdapterCore:
        """Return the plugin with these attributes in wire form, for the node of that name."""
        where = f"node '{node}'"
        plugin = self.plugin_class.from_wire(wire, where)
        core = AdapterCore(plugin, self.flavour, node)
        text = wire.get(RECORDED_SIZES)
        if text is not None:
            core.recorded_sizes = RecordedSizes.from_text(text, plugin)
            core.recorded_sizes.check_unchanged(plugin, where)
            if not plugin.spec.tactics:  # of several, TensorRT has not told which
                compile_early(plugin, core.recorded_sizes.described(plugin))
        return core

    @contextmanager
    def recorded(self, callback: str, node: str) -> Iterator[None]:
        """Record an exception of the body as one of the creator's callback."""
        try:
            yield
        except BaseException as error:
            creator = self.interface.__name__
            record(self.plugin_class.spec.name, f"{creator}.{callback}", node, error)
            raise
