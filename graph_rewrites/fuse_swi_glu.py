"""Fuse the spelled-out gate of a feed-forward layer into one plugin.

TensorRT supports these nodes, so the rewrites are opt-in: measure with and without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluginkit.onnx import FLOATS, Match, Op, PatternBuilder, PatternOperand, Rewrite
from pluginkit.plugins.swi_glu import SwiGLU

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from pluginkit.onnx import NewNode


class FuseSwiGLU(Rewrite):
    """gate * Sigmoid(gate) * up -> SwiGLU_PK(gate, up)."""

    plugin = SwiGLU
    opt_in = True

    def pattern(self, op: PatternBuilder, gate: PatternOperand, up: PatternOperand) -> Op:
        return op.Mul(op.Mul(gate, op.Sigmoid(gate)), up)

    def check(self, match: Match, gate: gs.Tensor, up: gs.Tensor) -> str | None:
        if gate.shape is None or gate.shape != up.shape or None in gate.shape or not gate.shape:
            return f"its factors, {gate.shape} and {up.shape}, are not known to have one shape"
        return match.dtype_problem(FLOATS, gate)

    def rewrite(self, match: Match, gate: gs.Tensor, up: gs.Tensor) -> NewNode:
        return match.plugin_node(SwiGLU(), [gate, up])


class FuseSplitSwiGLU(Rewrite):
    """gate * Sigmoid(gate) * up, of gate, up = Split(x) along the last axis -> SwiGLU_PK(x)."""

    plugin = SwiGLU
    opt_in = True
    order = -1

    def pattern(self, op: PatternBuilder, x: PatternOperand) -> Op:
        halves = op.Split(x, ...).named("halves")
        gate, up = halves.output(0), halves.output(1)
        return op.Mul(op.Mul(gate, op.Sigmoid(gate)), up)

    def check(self, match: Match, x: gs.Tensor, halves: gs.Node) -> str | None:
        gate, up = (each.shape for each in [*halves.outputs, *halves.outputs][:2])
        if len(halves.outputs) != 2 or not gate or not up or not isinstance(gate[-1], int):
            return "the sizes of what is split are unknown, or there are not two"
        if halves.attrs.get("axis", 0) % len(gate) != len(gate) - 1 or gate[-1] != up[-1]:
            return "it does not split the last axis into halves"
        return match.dtype_problem(FLOATS, x)

    def rewrite(self, match: Match, x: gs.Tensor) -> NewNode:
        plugin = SwiGLU().with_inputs("gate")
        return match.plugin_node(plugin, [x])
