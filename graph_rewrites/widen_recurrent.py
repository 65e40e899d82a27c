"""Let recurrent layers read what was of half precision."""

from __future__ import annotations

import onnx_graphsurgeon as gs

from pluginkit.onnx import Match, NodeInput, Op, Replacement, Rewrite

_LAYERS = ("LSTM", "GRU", "RNN")
_HALVES = ("float16", "bfloat16")
#: What TensorRT-RTX moves into the loop over the steps, and from which types.
_NARROW = {"Cast": _HALVES, "DequantizeLinear": ("int8",)}
_LENGTHS = 4
#: What it moves these through.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


class WidenRecurrent(Rewrite):
    """LSTM(x, ..., sequence_lens) of halves -> Cast(LSTM(Cast(x), ..., sequence_lens)).

    Also GRU and RNN. TensorRT masks the steps beyond a length with float32, which it does not
    select together with halves. It reads Cast(x) as IsolateRecurrent has it.
    """

    pattern = Op(_LAYERS)

    def check(self, match: Match) -> str | None:
        if len(match.inputs) <= _LENGTHS or not match.inputs[_LENGTHS].name:
            return "it has no sequence_lens"
        return match.dtype_problem(_HALVES, match.inputs[0])

    def rewrite(self, match: Match) -> list[gs.Node]:
        new, dtype = Replacement(match), match.dtype(match.inputs[0])
        inputs: list[NodeInput] = [
            new.cast(each, "float32") if each.name and at != _LENGTHS else each
            for at, each in enumerate(match.inputs)
        ]
        inputs[0] = _isolated(new, inputs[0])
        wide = new.add_many(match.node.op, *inputs, outputs=len(match.outputs), **match.node.attrs)
        for output, value in zip(match.outputs, wide, strict=True):
            if output.name:
                new.into([output], "Cast", value, to=dtype)
        return list(new)


class IsolateRecurrent(Rewrite):
    """LSTM(Cast(x)) of halves x -> LSTM(Sign(Cast(x)) * |Cast(x)|), which are the same numbers.

    Also GRU and RNN, and DequantizeLinear of int8. TensorRT-RTX 1.7 moves such a node into the loop
    over the steps, where it counts the elements of all steps: "Mismatched number of elements in
    reshape op" if their number is fixed, "Expected ... to be equal" if it varies.
    """

    pattern = Op(_LAYERS)

    def check(self, match: Match) -> str | None:
        name = match.inputs[0].name
        while (node := match.producer(name)) is not None and node.op_type in _MOVES:
            name = node.input[0]
        narrow = None if node is None else _NARROW.get(node.op_type)
        if node is None or narrow is None:
            return "TensorRT takes it: it reads neither a Cast nor a DequantizeLinear"
        return match.dtype_problem(narrow, gs.Variable(node.input[0]))

    def rewrite(self, match: Match) -> list[gs.Node]:
        new = Replacement(match)
        inputs: list[NodeInput] = [each if each.name else None for each in match.inputs]
        inputs[0] = _isolated(new, inputs[0])
        return new.end(match.node.op, *inputs, **match.node.attrs)


def _isolated(new: Replacement, value: NodeInput) -> gs.Variable:
    """Return the same numbers, by nodes of which none may change places with a scale or a Cast."""
    return new.add("Mul", new.add("Sign", value), new.add("Abs", value))
