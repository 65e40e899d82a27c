"""Recognise a Loop that appends rows, by running its body on sample values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper
import onnx.numpy_helper
import onnx_graphsurgeon as gs
from onnx.reference import ReferenceEvaluator

from pluginkit.onnx import Match, bodies, defined_names, known_sizes, source_of, stored_tensors

#: The most nodes of a body that is run.
_MOST_NODES = 400

Array = npt.NDArray[Any]
#: A tensor, or the elements of a sequence.
Fed: TypeAlias = Array | list[Array]


@dataclass(frozen=True)
class RowLoop:
    """A Loop that appends a row to each of its states in every run, computed from outer tensors.

    Attributes:
        body: a model that computes the appended rows of a run.
        rows: the outer tensors of which a run reads the row with its number.
        stored: the other outer values that it reads, which are stored in the model.
        sizes: the values that are the size of an outer tensor along an axis.
        pieces: for each state the value that a run appends.
        opsets: the versions of the operators.
    """

    body: onnx.GraphProto
    rows: tuple[str, ...]
    stored: Mapping[str, Array]
    sizes: Mapping[str, tuple[str, int]]
    pieces: tuple[str, ...]
    opsets: Sequence[onnx.OperatorSetIdProto]

    def piece_of(self, given: Mapping[str, Array]) -> list[Array] | None:
        """Return what a run appends to each state, given row 0 of each tensor.

        onnx's own evaluator computes the values. None if it cannot run the body.
        """
        values: dict[str, Fed] = {name: np.asarray(row)[None] for name, row in given.items()}
        for name, (row, axis) in self.sizes.items():
            values[name] = np.array(np.shape(values[row])[axis], np.int64)
        return run_body(self.body, self.opsets, self.pieces, values | dict(self.stored), 0)


def run_body(
    body: onnx.GraphProto,
    opsets: Sequence[onnx.OperatorSetIdProto],
    names: Sequence[str],
    values: Mapping[str, Fed],
    number: int,
) -> list[Array] | None:
    """Return values that the body of a Loop computes in a run, by onnx's own evaluator.

    Args:
        body: the body.
        opsets: the versions of the operators.
        names: the values to return.
        values: the outer values that the body reads for them.
        number: the number of the run.

    Returns:
        The values; None if the evaluator cannot run the body.
    """
    fed = {**values, body.input[0].name: np.array(number, np.int64)}
    graph = onnx.helper.make_graph(
        _needed(body, names),
        "body",
        [onnx.helper.make_value_info(name, _type_of(value)) for name, value in fed.items()],
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in names],
        list(body.initializer),
    )
    model = onnx.helper.make_model(graph, opset_imports=opsets)
    try:
        with np.errstate(all="ignore"):
            return list(ReferenceEvaluator(model).run(None, fed))
    except Exception:  # whatever its operators raise for what they do not take
        return None


def _type_of(value: Fed) -> onnx.TypeProto:
    if isinstance(value, list):
        return onnx.helper.make_sequence_type_proto(_type_of(value[0]))
    elem_type = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.helper.make_tensor_type_proto(elem_type, value.shape)


def _needed(body: onnx.GraphProto, names: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that compute some values."""
    wanted, nodes = set(names), []
    for node in reversed(body.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.append(node)
    return nodes[::-1]


def row_loop(match: Match) -> RowLoop | str:
    """Return the appended rows of a Loop, or why it does not only append rows."""
    node = match.proto
    body = next((body for _, body in bodies(node)), None)
    states = len(node.input) - 2
    if body is None or states < 1 or not len(body.output) - 1 == states == len(node.output):
        return "it does not carry and give the same values"
    if len(body.node) > _MOST_NODES or any(True for each in body.node for _ in bodies(each)):
        return "its body is large, or has bodies itself"
    producers = {name: each for each in body.node for name in each.output}
    if not stays_true(match, node, body):
        return "its condition may change"
    pieces = [
        appended(body, producers, state.name, after.name)
        for state, after in zip(body.input[2:], body.output[1:], strict=True)
    ]
    if None in pieces:
        return "it changes a value otherwise than by rows at its end"
    if not all(is_empty(match, name) for name in node.input[2:]):
        return "the values that it carries are not known to be empty at first"
    rows, others = _outer_values(body, producers)
    stored = {name: value for name in others if (value := stored_value(match, name)) is not None}
    sizes = {
        name: size
        for name in others
        if name not in stored and (size := size_of(match, name, rows)) is not None
    }
    if not rows or len(stored) + len(sizes) < len(others):
        return "its body reads values that are neither rows nor stored"
    opsets = [onnx.helper.make_opsetid("", match.onnx_opset)]
    return RowLoop(body, rows, stored, sizes, tuple(map(str, pieces)), opsets)


def stays_true(match: Match, loop: onnx.NodeProto, body: onnx.GraphProto) -> bool:
    """Whether a Loop's condition is stored and true at the start, and stays so."""
    given = loop.input[1]
    stored = match.constant_called(given) if given else np.array(True)
    return (
        stored is not None and bool(stored.all()) and keeps_condition(body, match.constant_called)
    )


def keeps_condition(body: onnx.GraphProto, outside: Callable[[str], Array | None]) -> bool:
    """Whether a Loop's body returns true as its condition, or the condition that it is given.

    Args:
        body: the body.
        outside: returns an outer value that is stored.
    """
    producers = {name: node for node in body.node for name in node.output}
    name = source_of(body.output[0].name, producers.get, is_condition=True)
    if name == body.input[1].name:
        return True
    stored = stored_in_body(body, name, outside)
    return stored is not None and bool(stored.all())


def stored_in_body(
    body: onnx.GraphProto, name: str, outside: Callable[[str], Array | None]
) -> Array | None:
    """Return a value that a body stores or reads from outside, as ``keeps_condition`` does."""
    tensor = stored_tensors(body).get(name)
    if tensor is not None:
        return onnx.numpy_helper.to_array(tensor)
    return None if name in defined_names(body) else outside(name)


def size_in_loop(match: Match, name: str, axis: int, otherwise: int) -> int:
    """Return the size of a tensor of rank 4 along an axis, which the loop's body may have stored.

    Args:
        match: the Loop.
        name: the tensor, of which the body reads rows.
        axis: the axis.
        otherwise: what to take if the model does not know the size; the body reads it then.
    """
    sizes = shape_called(match, name) or ()
    return (sizes[axis] if len(sizes) == 4 else 0) or otherwise


def appended(
    body: onnx.GraphProto,
    producers: Mapping[str, onnx.NodeProto],
    state: str,
    after: str,
    op_type: str = "Concat",
) -> str | None:
    """Return the value that a body appends to a state, if it does nothing else with the state.

    Args:
        body: the body.
        producers: its nodes by their outputs.
        state: the state, before a run.
        after: the state after it.
        op_type: what appends: Concat to a tensor, SequenceInsert to a sequence.
    """
    readers = [each for each in body.node if state in each.input]
    names = {state}
    if len(readers) == 1 and readers[0].op_type in ("Cast", "Identity"):
        names = {readers[0].output[0]}
        readers = [each for each in body.node if names & set(each.input)]
    joined = producers.get(after)
    if joined is None or joined.op_type != op_type or len(joined.input) != 2:
        return None
    is_first_axis = all(each.i == 0 for each in joined.attribute if each.name == "axis")
    if readers != [joined] or joined.input[0] not in names or not is_first_axis:
        return None
    return None if joined.input[1] in names else str(joined.input[1])


def is_empty(match: Match, name: str) -> bool:
    """Whether a value is known to have no rows, from its value, its shape or how it is made."""
    tensor = gs.Variable(name)
    stored = match.value_from_shapes(tensor)
    if stored is not None:
        return stored.size == 0
    shape = shape_called(match, name)
    if shape is not None:
        return bool(shape) and shape[0] == 0
    made = match.producer(tensor.name)
    if made is not None and made.op_type == "SequenceEmpty":
        return True
    if made is None or made.op_type != "ConstantOfShape":
        return False
    sizes = match.producer(made.input[0])
    first = None
    if sizes is not None and sizes.op_type == "Concat":
        first = match.constant_called(sizes.input[0])
    return first is not None and bool(first.size) and first.flat[0] == 0


def outer_names(body: onnx.GraphProto, producers: Mapping[str, onnx.NodeProto]) -> list[str]:
    """Return the outer values that a body reads, in the order in which it reads them."""
    own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    read = dict.fromkeys(
        name for node in body.node for name in node.input if name and name not in producers
    )
    return [name for name in read if name not in own]


def _outer_values(
    body: onnx.GraphProto, producers: Mapping[str, onnx.NodeProto]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the outer tensors whose rows a body reads, and the other outer values."""
    number = body.input[0].name

    def is_row(name: str) -> bool:
        readers = [node for node in body.node if name in node.input]
        return all(
            node.op_type == "Gather"
            and list(node.input) == [name, number]
            and all(each.i == 0 for each in node.attribute if each.name == "axis")
            for node in readers
        )

    outer = outer_names(body, producers)
    rows = tuple(name for name in outer if is_row(name))
    return rows, [name for name in outer if name not in rows]


def shape_called(match: Match, name: str) -> list[int | None] | None:
    """Return the sizes of a value, None for each that varies; None if its rank is unknown."""
    return known_sizes(match.value_type(gs.Variable(name)))


def stored_value(match: Match, name: str) -> Array | None:
    value = match.constant_called(name)
    return match.value_from_shapes(gs.Variable(name)) if value is None else value


def size_of(match: Match, name: str, rows: Sequence[str]) -> tuple[str, int] | None:
    """Return the tensor and the axis whose size a value is."""
    taken = match.producer(name)
    if taken is None or taken.op_type != "Gather" or any(each.i for each in taken.attribute):
        return None
    shape, axis = match.producer(taken.input[0]), match.constant_called(taken.input[1])
    if shape is None or shape.op_type != "Shape" or shape.attribute or axis is None:
        return None
    is_known = axis.ndim == 0 and axis > 0 and shape.input[0] in rows
    return (str(shape.input[0]), int(axis)) if is_known else None
