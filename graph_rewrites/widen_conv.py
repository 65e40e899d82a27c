"""Turn convolutions of signals into convolutions of images one element high."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluginkit.onnx import FLOATS, Match, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The value of each attribute for the new axis.
_OF_NEW_AXIS = {"dilations": 1, "kernel_shape": 1, "strides": 1}


class WidenConv(Rewrite):
    """Conv(signal, w) -> Squeeze(Conv(Unsqueeze(signal), Unsqueeze(w))), with an axis of size 1.

    TensorRT supports convolutions of signals, but in some models its builder fails on one of them:
    "CHECK(nbdims_bias == 4 || nbdims_bias == 5) failed". Those build with this rewrite.
    """

    pattern = Op("Conv", "x", "w", Optional("bias"))
    opt_in = True

    def check(self, match: Match, x: gs.Tensor, w: gs.Tensor) -> str | None:
        if 3 not in (match.rank(x), match.rank(w)):
            return "its input is not known to have three axes"
        return match.dtype_problem(FLOATS, x)

    def rewrite(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, bias: gs.Tensor | None
    ) -> list[gs.Node]:
        new = Replacement(match)
        given: dict[str, Any] = {
            name: match.attribute(name) for name in ("auto_pad", "group", *_OF_NEW_AXIS)
        }
        for name, value in _OF_NEW_AXIS.items():
            if given[name] is not None:
                given[name] = [value, *given[name]]
        pads = match.attribute("pads")
        if pads is not None:
            given["pads"] = [0, pads[0], 0, pads[1]]
        inputs = [new.unsqueeze(x, [2]), new.unsqueeze(w, [2])]
        y = new.add("Conv", *inputs, *([] if bias is None else [bias]), **given)
        return new.end("Identity", new.squeeze(y, [2]))
