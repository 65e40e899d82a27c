"""Merge equal nodes whose output sizes depend on data, which break TensorRT's builder."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from pluginkit.onnx import (
    Change,
    GraphRewrite,
    Graphs,
    Op,
    Scope,
    main_and_bodies,
    merge_equal_nodes,
)

#: ONNX's operators that plugins with a size output replace.
_DATA_DEPENDENT = ("Compress", "NonMaxSuppression", "NonZero", "Unique")


class MergeDataDependent(GraphRewrite):
    """NonZero(x), NonZero(x) -> NonZero(x), and Unique, Compress and plugins likewise.

    TensorRT merges such plugin nodes itself, and then fails: "Assertion
    nodeIdxToDDSOutputIndices.count(i) == nodeIdxToSizeTensors.contains(i) failed".
    """

    pattern = Op(_DATA_DEPENDENT)
    order = -2

    def may_change(self, graphs: Graphs) -> bool:
        return not graphs.operators.isdisjoint({*_DATA_DEPENDENT, *_sized(graphs)})

    def rewrite_graphs(self, graphs: Graphs) -> Sequence[Change]:
        sized = _sized(graphs)

        def merges(_: Scope, node: onnx.NodeProto) -> bool:
            is_onnx = node.domain in ("", "ai.onnx")
            return node.op_type in (_DATA_DEPENDENT if is_onnx else sized)

        found = sum(
            merges(scope, node)
            for scope in main_and_bodies(graphs.model)
            for node in scope.graph.node
        )
        return [] if found < 2 else merge_equal_nodes(graphs, merges)


def _sized(graphs: Graphs) -> set[str]:
    """Return the op_types of plugins with a size output."""
    return {key[0] for key, plugin in graphs.plugins.items() if plugin.spec.sizes}
