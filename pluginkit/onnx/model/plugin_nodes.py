"""Convert plugins to ONNX nodes, and nodes to plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.contract.calls import present_ports
from pluginkit.contract.plugin import Plugin
from pluginkit.contract.plugin import Plugins as Plugins
from pluginkit.contract.plugin_names import nearest
from pluginkit.contract.scratch import names_a_plugin, plugin_class
from pluginkit.contract.spec import PRESENT_INPUTS, PluginSpec
from pluginkit.contract.spec import PluginKey as PluginKey
from pluginkit.errors import AttributeValueError, ModelError, PluginkitError
from pluginkit.onnx.model.external_data import is_external
from pluginkit.onnx.model.graphs import describe, scopes

_VERSION, _NAMESPACE = "plugin_version", "plugin_namespace"
_SHAPE_INPUTS = "tensorrt_plugin_shape_input_indices"
#: Attributes that a plugin node may have besides those that its class declares.
_RESERVED = (_VERSION, _NAMESPACE, _SHAPE_INPUTS, PRESENT_INPUTS)


def plugin_attributes(plugin: Plugin) -> dict[str, Any]:
    """Return a plugin's attributes in wire form, and its version and namespace, for its node."""
    shaping = [index for index, port in enumerate(present_ports(plugin)) if port.is_shape_input]
    return {
        **plugin.to_wire(),
        _VERSION: plugin.spec.plugin_version,
        _NAMESPACE: plugin.spec.plugin_namespace,
        **({_SHAPE_INPUTS: shaping} if shaping else {}),
    }


def plugin_node(plugin: Plugin, inputs: list[str], outputs: list[str], name: str) -> onnx.NodeProto:
    """Make the ONNX node that TensorRT's parser turns into a plugin.

    Args:
        plugin: the plugin with its attribute values.
        inputs: one name for each declared input; "", or nothing at the end, for an absent optional
            input. Or only the names of the inputs that ``plugin`` has. The node lists only inputs
            that are present, because TensorRT's parser refuses empty names.
        outputs: one name for each declared output.
        name: the node's name.

    Errors:
        PK411: the number of inputs or outputs is not what the plugin declares.  PK110: a required
        input is absent.
    """
    plugin, names = bind_inputs(plugin, inputs)
    spec = plugin.spec
    if len(outputs) != len(spec.outputs) or not all(outputs):
        raise _wrong_count(spec, "outputs", list(outputs), [port.name for port in spec.outputs])
    return onnx.helper.make_node(
        spec.plugin_name,
        names,
        outputs,
        name=name,
        domain=spec.plugin_namespace,
        **plugin_attributes(plugin),
    )


def bind_inputs(plugin: Plugin, inputs: Sequence[str]) -> tuple[Plugin, list[str]]:
    """Return the plugin with its present inputs, and their names.

    Errors:
        PK411, PK110: the same as for plugin_node.
    """
    ports = plugin.spec.inputs
    if all(inputs) and len(inputs) == sum(plugin.present):
        return plugin, list(inputs)
    if len(inputs) > len(ports):
        raise _wrong_count(plugin.spec, "inputs", list(inputs), [port.name for port in ports])
    there = [port.name for port, name in zip(ports, inputs, strict=False) if name]
    return plugin.with_inputs(*there), [name for name in inputs if name]


def _wrong_count(spec: PluginSpec, kind: str, got: list[str], expected: list[str]) -> ModelError:
    return ModelError(
        "PK411",
        f"{spec.name}: got {kind} {got}; expected {len(expected)}: {', '.join(expected)}.",
        fix=f"give the node one name for each of the plugin's {kind}.",
    )


