"""Compute windows of signals in float32, the only type in which TensorRT has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import Match, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


class ExpandWindow(Rewrite):
    """HannWindow(size, output_datatype=double) -> Cast(HannWindow(size)), and the other windows."""

    pattern = Op(("BlackmanWindow", "HammingWindow", "HannWindow"))

    def check(self, match: Match) -> str | None:
        if match.attribute("output_datatype", 1) == 1:
            return "TensorRT takes it: it is float32"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        new, attributes = Replacement(match), dict(match.node.attrs)
        dtype = attributes.pop("output_datatype")
        window = new.add(match.node.op, *match.inputs, **attributes)
        return new.end("Cast", window, to=dtype)
