"""Check that attributes survive ONNX nodes, PluginFields, plans and clones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pluginkit.checking.check import check
from pluginkit.checking.outcomes import Failure
from pluginkit.checking.plugin_under_test import Subject
from pluginkit.checking.unread_attributes import unread_attributes
from pluginkit.contract import calls
from pluginkit.contract.plugin import Plugin
from pluginkit.errors import PluginkitError
from pluginkit.quantities import counted

if TYPE_CHECKING:
    from pluginkit.contract.attributes import AttributeSpec

_SCALARS: dict[str, list[Any]] = {
    "int": [0, -1, 7, 2**31, -(2**63), 2**63 - 1],
    "float": [0.0, -0.5, 0.1, 1e300, float("inf")],
    "str": ["", "a", "json:", "a\0b", "ümlaut"],
    "bool": [False, True],
}


def instances(subject: Subject) -> Iterator[tuple[Plugin, str]]:
    """Yield the cases' plugins, then one for each kind of value that TensorRT would corrupt."""
    seen = set()
    for plugin, label in subject.instances():
        yield plugin, label
        for spec in plugin.spec.attributes:
            for value in _values(spec):
                if (spec.name, repr(value)) in seen:
                    continue
                seen.add((spec.name, repr(value)))
                try:
                    other = type(plugin)(**{**plugin.attribute_values, spec.name: value})
                except PluginkitError:  # the declaration refuses the value
                    continue
                present = [port.name for port in calls.present_ports(plugin)]
                yield other.with_inputs(*present), f"{spec.name}={value!r}"


def _values(spec: AttributeSpec) -> list[Any]:
    if spec.choices is not None:
        return list(spec.choices)
    if spec.kind == "array":
        import numpy as np

        return [np.array([2**40, -1]), np.array([[True], [False]]), np.array(0.1)]
    if spec.kind == "tuple":
        items = _SCALARS[str(spec.item)]
        lengths = [spec.length] if spec.length is not None else [0, 1, 2, 4]
        return [tuple(items[-length:]) for length in lengths] + [
            (i,) * n for n in lengths for i in items
        ]
    return _SCALARS[spec.kind]


def expect_same(where: str, got: Plugin, expected: Plugin) -> None:
    """Compare two plugins attribute by attribute.

    Errors:
        Failure: an attribute has changed, or the set of inputs that are present.
    """
    for name, value in expected.attribute_values.items():
        found = getattr(got, name)
        if type(found) is not type(value) or _exact(found) != _exact(value):
            raise Failure(f"{where}: attribute '{name}'", repr(found), repr(value))
    if got.present != expected.present:
        raise Failure(f"{where}: which inputs are present", got.present, expected.present)


def _exact(value: Any) -> Any:
    if hasattr(value, "tobytes"):
        return value.dtype, value.shape, value.tobytes()
    return repr(value)  # NaN is NaN, and 1 is not True


@check(60, needs=("cases",))
def attributes(subject: Subject) -> str:
    """Attributes survive an ONNX node and the bytes of a file.

    Tries the cases' values, and the int64, float64, string and array values that TensorRT
    truncates, drops or mislabels, as far as the declaration allows them.

    Says which attributes no method reads. Does not prove that the plugin uses the others.
    """
    from pluginkit.onnx.model.plugin_nodes import plugin_node, plugin_of_node

    plugins = {subject.plugin_class.spec.key: subject.plugin_class}
    count = 0
    for plugin, label in instances(subject):
        present = [port.name for port in calls.present_ports(plugin)]
        node = plugin_node(plugin, present, [port.name for port in plugin.spec.outputs], "node")
        read = plugin_of_node(type(node).FromString(node.SerializeToString()), plugins)
        if read is None:
            raise Failure(label, "a node of no known plugin", "the plugin's node")
        expect_same(f"{label}, after an ONNX node", read, plugin)
        count += 1
    unread = unread_attributes(subject.plugin_class)
    listed = f"; no method reads {', '.join(map(repr, unread))}" if unread else ""
    return f"{counted(count, 'plugin')}{listed}"


@check(65, needs=("cases", "tensorrt"))
def serialization(subject: Subject) -> str:
    """Attributes survive PluginFields, a plan and clones, on the real registry.

    Does so for IPluginV2DynamicExt and IPluginV3: from fields through ``create_plugin``, from
    ``serialize`` or ``get_fields_to_serialize`` to the plugin of a plan, and through ``clone`` and
    ``attach_to_context``. The creator must announce every attribute, because the ONNX parser drops
    the others.

    Does not prove that another process can read them; ``reload`` does.
    """
    from pluginkit.checking.trt_double import adapters

    plugins = list(instances(subject))
    for interface in adapters.interfaces_of(subject.plugin_class):
        creator = adapters.creator_of(subject.plugin_class, interface)
        announced = {field.name for field in creator.field_names}
        for plugin, label in plugins:
            where = f"{label}, {interface}"
            for name in plugin.to_wire():
                if name not in announced:
                    raise Failure(
                        f"{where}: field_names",
                        f"no '{name}'",
                        "every attribute",
                        cause="TensorRT's ONNX parser drops attributes that are not announced.",
                    )
            adapter = adapters.adapter_of(plugin, interface, creator)
            expect_same(f"{where}, after create_plugin", adapter.core.plugin, plugin)
            for how, copy in adapters.copies_of(interface, adapter):
                expect_same(f"{where}, after {how}", copy.core.plugin, plugin)
            loaded = adapters.reloaded(interface, creator, adapter)
            expect_same(f"{where}, after a plan", loaded.core.plugin, plugin)
    return f"{counted(len(plugins), 'plugin')}, on each interface"
