"""Fuse a residual sum and its layer normalization into one plugin.

TensorRT supports these nodes, so the rewrite is opt-in: measure with and without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, Optional, Rewrite, dtype_of_elem_type, elem_type
from pluginkit.plugins.add_layer_norm import AddLayerNorm

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class FuseAddLayerNorm(Rewrite):
    """LayerNormalization(Add(residual, x), weight, bias) -> AddLayerNorm_PK(x, residual, ...).

    The sum becomes the plugin's second output. Something else must read it, as the next sum does
    where normalization comes before attention: the plugin writes it in any case. ONNX Runtime's
    SkipLayerNormalization is such a pair once it is spelled out.
    """

    plugin = AddLayerNorm
    opt_in = True
    pattern = Op(
        "LayerNormalization",
        Op("Add", "residual", "x", name="total", kept=True),
        *("weight", Optional("bias")),
    )

    def check(
        self,
        match: Match,
        x: gs.Tensor,
        residual: gs.Tensor,
        weight: gs.Tensor,
        bias: gs.Tensor | None,
        total: gs.Node,
    ) -> str | AddLayerNorm:
        """Check that the plugin computes the same, and supports the types and shapes."""
        if any(map(match.is_used, match.outputs[1:])):
            return "its mean or its deviation is used"
        if not match.is_shared(total.outputs[0]):
            return "nothing else reads the sum, which the plugin would write"
        computed = dtype_of_elem_type(match.attribute("stash_type", elem_type("float32")))
        if computed != "float32":
            return f"it computes in {computed}; the plugin does in float32"
        dtype = match.dtype(total.outputs[0])
        others = [each for each in (weight, bias) if each is not None]
        if dtype not in FLOATS or any(match.dtype(each) != dtype for each in others):
            return f"the sum is {dtype} and the weight {match.dtype(weight)}"
        rank, shape = match.rank(total.outputs[0]), match.shape(total.outputs[0])
        axis = match.attribute("axis", -1)
        if rank is None or shape is None or not -rank <= axis < rank:
            return "the shape of the sum is unknown"
        if residual.shape is None or residual.shape != x.shape or None in residual.shape:
            return (
                f"the terms of the sum, {residual.shape} and {x.shape}, are not known to have one "
                "shape"
            )
        row = list(x.shape[axis % rank :])
        if any(list(each.shape or ()) != row for each in others):
            return f"weight or bias do not have the shape of what is normalized, {row}"
        return AddLayerNorm(axis=axis % rank - rank, epsilon=match.attribute("epsilon", 1e-5))

    def rewrite(
        self,
        match: Match,
        x: gs.Tensor,
        residual: gs.Tensor,
        weight: gs.Tensor,
        bias: gs.Tensor | None,
        total: gs.Node,
        facts: AddLayerNorm,
    ) -> NewNode:
        """Make the sum the plugin's second output, under its name."""
        outputs = [match.outputs[0], total.outputs[0]]
        return match.plugin_node(facts, [x, residual, weight, bias], outputs)
