"""Find nodes that TensorRT's parser takes for operators of ONNX, since it ignores domains."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.defs

from pluginkit.onnx.model.graphs import Scope, scopes

#: The domains whose operators the parser means, or that name them as ONNX does.
_KNOWN_DOMAINS = frozenset(["", "ai.onnx", "com.microsoft"])


def foreign_operators(model: onnx.ModelProto) -> Iterator[tuple[Scope, onnx.NodeProto, str]]:
    """Yield each node that the parser would mistake, its scope, and what is wrong with it.

    Args:
        model: the model; calls of its functions are passed over.
    """
    functions = {(each.domain, each.name) for each in model.functions}
    for scope in scopes(model):
        for node in scope.graph.node:
            if (
                node.domain not in _KNOWN_DOMAINS
                and onnx.defs.has(node.op_type)
                and (node.domain, node.op_type) not in functions
            ):
                yield (
                    scope,
                    node,
                    f"is of domain '{node.domain}'; TensorRT's parser ignores domains and takes it "
                    f"for ONNX's {node.op_type}",
                )
