"""Leave out initializers of bodies that a value of an outer graph hides."""

from __future__ import annotations

from collections.abc import Set

import onnx

from pluginkit.onnx.model.graphs import Nodes, bodies, has_bodies


def drop_shadowed_initializers(model: onnx.ModelProto) -> None:
    """Remove initializers of bodies whose names are those of values that the body sees anyway.

    onnx-graphsurgeon writes such copies. ONNX allows no name twice, its checker does not look, and
    ONNX Runtime and ONNX's reference read the outer value; TensorRT's parser reads the inner one.
    """
    for graph in (model.graph, *model.functions):
        _drop_in_bodies(graph, frozenset())


def _drop_in_bodies(graph: Nodes, outer: Set[str]) -> None:
    names = {*outer}
    if isinstance(graph, onnx.FunctionProto):
        names.update(graph.input)
    else:
        names.update(each.name for each in (*graph.input, *graph.initializer))
    for node in graph.node[:]:
        for _, body in bodies(node) if has_bodies(node) else ():
            for at in reversed(range(len(body.initializer))):
                if body.initializer[at].name in names:
                    del body.initializer[at]
            _drop_in_bodies(body, names)
        names.update(node.output[:])
