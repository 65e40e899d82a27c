"""Run If, Loop and Scan, given a function that runs their bodies.

onnx's reference evaluator cannot be used: it ends a Loop without a condition at once, and stacks
the values that a Loop collects along the wrong axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import bodies, describe
from pluginkit.onnx.running.run_limit import LoopLimit

Array = npt.NDArray[Any]
#: Runs the body of this name on these inputs and returns its outputs.
RunBody = Callable[[str, Mapping[str, Array]], list[Array]]


def run_control_flow(
    node: onnx.NodeProto, inputs: Sequence[Array | None], run_body: RunBody
) -> list[Array]:
    """Return the outputs of an If, a Loop or a Scan (opset 9 and later).

    Errors:
        PK442: the node has another operator, or collects no values and their shape is not declared.
    """
    runs = {"If": _run_if, "Loop": _run_loop, "Scan": _run_scan}
    if node.op_type not in runs:
        raise ModelError(
            "PK442",
            f"{describe(node)} holds a plugin node; expected an If, a Loop or a Scan around it.",
            fix="run the model without this operator, or compare it in parts.",
        )
    return runs[node.op_type](node, inputs, run_body)


def _run_if(node: onnx.NodeProto, inputs: Sequence[Array | None], run_body: RunBody) -> list[Array]:
    return run_body("then_branch" if np.all(inputs[0]) else "else_branch", {})


def _run_loop(
    node: onnx.NodeProto, inputs: Sequence[Array | None], run_body: RunBody
) -> list[Array]:
    ((name, body),) = bodies(node)
    limit, condition = ([*inputs, None, None])[:2]
    names = [value.name for value in body.input]
    state = [_given(array) for array in inputs[2:]]
    collected: list[list[Array]] = [[] for _ in body.output[1 + len(state) :]]
    go_on = np.array(True) if condition is None else condition
    limit_of_time = LoopLimit(f"node {describe(node)}")
    for step in count():
        limit_of_time.check()
        if not np.all(go_on) or (limit is not None and step >= limit.item()):
            break
        feeds = dict(zip(names, [np.array(step, np.int64), go_on, *state], strict=True))
        go_on, *returned = run_body(name, feeds)
        state, rows = returned[: len(state)], returned[len(state) :]
        for each, row in zip(collected, rows, strict=True):
            each.append(row)
    outputs = body.output[1 + len(state) :]
    return state + [_stack(rows, 0, info) for rows, info in zip(collected, outputs, strict=True)]


def _run_scan(
    node: onnx.NodeProto, inputs: Sequence[Array | None], run_body: RunBody
) -> list[Array]:
    ((name, body),) = bodies(node)
    options: dict[str, Any] = {
        each.name: onnx.helper.get_attribute_value(each)
        for each in node.attribute
        if each.name != name
    }
    scanned_count = options["num_scan_inputs"]
    states = len(inputs) - scanned_count
    state = [_given(array) for array in inputs[:states]]
    zeros = [0] * (scanned_count + len(body.output))
    in_axes, in_reversed, out_axes, out_reversed = (
        options.get(f"scan_{kind}", zeros)
        for kind in ("input_axes", "input_directions", "output_axes", "output_directions")
    )
    scanned = [
        np.flip(np.moveaxis(_given(array), axis, 0), 0)
        if is_reversed
        else np.moveaxis(_given(array), axis, 0)
        for array, axis, is_reversed in zip(inputs[states:], in_axes, in_reversed, strict=False)
    ]
    names = [value.name for value in body.input]
    infos = body.output[states:]
    collected: list[list[Array]] = [[] for _ in infos]
    for rows in zip(*scanned, strict=True):
        returned = run_body(name, dict(zip(names, [*state, *map(np.asarray, rows)], strict=True)))
        state = returned[:states]
        for each, row in zip(collected, returned[states:], strict=True):
            each.append(row)
    made = zip(collected, out_axes, out_reversed, infos, strict=False)
    return state + [
        _stack(rows[::-1] if is_reversed else rows, axis, info)
        for rows, axis, is_reversed, info in made
    ]


def _given(array: Array | None) -> Array:
    if array is None:
        raise ModelError("PK442", "a loop's state is absent; expected a value for each.")
    return array


def _stack(rows: list[Array], axis: int, info: onnx.ValueInfoProto) -> Array:
    """Stack rows along a new axis; if there are none, use the declared dtype and shape."""
    if rows:
        return np.stack(rows, axis)
    tensor = info.type.tensor_type
    if not tensor.elem_type or not tensor.HasField("shape"):
        raise ModelError(
            "PK442",
            f"a loop that runs no times collects '{info.name}', whose type is not declared; "
            "expected a dtype and a shape.",
        )
    shape = [dim.dim_value for dim in tensor.shape.dim]
    shape.insert(axis if axis >= 0 else axis + len(shape) + 1, 0)
    return np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
