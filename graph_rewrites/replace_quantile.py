"""Replace torch.quantile, which its TorchScript exporter does not spell out, by a plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pluginkit.graph_rewrites._aten import ATEN, argument, text_argument, unstored
from pluginkit.onnx import Op, Replacement, Rewrite
from pluginkit.plugins.kth_value import KthValue

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import Match, NewNode

#: How a rank becomes a whole one; the others interpolate.
_ROUNDED = {"lower": "Floor", "higher": "Ceil", "nearest": "Round"}
_INTERPOLATIONS = ("linear", "midpoint", *_ROUNDED)


class ReplaceAtenQuantile(Rewrite):
    """torch.quantile(x, q, dim, keepdim, interpolation) -> KthValue_PK(x, q * (size - 1)).

    One or two elements of a row are selected for each stored q, and interpolated as torch does it.
    A row with NaN gives NaN. So is torch.nanquantile, whose size is that of the elements that are
    not NaN.
    """

    plugin = KthValue
    pattern = Op(("quantile", "nanquantile"), "x", "q", ..., domain=ATEN)

    def check(self, match: Match, x: gs.Tensor, q: gs.Tensor) -> str | None:
        stored, keepdim = match.constant(q), argument(match, 3, False)
        interpolation = text_argument(match, 4, "linear")
        if stored is None or stored.ndim > 1 or not match.rank(x):
            return "its q is not stored in the model, or the rank of its input is unknown"
        if interpolation not in _INTERPOLATIONS:
            return f"its interpolation '{interpolation}' is not known"
        if argument(match, 2, "none") == "none" and keepdim:
            return "it keeps the dimensions of a quantile of all elements"
        reason = unstored(match, argument(match, 2, "none"), keepdim)
        return reason or match.dtype_problem(("float32",), x)

    def rewrite(self, match: Match, x: gs.Tensor, q: gs.Tensor) -> list[NewNode]:
        import onnx_graphsurgeon as gs

        new, stored = Replacement(match), np.asarray(match.constant(q))
        dim, rank = argument(match, 2, "none"), match.rank(x) or 1
        if dim == "none":
            x, dim, rank = new.add("Reshape", x, np.array([-1])), 0, 1
        axis = int(dim) % rank
        shares = stored.astype(np.float32).reshape([-1 if at == axis else 1 for at in range(rank)])
        ranks = _ranks(new, x, axis, shares, match.proto.op_type == "nanquantile")
        interpolation = text_argument(match, 4, "linear") or ""
        ways = [_ROUNDED[interpolation]] if interpolation in _ROUNDED else ["Floor", "Ceil"]
        rounded = [new.add(way, ranks) for way in ways]
        places = [new.cast(each, "int64") for each in rounded]
        values = [gs.Variable(f"values_{way}") for way in ways]
        before = list(new)
        plugin = KthValue(axis=axis)
        selections = [
            match.plugin_node(plugin, [x, place], [value])
            for place, value in zip(places, values, strict=True)
        ]
        y = values[0]
        if len(values) > 1:
            part = new.add("Sub", ranks, rounded[0])
            weight = part if interpolation == "linear" else np.float32(0.5)
            y = _between(new, values[0], values[1], weight)
        if stored.ndim == 1:  # the quantiles come first
            order = [axis + 1 if at == 0 else 0 if at == axis + 1 else at for at in range(rank + 1)]
            y, axis = new.add("Transpose", new.unsqueeze(y, [0]), perm=order), axis + 1
        new.end("Identity", y if argument(match, 3, False) else new.squeeze(y, [axis]))
        return [*before, *selections, *list(new)[len(before) :]]


def _ranks(
    new: Replacement, x: gs.Tensor, axis: int, shares: np.ndarray, ignores_nan: bool
) -> gs.Variable:
    """Return the ranks of quantiles in rows in order, those of a row with NaN its last."""
    is_nan, one = new.add("IsNaN", x), np.float32(1)
    if ignores_nan:
        numbers = new.cast(new.add("Not", is_nan), "int32")
        count = new.cast(new.reduce("ReduceSum", numbers, [axis], keepdims=True), "float32")
        last = new.add("Sub", count, one)
        return new.add("Max", new.add("Mul", last, shares), np.float32(0))
    size = new.add("Gather", new.add("Shape", x), np.array([axis]))
    last = new.add("Sub", new.cast(size, "float32"), one)
    has_nan = new.reduce("ReduceMax", new.cast(is_nan, "int32"), [axis], keepdims=True)
    return new.add("Where", new.cast(has_nan, "bool"), last, new.add("Mul", last, shares))


def _between(
    new: Replacement, low: gs.Tensor, high: gs.Tensor, weight: gs.Tensor | np.float32
) -> gs.Variable:
    """Return the interpolation between two values, from the nearer one on, as torch.lerp does."""
    gap, one = new.add("Sub", high, low), np.float32(1)
    from_low = new.add("Add", low, new.add("Mul", weight, gap))
    from_high = new.add("Sub", high, new.add("Mul", gap, new.add("Sub", one, weight)))
    return new.add("Where", new.add("Less", weight, np.float32(0.5)), from_low, from_high)
