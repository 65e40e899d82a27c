"""Let plugins compute the original's nodes that ONNX Runtime does not know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import onnx

from pluginkit.onnx.model.graphs import Scope, defined_names, describe, scopes
from pluginkit.onnx.model.plugin_nodes import Plugins, plugin_nodes


def with_custom_nodes_as_plugins(
    original: onnx.ModelProto, rewritten: onnx.ModelProto, plugins: Plugins
) -> tuple[onnx.ModelProto, list[str]]:
    """Replace each custom node of the original by the plugin node that the rewrites made of it.

    That is the plugin node of the rewritten model that produces the same values. A custom node is
    one that ONNX Runtime has no schema of, and that calls no local function. Nodes inside local
    functions are left alone.

    Args:
        original: the model; it is not changed.
        rewritten: the rewritten model.
        plugins: the plugins of its nodes.

    Returns:
        The original, or a changed copy, and a description of each replaced node.
    """
    custom = custom_nodes(original)
    if not custom:
        return original, []
    made = [node for _, node, _ in plugin_nodes(rewritten, plugins)]
    changed = onnx.ModelProto.FromString(original.SerializeToString())
    replaced = []
    for scope in scopes(changed):
        for at in [at for one, at in custom if one.path == scope.path]:
            node = scope.graph.node[at]
            new = _plugin_node_for(node, scope, made)
            if new is not None:
                replaced.append(f"{describe(node)} is computed by {new.op_type}")
                node.CopyFrom(new)
    return changed, replaced


def custom_nodes(model: onnx.ModelProto) -> list[tuple[Scope, int]]:
    """Return the custom nodes of a model: the scope of each, and its number there."""
    functions = {(each.domain, each.name) for each in model.functions}
    return [
        (scope, at)
        for scope in scopes(model)
        if isinstance(scope.graph, onnx.GraphProto)
        for at, node in enumerate(scope.graph.node)
        if (node.domain, node.op_type) not in functions and not _is_known(node)
    ]


def _plugin_node_for(
    node: onnx.NodeProto, scope: Scope, made: Iterable[onnx.NodeProto]
) -> onnx.NodeProto | None:
    """Return the plugin node that computes a custom node's outputs from values of the original."""
    wanted = set(filter(None, node.output))
    found = next((each for each in made if wanted <= set(each.output)), None)
    if found is None:
        return None
    new = onnx.NodeProto()
    new.CopyFrom(found)
    if not set(filter(None, new.input)) <= set(_visible_names(scope)):
        given = [name for name in node.input if name]
        if len(given) != len(new.input):
            return None
        new.input[:] = given
    return new


def _visible_names(scope: Scope | None) -> Iterator[str]:
    while scope is not None:
        yield from defined_names(scope.graph)
        scope = scope.outer


def _is_known(node: onnx.NodeProto) -> bool:
    """Whether ONNX Runtime may run the node: it lists ONNX's operators, and not all of its own."""
    operators, domains = _known_operators()
    if node.domain in ("", "ai.onnx"):
        return node.op_type in operators
    return node.domain in domains


@cache
def _known_operators() -> tuple[frozenset[str], frozenset[str]]:
    """Return ONNX Runtime's operators of ONNX's domain, and the domains that it knows."""
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    schemas = get_all_operator_schema()
    return (
        frozenset(each.name for each in schemas if not each.domain),
        frozenset(each.domain for each in schemas),
    )
