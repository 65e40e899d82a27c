"""Spell out the LSTM of ONNX Runtime's dynamic quantization, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper

from pluginkit.graph_rewrites._onnx_functions import inlined_nodes
from pluginkit.graph_rewrites._spelled_out import MICROSOFT
from pluginkit.onnx import Match, Op, Optional, Rewrite

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_SINCE = 13
_ACTIVATIONS = ("sigmoid", "tanh", "tanh")
_INPUTS = ("x", "w", "r", "b", "lengths", "h", "c", "p", "w_scale", "w_zero", "r_scale", "r_zero")


class ExpandDynamicQuantizeLSTM(Rewrite):
    """com.microsoft.DynamicQuantizeLSTM(x, w, r) -> Scan of LSTM steps on 8-bit integers.

    The whole input is rounded to 8 bits once, and the hidden values of all rows before each step,
    as ONNX Runtime does in one thread: with more, each rounds its rows in a range of their own. All
    rows have the same length, and the activations are those of ONNX.
    """

    pattern = Op(
        "DynamicQuantizeLSTM",
        *("x", "w", "r", Optional("b"), Optional("lengths"), Optional("h"), Optional("c")),
        *(Optional("p"), "w_scale", "w_zero", "r_scale", "r_zero"),
        domain=MICROSOFT,
    )

    def check(
        self, match: Match, x: gs.Tensor, w: gs.Tensor, r: gs.Tensor, lengths: gs.Tensor | None
    ) -> str | None:
        if lengths is not None:
            return "its rows have lengths of their own"
        if match.onnx_opset < _SINCE:
            return f"its steps need opset {_SINCE}; the model has {match.onnx_opset}"
        if match.attribute("input_forget", 0) or match.attribute("clip") is not None:
            return "its gates are coupled, or its values are clipped"
        given = [each.lower() for each in match.attribute("activations", [])]
        if given != [*_ACTIVATIONS] * (len(given) // 3):
            return "its activations are not those of ONNX's LSTM"
        size = match.attribute("hidden_size", 0)
        if size < 1 or match.shape(r) != (len(_directions(match)), size, 4 * size):
            return "its hidden size is unknown, or does not fit its weights"
        return match.dtype_problem(("float32",), x) or match.dtype_problem(("int8", "uint8"), w)

    def rewrite(self, match: Match) -> list[onnx.NodeProto]:
        node = match.proto
        given = {name for name, value in zip(_INPUTS, node.input, strict=False) if value}
        made = _LstmNodes(match.attribute("hidden_size"), given)
        function = onnx.helper.make_function(
            "pluginkit",
            node.op_type,
            _INPUTS,
            ["y", "y_h", "y_c"][: len(node.output)],
            made.nodes_of(_directions(match)),
            [onnx.helper.make_opsetid("", match.onnx_opset)],
        )
        return inlined_nodes(match, function)

    def note(self, match: Match) -> str:
        return (
            "its steps round to 8 bits one after the other, without TensorRT's LSTM; to get that, "
            "leave LSTMs out: quantize_dynamic(..., op_types_to_quantize=['MatMul', 'Gather'])."
        )


def _directions(match: Match) -> list[int]:
    """Return for each direction whether its steps go backwards."""
    direction = match.attribute("direction", "forward")
    return {"forward": [0], "reverse": [1]}.get(direction, [0, 1])


class _NamedNodes:
    """Collects nodes of a graph; a value has the name of its operator and a number."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._prefix = prefix

    def add(self, op_type: str, *inputs: str, into: str = "", **attributes: Any) -> str:
        """Append a node with one output, and return the output's name."""
        return self.add_many(op_type, *inputs, names=[into], **attributes)[0]

    def add_many(
        self, op_type: str, *inputs: str, names: list[str], **attributes: Any
    ) -> list[str]:
        """Append a node; outputs without a name get one."""
        at = len(self.nodes)
        outputs = [name or f"{self._prefix}{op_type}_{at}_{n}" for n, name in enumerate(names)]
        self.nodes.append(onnx.helper.make_node(op_type, inputs, outputs, **attributes))
        return outputs

    def stored(self, array: npt.NDArray[Any] | np.generic) -> str:
        """Append a Constant."""
        return self.add("Constant", value=onnx.numpy_helper.from_array(np.asarray(array)))

    def rounded(self, value: str) -> tuple[str, str]:
        """Round a value to 8 bits in a range with zero; return the differences to zero, the scale.

        A range of nothing but zeros has the scale 1.
        """
        zero, one, steps = (self.stored(np.float32(each)) for each in (0, 1, 255))
        least = self.add("Min", self.add("ReduceMin", value, keepdims=0), zero)
        greatest = self.add("Max", self.add("ReduceMax", value, keepdims=0), zero)
        extent = self.add("Div", self.add("Sub", greatest, least), steps)
        scale = self.add("Where", self.add("Equal", extent, zero), one, extent)
        shift = self.add("Round", self.add("Div", self.add("Neg", least), scale))
        whole = self.add("Add", self.add("Round", self.add("Div", value, scale)), shift)
        inside = self.add("Max", self.add("Min", whole, steps), zero)
        return self.add("Sub", inside, shift), scale


