"""Remove unused outputs of operators for which TensorRT supports only one output."""

from __future__ import annotations

import onnx

from pluginkit.onnx import Match, Op, Rewrite


class DropUnusedOutputs(Rewrite):
    """y, unused = Op(...) -> y = Op(...) of Attention, LayerNormalization and MaxPool.

    Only outputs after the last used one are removed, those without a name included. It runs before
    the rewrites that replace the whole node.
    """

    pattern = Op(("Attention", "LayerNormalization", "MaxPool"))
    order = -1

    def check(self, match: Match) -> str | None:
        if len(match.outputs) == 1:
            return "TensorRT takes it: it has one output"
        if match.is_used(match.outputs[-1]):
            return f"its last output, '{match.outputs[-1].name}', is used"
        return None

    def rewrite(self, match: Match) -> onnx.NodeProto:
        """Keep the first output even if it is unused."""
        used = [at for at, tensor in enumerate(match.outputs) if match.is_used(tensor)]
        node = onnx.NodeProto()
        node.CopyFrom(match.proto)
        del node.output[max(used, default=0) + 1 :]
        return node
