"""Turn ONNX Runtime's errors into errors that name the input, the cause and a way on."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as OrtNotImplemented

from pluginkit.errors import ModelError
from pluginkit.onnx.model.graphs import names_read

_NO_KERNEL = re.compile(
    r"type is not supported|not implemented|NOT_IMPLEMENTED|Type 'tensor\(\w+\)' of input"
)
_CUSTOM = re.compile(r"is not a registered function/op|No opset import for domain|custom op", re.I)
_INDEX = re.compile(
    r"out of (data )?bounds|indices? .*(out of range|must be|within)|invalid ind(ex|ices)", re.I
)
_INPUT = re.compile(r"for input: (.+?)(?: index:| Got:|\n|$)|input name: (\S+)")
_NODE = re.compile(r"running (\w+) node\. Name:\s?'([^']*)'")
_ELSEWHERE = "compare with outputs from elsewhere, such as PyTorch: --expected golden.npz."


def lacks_kernel(error: Exception) -> bool:
    """Whether ONNX Runtime refuses the model only because its CPU lacks a kernel for a type."""
    return isinstance(error, OrtNotImplemented) or bool(_NO_KERNEL.search(str(error)))


def refusal(error: Exception, model: onnx.ModelProto, where: str) -> ModelError:
    """Return the error for a model that ONNX Runtime does not run.

    Args:
        error: what ONNX Runtime raised.
        model: the model.
        where: what it is, for the message.
    """
    text = str(error)
    what, fix = _advice(error, text, model)
    return ModelError("PK441", f"ONNX Runtime {what}.", where=where, cause=text, fix=fix)


def _advice(error: Exception, text: str, model: onnx.ModelProto) -> tuple[str, str]:
    """Return what happened, and a way on that fits the cause."""
    if _CUSTOM.search(text):
        return "does not know an operator of the model", (
            f"give ONNX Runtime the operator as a local function of the model, or {_ELSEWHERE}"
        )
    if lacks_kernel(error):
        return "has no CPU kernel for a type in the model", _ELSEWHERE
    if found := _INPUT.search(text):
        name = found[1] or found[2]
        return (
            f"refuses input '{name}'",
            f"give '{name}' the type and shape that the model declares.",
        )
    if _INDEX.search(text):
        return _index_advice(text, model)
    return "cannot run the model", (
        "correct the model, or give inputs for which it is defined with --inputs or --range; "
        f"or {_ELSEWHERE}"
    )


def _index_advice(text: str, model: onnx.ModelProto) -> tuple[str, str]:
    found = _NODE.search(text)
    inputs = integer_inputs_of(model, found[1], found[2]) if found else []
    if not inputs:
        return "refuses an index that is out of range", "correct the index in the model."
    names = " and ".join(f"'{name}'" for name in inputs)
    options = " ".join(f"--range {name}:0,n" for name in inputs)
    return f"refuses an index from input {names} that is out of range", (
        "give indices below the size n of the indexed axis; where inputs are drawn, "
        f"{options} does."
    )


def integer_inputs_of(model: onnx.ModelProto, op_type: str, name: str) -> list[str]:
    """Return the integer graph inputs on which a node depends, in the order of the inputs.

    Args:
        model: the model.
        op_type: the node's.
        name: the node's; empty for all nodes of that type without a name.
    """
    wanted: set[str] = set()
    for node in model.graph.node:
        if (node.op_type, node.name) == (op_type, name):
            wanted |= names_read(node)
    producers = {name: node for node in model.graph.node for name in node.output}
    waiting: Sequence[str] = list(wanted)
    while waiting:
        read = [names_read(producers[name]) for name in waiting if name in producers]
        waiting = list(set[str]().union(*read) - wanted)
        wanted.update(waiting)
    integers = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
    return [
        value.name
        for value in model.graph.input
        if value.name in wanted and value.type.tensor_type.elem_type in integers
    ]
