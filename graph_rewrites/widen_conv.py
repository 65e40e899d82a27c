"""Turn convolutions of signals into convolutions of images one element high."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The value of each attribute for the new axis.
_OF_NEW_AXIS = {"dilations": 1, "kernel_shape": 1, "strides": 1}


class WidenConv(Rewrite):
    """Conv(signal, w) -> Squeeze(Conv(Unsqueeze(signal), Unsqueeze(w))), with an axis of size 1.

    TensorRT supports convolutions of signals, but in some models its builder fails on one of them:
    "CHECK(nbdims_bias == 4 || nbdims_bias == 5) failed". ``build`` then begins again with this
    rewrite, unless it is left out by name.
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
        attributes = ("auto_pad", "group", "pads", *_OF_NEW_AXIS)
        given = {name: match.attribute(name) for name in attributes}
        inputs = [x, w] if bias is None else [x, w, bias]
        return new.end("Identity", conv_of_signal(new, inputs, given))


def conv_of_signal(
    new: Replacement, inputs: Sequence[NodeInput], attributes: Mapping[str, Any]
) -> gs.Variable:
    """Return the convolution of a signal, computed as that of an image one element high."""
    given = dict(attributes)
    for name, value in _OF_NEW_AXIS.items():
        if given.get(name) is not None:
            given[name] = [value, *given[name]]
    if given.get("pads") is not None:
        given["pads"] = [0, given["pads"][0], 0, given["pads"][1]]
    x, w, *bias = inputs
    y = new.add("Conv", new.unsqueeze(x, [2]), new.unsqueeze(w, [2]), *bias, **given)
    return new.squeeze(y, [2])