def plugin_of_node(node: onnx.NodeProto, plugins: Plugins) -> Plugin | None:
    """Return the plugin that a node calls, or None if it calls none.

    Nodes may come from pluginkit, from an exporter or be written by hand: attributes that are left
    out have their defaults, the version defaults to "1" and the namespace to the node's domain, and
    an absent input may have an empty name.

    Errors:
        PK104, PK109: an attribute is wrong or missing.  PK108: the class declares no attribute of
        that name.  PK110: a required input is absent.
        PK410: an attribute refers to a parameter of a local function.  PK412: it cannot be read.
        PK411: there are too many inputs.
    """
    attributes = _by_name(node)
    version = _text(attributes, _VERSION, "1")
    namespace = _text(attributes, _NAMESPACE, node.domain)
    cls = plugin_class((node.op_type, version, namespace), plugins)
    if cls is None:
        return None
    where = f"node {describe(node)}"
    declared = [spec.name for spec in cls.spec.attributes]
    _check_names(cls, declared, [attribute.name for attribute in node.attribute], where)
    wire = {
        name: _value(attribute, where)
        for name, attribute in attributes.items()
        if name == PRESENT_INPUTS or name in declared
    }
    plugin = cls.from_wire(wire, where)
    if PRESENT_INPUTS not in wire:
        with _blaming(node):
            plugin, _ = bind_inputs(plugin, list(node.input))
    return plugin


@contextmanager
def _blaming(node: onnx.NodeProto) -> Iterator[None]:
    """Let errors of the body say which node they are about."""
    try:
        yield
    except PluginkitError as error:
        error.where = error.where or f"node {describe(node)}"
        raise


def _check_names(
    plugin: type[Plugin], declared: Sequence[str], given: Sequence[str], where: str
) -> None:
    """Refuse a node's attribute that no declaration reads, or that the node has twice."""
    for at, name in enumerate(given):
        if name in given[:at]:
            raise AttributeValueError(
                "PK108",
                f"{plugin.__name__}: attribute '{name}' is there twice; expected it once.",
                where=where,
                fix="remove one of them from the node.",
            )
        if name not in declared and name not in _RESERVED:
            near = nearest(name, [*declared, *_RESERVED])
            raise AttributeValueError(
                "PK108",
                f"{plugin.__name__}: no attribute '{name}'; "
                f"expected one of: {', '.join(declared) or 'none'}.",
                where=where,
                fix=f"did you mean '{near}'?"
                if near
                else f"remove it from the node, or declare it in {plugin.__name__}.",
            )


def _text(attributes: Mapping[str, onnx.AttributeProto], name: str, default: str) -> str:
    return attributes[name].s.decode(errors="replace") if name in attributes else default


def _value(attribute: onnx.AttributeProto, where: str) -> Any:
    if attribute.ref_attr_name:
        raise ModelError(
            "PK410",
            f"attribute '{attribute.name}' is the parameter '{attribute.ref_attr_name}' of the "
            "function; expected a value.",
            where=where,
            fix="inline the function: onnx.inliner.inline_local_functions(model).",
        )
    try:
        return _decoded(attribute)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ModelError(
            "PK412",
            f"attribute '{attribute.name}' cannot be read: {error}.",
            where=where,
            fix="give the attribute a number, a text, a list of them or a tensor with its data.",
        ) from error


def _decoded(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        if is_external(value):
            raise ValueError("its data is in an external file")
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, (str, int, float)):
        return value
    return [item.decode() if isinstance(item, bytes) else item for item in value]


def complete_plugin_nodes(model: onnx.ModelProto, plugins: Plugins) -> None:
    """Rewrite every plugin node of a model to the form that ``plugin_node`` gives it.

    In nodes of other origin TensorRT's parser would truncate int64 values, mislabel tensors and
    refuse empty input names.

    Errors:
        The same as for plugin_of_node.
    """
    for _, node, plugin in plugin_nodes(model, plugins):
        present = [name for name in node.input if name]
        with _blaming(node):
            written = plugin_node(plugin, present, list(node.output), node.name)
        if list(node.input) != present:
            node.ClearField("input")
            node.input.extend(present)
        if _by_name(node) != _by_name(written):
            node.ClearField("attribute")
            node.attribute.extend(written.attribute)


def _by_name(node: onnx.NodeProto) -> dict[str, onnx.AttributeProto]:
    return {attribute.name: attribute for attribute in node.attribute}


def plugin_nodes(
    model: onnx.ModelProto, plugins: Plugins
) -> Iterator[tuple[str, onnx.NodeProto, Plugin]]:
    """Yield every plugin node of a model, with the path of its scope and its plugin.

    Nodes in bodies and local functions are included.

    Errors:
        The same as for plugin_of_node.
    """
    names = {name for name, _, _ in plugins}
    for scope in scopes(model):
        for node in scope.graph.node:
            if not names_a_plugin(node.op_type, names):
                continue
            plugin = plugin_of_node(node, plugins)
            if plugin is not None:
                yield scope.path, node, plugin
