"""Write into the weights of an LSTM that its forget gate is the opposite of its input gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

#: The parts of hidden_size rows that an input of LSTM has, by the input's position, "i" and "f" for
#: those of the input and the forget gate: W, R, the bias and the peepholes.
_PARTS = {1: "i.f.", 2: "i.f.", 3: "i.f.i.f.", 7: "i.f"}


class CoupleGates(Rewrite):
    """LSTM(W, input_forget=1) -> LSTM(W, with the rows of the input gate, negated, to forget).

    Sigmoid(-x) is 1 - Sigmoid(x), and ``clip`` is symmetric.
    """

    pattern = Op("LSTM")

    def check(self, match: Match) -> str | None:
        if not match.attribute("input_forget", 0):
            return "its gates are not coupled"
        gates = match.attribute("activations", ["Sigmoid"])[::3]
        if any(name.lower() != "sigmoid" for name in gates):
            return "its coupled gates are no Sigmoid; write its steps as a Scan"
        if not match.attribute("hidden_size", 0):
            return "it has no hidden_size"
        return None

    def rewrite(self, match: Match) -> list[gs.Node]:
        new, size = Replacement(match), match.attribute("hidden_size")
        inputs: list[NodeInput] = [each if each.name else None for each in match.inputs]
        for at, parts in _PARTS.items():
            if at < len(inputs) and inputs[at] is not None:
                inputs[at] = _coupled(new, inputs[at], parts, size)
        attributes = {**match.node.attrs, "input_forget": 0}
        return new.end("LSTM", *inputs, **attributes)


def _coupled(new: Replacement, weights: NodeInput, parts: Sequence[str], size: int) -> NodeInput:
    """Put the negated rows of the latest input gate into the places of the forget gates."""
    blocks = [new.slice(weights, 1, at * size, (at + 1) * size) for at in range(len(parts))]
    for at, part in enumerate(parts):
        if part == "f":
            blocks[at] = new.add("Neg", blocks[at - 2])
    return new.add("Concat", *blocks, axis=1)
