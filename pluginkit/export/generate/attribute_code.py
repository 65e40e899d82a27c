"""Generate the C++ of attributes: declarations, and comparisons with values."""

from __future__ import annotations

import json
from typing import Any

from pluginkit.contract.attribute_values import document_from_array
from pluginkit.contract.attributes import AttributeSpec
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.spec import PluginSpec
from pluginkit.export.generate.cpp_expressions import bytes_literal, string_literal

_KINDS = {
    "int": "Kind::kInt",
    "float": "Kind::kFloat",
    "str": "Kind::kString",
    "bool": "Kind::kBool",
    "array": "Kind::kArray",
}


def declarations(spec: PluginSpec) -> list[str]:
    """Return the initializers of a Program's attributes."""
    return [_declaration(one) for one in spec.attributes]


def _declaration(spec: AttributeSpec) -> str:
    is_tuple = spec.kind == "tuple"
    has_default = not spec.is_required and spec.default is not None
    default = string_literal(_document(spec, spec.default)) if has_default else "nullptr"
    choices = "nullptr"
    if spec.choices is not None:
        listed = [json.loads(_document(spec, choice)) for choice in spec.choices]
        choices = string_literal(json.dumps(listed, separators=(",", ":")))
    fields = [
        string_literal(spec.name),
        _KINDS[str(spec.item) if is_tuple else spec.kind],
        str(is_tuple).lower(),
        str(-1 if spec.length is None else spec.length),
        str(spec.is_required).lower(),
        str(spec.is_optional).lower(),
        default,
        choices,
        string_literal(spec.type_name),
    ]
    return f"{{{', '.join(fields)}}}"


def _document(spec: AttributeSpec, value: Any) -> str:
    document = document_from_array(value) if spec.kind == "array" else value
    return json.dumps(document, separators=(",", ":"))


def comparison(plugin: Plugin) -> str:
    """Return the condition that ``context.attributes`` are the plugin's attributes."""
    spec = plugin.spec
    conditions = [
        f"context.attributes[{index}] == {_value(one, getattr(plugin, one.name))}"
        for index, one in enumerate(spec.attributes)
    ]
    return " && ".join(conditions) or "true"


def _value(spec: AttributeSpec, value: Any) -> str:
    if value is None:
        return "none_value()"
    if spec.kind == "array":
        shape = ", ".join(map(str, value.shape))
        data = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        text = f"std::string({bytes_literal(data)}, {len(data)})"
        return f"array_value({string_literal(value.dtype.name)}, {{{shape}}}, {text})"
    kind = str(spec.item) if spec.kind == "tuple" else spec.kind
    items = value if spec.kind == "tuple" else (value,)
    if kind == "str":
        return f"string_values({{{', '.join(map(string_literal, items))}}})"
    if kind == "float":
        return f"number_values({{{', '.join(map(_float, items))}}})"
    return f"integer_values({{{', '.join(str(int(item)) for item in items)}}})"


def _float(value: float) -> str:
    """Return a C++ literal with exactly this value."""
    if value != value:
        return "std::numeric_limits<double>::quiet_NaN()"
    if value in (float("inf"), float("-inf")):
        sign = "-" if value < 0 else ""
        return f"{sign}std::numeric_limits<double>::infinity()"
    return repr(value)