class _LstmNodes(_NamedNodes):
    """The nodes that compute the LSTM.

    Args:
        size: the size of the hidden values.
        given: the names of the inputs that are present.
    """

    def __init__(self, size: int, given: set[str]) -> None:
        super().__init__("")
        self._size = size
        self._given = given

    def nodes_of(self, directions: list[int]) -> list[onnx.NodeProto]:
        """Return the nodes; the outputs of all directions are stacked."""
        value, scale = self.rounded("x")
        lasts: list[list[str]] = [[], [], []]
        zero, one = self.stored(np.array([0])), self.stored(np.array([1]))
        for at, backwards in enumerate(directions):
            index = self.stored(np.int64(at))
            weights = self._weights("w", index)
            sums = self.add("MatMul", value, weights)
            factor = self.add("Mul", scale, self.add("Gather", "w_scale", index))
            gates = self.add("Mul", sums, factor)
            if "b" in self._given:
                halves = self.stored(np.array([4 * self._size] * 2))
                both = self.add("Gather", "b", index)
                parts = self.add_many("Split", both, halves, names=["", ""], axis=0)
                gates = self.add("Add", gates, self.add("Add", *parts))
            made = self._steps(index, gates, backwards)
            for output, each, axis in zip(lasts, made, (one, zero, zero), strict=True):
                output.append(self.add("Unsqueeze", each, axis))
        for name, stack, number in zip(("y", "y_h", "y_c"), lasts, (1, 0, 0), strict=True):
            self.add("Concat", *stack, into=name, axis=number)
        return self.nodes

    def _weights(self, name: str, index: str) -> str:
        """Return the weights of a direction in float32, without their scales."""
        each, zero = (self.add("Gather", n, index) for n in (name, f"{name}_zero"))
        return self.add(
            "Sub", *(self.add("Cast", n, to=onnx.TensorProto.FLOAT) for n in (each, zero))
        )

    def _first(self, name: str, index: str) -> str:
        """Return the hidden values or the cells before the first step: zeros by default."""
        if name in self._given:
            return self.add("Gather", name, index)
        start, end = self.stored(np.array([1])), self.stored(np.array([2]))
        rows = self.add("Slice", self.add("Shape", "x"), start, end)
        shape = self.add("Concat", rows, self.stored(np.array([self._size])), axis=0)
        return self.add("Expand", self.stored(np.float32(0)), shape)

    def _steps(self, index: str, gates: str, backwards: int) -> tuple[str, str, str]:
        """Return the hidden values of all steps, and those and the cells after the last one."""
        weights, scale = self._weights("r", index), self.add("Gather", "r_scale", index)
        thirds = self.stored(np.array([self._size] * 3))
        holes: list[str] = []
        if "p" in self._given:
            every = self.add("Gather", "p", index)
            holes = self.add_many("Split", every, thirds, names=[""] * 3, axis=0)
        step = _NamedNodes("step_")
        value, factor = step.rounded("hidden")
        sums = step.add("MatMul", value, weights)
        scaled = step.add("Mul", sums, step.add("Mul", factor, scale))
        total = step.add("Add", "gates", scaled)
        quarters = step.stored(np.array([self._size] * 4))
        i, o, f, g = step.add_many("Split", total, quarters, names=[""] * 4, axis=1)
        if holes:
            i, f = (
                step.add("Add", gate, step.add("Mul", hole, "cell"))
                for gate, hole in ((i, holes[0]), (f, holes[2]))
            )
        kept = step.add("Mul", step.add("Sigmoid", f), "cell")
        added = step.add("Mul", step.add("Sigmoid", i), step.add("Tanh", g))
        cell = step.add("Add", kept, added, into="cell_after")
        if holes:
            o = step.add("Add", o, step.add("Mul", holes[1], cell))
        hidden = step.add("Mul", step.add("Sigmoid", o), step.add("Tanh", cell), into="after")
        step.add("Identity", hidden, into="made")
        body = onnx.helper.make_graph(
            step.nodes,
            "step",
            [_matrix(name) for name in ("hidden", "cell", "gates")],
            [_matrix(name) for name in ("after", "cell_after", "made")],
        )
        first = [self._first(name, index) for name in ("h", "c")]
        last, last_cell, every = self.add_many(
            "Scan",
            *(*first, gates),
            names=[""] * 3,
            num_scan_inputs=1,
            scan_input_directions=[backwards],
            scan_output_directions=[backwards],
            body=body,
        )
        return every, last, last_cell


def _matrix(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, None])
