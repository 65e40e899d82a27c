"""Outputs that nobody reads go away where TensorRT takes only nodes with one output."""

from __future__ import annotations

import onnx

from pluginkit.onnx import Match, Op, Rewrite


class DropUnusedOutputs(Rewrite):
    """y, unused = Op(...) -> y = Op(...) of Attention, LayerNormalization and MaxPool.

    Trailing outputs only, those without a name too. It comes before the rewrites that replace the
    whole node.
    """

    pattern = Op(("Attention", "LayerNormalization", "MaxPool"))
    order = -1

    def check(self, match: Match) -> str | None:
        """The last output must be one that nobody uses, and not the only one."""
        if len(match.outputs) == 1:
            return "TensorRT takes it as it is: it has one output"
        if match.is_used(match.outputs[-1]):
            return f"its last output, '{match.outputs[-1].name}', is used"
        return None

    def rewrite(self, match: Match) -> onnx.NodeProto:
        """The same node with its outputs up to the last that is used, the first at least."""
        used = [at for at, tensor in enumerate(match.outputs) if match.is_used(tensor)]
        node = onnx.NodeProto()
        node.CopyFrom(match.proto)
        del node.output[max(used, default=0) + 1 :]
        return node
