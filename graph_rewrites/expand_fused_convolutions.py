"""Split convolutions that ONNX Runtime's optimizer has fused, and move channels to the front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pluginkit.graph_rewrites._spelled_out import MICROSOFT, activated, activation_problem
from pluginkit.onnx import FLOATS, Match, NodeInput, Op, Optional, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_OF_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_OF_POOL = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


class ExpandFusedConv(Rewrite):
    """com.microsoft.FusedConv(x, w, bias, z) -> activation(Conv(x, w, bias) + z).

    The bias and z may be absent.
    """

    pattern = Op("FusedConv", "x", "w", Optional("bias"), Optional("z"), domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor) -> str | None:
        return _problem(match, x)

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        w: gs.Tensor,
        bias: gs.Tensor | None,
        z: gs.Tensor | None,
    ) -> list[gs.Node]:
        new = Replacement(match)
        return new.end("Identity", _convolution(new, match, x, w, bias, z))


class ExpandDynamicPads(Rewrite):
    """com.microsoft.ConvTransposeWithDynamicPads(x, w, pads) -> ConvTranspose(x, w).

    The pads must be stored in the model, or follow from sizes.
    """

    pattern = Op(
        "ConvTransposeWithDynamicPads",
        *("x", "w", Optional("pads"), Optional("bias")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, x: gs.Tensor, pads: gs.Tensor | None) -> str | list[int]:
        stored = None if pads is None else match.value_from_shapes(pads)
        if pads is not None and stored is None:
            return "its pads are not known before the model runs"
        found = [] if stored is None else [int(each) for each in stored]
        return match.dtype_problem(FLOATS, x) or found

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        w: gs.Tensor,
        bias: gs.Tensor | None,
        facts: list[int],
    ) -> list[gs.Node]:
        names = ("auto_pad", "dilations", "group", "kernel_shape", "output_padding", "strides")
        given = {name: match.attribute(name) for name in names}
        weights = [w] if bias is None else [w, bias]
        return Replacement(match).end("ConvTranspose", x, *weights, pads=facts or None, **given)


class ExpandNhwcConv(Rewrite):
    """com.microsoft.NhwcConv(x, w) -> Transpose(Conv(Transpose(x), w)).

    Channels come last, also in the weights of an NhwcConv. In the weights of an NhwcFusedConv,
    which has an activation and a sum as well, they come second as in ONNX.
    """

    pattern = Op(
        ("NhwcConv", "NhwcFusedConv"),
        *("x", "w", Optional("bias"), Optional("z")),
        domain=MICROSOFT,
    )

    def check(self, match: Match, x: gs.Tensor, w: gs.Tensor) -> str | int:
        rank = match.rank(x) or match.rank(w)
        if rank is None:
            return "the rank of its input is unknown"
        return _problem(match, x) or rank

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        w: gs.Tensor,
        bias: gs.Tensor | None,
        z: gs.Tensor | None,
        facts: int,
    ) -> list[gs.Node]:
        new = Replacement(match)
        first = _channels_first(facts)
        weights: NodeInput = w
        if match.proto.op_type == "NhwcConv":
            weights = new.add("Transpose", w, perm=first)
        added: NodeInput = None if z is None else new.add("Transpose", z, perm=first)
        y = _convolution(new, match, new.add("Transpose", x, perm=first), weights, bias, added)
        return new.end("Transpose", y, perm=_channels_last(facts))


class ExpandNhwcMaxPool(Rewrite):
    """com.microsoft.NhwcMaxPool(x) -> Transpose(MaxPool(Transpose(x))): channels come last."""

    pattern = Op("NhwcMaxPool", "x", domain=MICROSOFT)

    def check(self, match: Match, x: gs.Tensor) -> str | int:
        axes = len(match.attribute("kernel_shape", ()))
        if not axes or match.rank(x) not in (None, axes + 2):
            return "its kernel has no size, or not that of its input"
        return axes + 2

    def rewrite(self, match: Match, x: gs.Tensor, facts: int) -> list[gs.Node]:
        new = Replacement(match)
        inner = new.add("Transpose", x, perm=_channels_first(facts))
        given = _attributes(match, _OF_POOL)
        return new.end("Transpose", new.add("MaxPool", inner, **given), perm=_channels_last(facts))


def _problem(match: Match, x: gs.Tensor) -> str | None:
    activation = match.attribute("activation", "")
    parameters = match.attribute("activation_params", [])
    return match.dtype_problem(FLOATS, x) or activation_problem(activation, parameters)


def _convolution(
    new: Replacement, match: Match, x: NodeInput, w: NodeInput, bias: NodeInput, z: NodeInput
) -> NodeInput:
    inputs = [x, w] if bias is None else [x, w, bias]
    y: NodeInput = new.add("Conv", *inputs, **_attributes(match, _OF_CONV))
    if z is not None:
        y = new.add("Add", y, z)
    parameters = match.attribute("activation_params", [])
    activation = match.attribute("activation", "")
    return activated(new, y, activation, parameters, match.dtype(match["x"]))


def _attributes(match: Match, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: match.attribute(name) for name in names}


def _channels_first(rank: int) -> list[int]:
    return [0, rank - 1, *range(1, rank - 1)]


def _channels_last(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]
