"""Put the zeros of a dilated kernel between the weights of strided transposed convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.onnx import Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NodeInput


class ExpandDilatedTranspose(Rewrite):
    """ConvTranspose(x, w) with strides and dilations -> ConvTranspose(x, w with zeros between).

    TensorRT takes strides or dilations, not both: "Strided & Dilated Deconv". Its builder computes
    the nodes between stored weights and the convolution once.
    """

    pattern = Op("ConvTranspose", "x", "w", Optional("bias"))

    def check(self, match: Match, w: gs.Tensor) -> str | list[int]:
        strides, dilations = (match.attribute(name, [1]) for name in ("strides", "dilations"))
        if max(strides) == 1 or max(dilations) == 1:
            return "TensorRT takes it: it does not have both strides and dilations"
        sizes = [size for size in match.shape(w) or () if size is not None]
        if len(sizes) != 2 + len(dilations):
            return "the size of its weights is unknown"
        return sizes

    def rewrite(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, bias: gs.Tensor | None, facts: list[int]
    ) -> list[gs.Node]:
        new, sizes = Replacement(match), list(facts)
        wide: NodeInput = w
        given = {each.name: match.attribute(each.name) for each in match.proto.attribute}
        for axis, step in enumerate(given.pop("dilations"), start=2):
            if step == 1:
                continue
            apart = new.unsqueeze(wide, [axis + 1])
            pads = [0] * (2 * len(sizes) + 2)
            pads[len(sizes) + 1 + axis + 1] = step - 1
            last = (sizes[axis] - 1) * step + 1
            sizes[axis] *= step
            joined = new.add("Reshape", new.pad(apart, pads), np.array(sizes, np.int64))
            wide = new.slice(joined, axis, 0, last)
            sizes[axis] = last
        given["kernel_shape"] = sizes[2:]
        inputs = [x, wide] if bias is None else [x, wide, bias]
        return new.end("ConvTranspose", *inputs, **given)
