"""Let plugins in branches and bodies take their workspace as an output."""

from __future__ import annotations

import onnx

from pluginkit.contract.plugin import Plugin
from pluginkit.contract.scratch import scratch_variant
from pluginkit.errors import PluginkitError, UnknownDimError
from pluginkit.onnx.inference.infer_types import plugin_output_types
from pluginkit.onnx.inference.value_types import Types
from pluginkit.onnx.model.graphs import Scope, main_and_bodies, place_of
from pluginkit.onnx.model.plugin_nodes import plugin_node, plugin_of_node
from pluginkit.onnx.rewriting.graph_rewrite import Change, Graphs


def give_scratch_in_bodies(graphs: Graphs) -> list[Change]:
    """Replace plugin nodes that need a workspace in bodies; return the changes.

    A plugin whose workspace does not follow from shapes that are known only at run time is left.
    """
    changes: list[Change] = []
    for scope in main_and_bodies(graphs.model):
        if scope.outer is None:
            continue
        for node in scope.graph.node:
            plugin = plugin_of_node(node, graphs.plugins)
            variant = with_scratch(plugin) if plugin is not None else None
            if variant is None or not _has_bound(variant, node, scope, graphs.types):
                continue
            place = place_of(scope, node)
            scratch = graphs.names.new_value(f"{place[1]}_scratch")
            new = plugin_node(variant, list(node.input), [*node.output, scratch], node.name)
            node.op_type = new.op_type
            node.output.append(scratch)
            node.ClearField("attribute")
            node.attribute.extend(new.attribute)
            changes.append((place, (node.op_type,)))
    return changes


def with_scratch(plugin: Plugin) -> Plugin | None:
    """Return the variant of a plugin with a scratch output; None if it has none."""
    variant = scratch_variant(type(plugin))
    if variant is None:
        return None
    ports = zip(plugin.spec.inputs, plugin.present, strict=True)
    names = [port.name for port, is_there in ports if is_there]
    return variant(**plugin.attribute_values).with_inputs(*names)


def _has_bound(plugin: Plugin, node: onnx.NodeProto, scope: Scope, types: Types) -> bool:
    """Whether the scratch memory follows from the shapes, as far as these are known."""
    try:
        plugin_output_types(plugin, [types.find(scope, name) for name in node.input])
    except UnknownDimError:
        return False
    except PluginkitError:  # which is said where the node's types are written
        return True
    return True
