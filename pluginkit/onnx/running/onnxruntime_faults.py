"""Write a model so that known faults of ONNX Runtime do not reach its values.

- It leaves an output of an If, Loop or Scan without data if its body returns the same value twice.
- Its BatchNormalization writes the running mean and variance over those that it reads: over the
  caller's arrays, over stored tensors, which the next run reads, and over values that other nodes
  read later.
- It crashes on an operator that ONNX does not define, such as SimplifiedLayerNormalization, in a
  local function.
- It plans its memory by the annotations of values inside, and refuses a model whose annotations say
  another type. They are often stale, and it infers all of them itself.
- Its MatMulNBits rounds the input to 8 bits where ``accuracy_level`` is 4, which says how exact the
  result is at least.
- Its DynamicQuantizeLSTM depends on the number of threads.
- On x86-64 without VNNI instructions, its products of uint8 and int8 add two of them in 16 bits,
  where the sum saturates.
- Its DFT of float32 has an error of up to 5e-6 of the largest value, from angles in float32; that
  of float64 has not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeAlias

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import Scope, is_in_function, is_op, output_names, scopes
from pluginkit.onnx.model.model_file import inline_functions
from pluginkit.onnx.model.structure import find_schema

#: Where BatchNormalization reads the mean and the variance.
_STATISTICS = slice(3, 5)

_Product: TypeAlias = tuple[tuple[int, ...] | None, int, int, int | None]
#: Products of 8-bit integers: the positions of what tells the data's type, where None stands for
#: uint8, of the weights, of their zero point, and of their scale, whose shape the zero point has.
_PRODUCTS: dict[tuple[str, str], Sequence[_Product]] = {
    ("", "ConvInteger"): [((2, 0), 1, 3, None)],
    ("", "MatMulInteger"): [((2, 0), 1, 3, None)],
    ("", "QLinearConv"): [((2, 0), 3, 5, 4)],
    ("", "QLinearMatMul"): [((2, 0), 3, 5, 4)],
    ("com.microsoft", "DynamicQuantizeLSTM"): [(None, 1, 9, 8), (None, 2, 11, 10)],
    ("com.microsoft", "DynamicQuantizeMatMul"): [(None, 1, 3, 2)],
    ("com.microsoft", "MatMulIntegerToFloat"): [((4, 0), 1, 5, 3)],
    ("com.microsoft", "QGemm"): [((2, 0), 3, 5, 4)],
}


def without_known_faults(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy that ONNX Runtime computes right; its values keep their names."""
    if any(map(_must_go, scopes(model))):
        model = inline_functions(model)
    if not any(map(_needs_change, scopes(model))):
        return model
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    names = (f"pluginkit_copy_{number}" for number in count())
    for scope in scopes(changed):
        del scope.graph.value_info[:]
        if scope.outer is not None:
            _repeat_no_output(scope, names)
        _copy_statistics(scope, names)
        _widen_transforms(scope, names)
        _raise_weights(scope, names)
        for node in filter(_rounds_input, scope.graph.node):
            kept = [each for each in node.attribute if each.name != "accuracy_level"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return changed


def depends_on_threads(model: onnx.ModelProto) -> bool:
    """Whether results depend on how many threads there are.

    Its DynamicQuantizeLSTM rounds the rows of each thread to 8 bits in a range of their own.
    """
    nodes = (node for scope in scopes(model) for node in scope.graph.node)
    return any(is_op(node, "DynamicQuantizeLSTM", "com.microsoft") for node in nodes)


def _must_go(scope: Scope) -> bool:
    """Whether a local function must be inlined.

    It crashes on a node of ONNX's domain that ONNX does not define, and products of integers may
    saturate, which depends on types that its inputs do not have.
    """
    return is_in_function(scope) and any(
        (node.domain, node.op_type) in _PRODUCTS
        or (
            is_op(node, node.op_type) and find_schema(node.op_type, scope.opsets.get("", 1)) is None
        )
        for node in scope.graph.node
    )


def _needs_change(scope: Scope) -> bool:
    outputs = output_names(scope.graph) if scope.outer is not None else []
    return (
        len(set(outputs)) < len(outputs)
        or len(scope.graph.value_info) > 0
        or any(map(_is_at_fault, scope.graph.node))
    )


def _is_at_fault(node: onnx.NodeProto) -> bool:
    is_faulty = is_op(node, "DFT") or _updates_statistics(node) or _rounds_input(node)
    return is_faulty or (node.domain, node.op_type) in _PRODUCTS


def _rounds_input(node: onnx.NodeProto) -> bool:
    return is_op(node, "MatMulNBits", "com.microsoft") and any(
        each.name == "accuracy_level" for each in node.attribute
    )


def _updates_statistics(node: onnx.NodeProto) -> bool:
    return is_op(node, "BatchNormalization") and any(
        each.name == "training_mode" and each.i != 0 for each in node.attribute
    )


def _repeat_no_output(scope: Scope, names: Iterator[str]) -> None:
    """Let a body return a copy of a value that it returns already."""
    seen: set[str] = set()
    for output in scope.graph.output:
        if output.name in seen:
            name = next(names)
            scope.graph.node.append(onnx.helper.make_node("Identity", [output.name], [name]))
            output.name = name
        seen.add(output.name)


def _copy_statistics(scope: Scope, names: Iterator[str]) -> None:
    """Let each BatchNormalization that updates its mean and variance read copies of them."""
    for at in reversed(range(len(scope.graph.node))):
        node = scope.graph.node[at]
        if not _updates_statistics(node):
            continue
        read = node.input[_STATISTICS]
        copies = [next(names) for _ in read]
        node.input[_STATISTICS] = copies
        for name, copy in zip(read, copies, strict=True):
            # An Identity would be computed in place, so that nothing is copied.
            scope.graph.node.insert(at, onnx.helper.make_node("Concat", [name], [copy], axis=0))


def _widen_transforms(scope: Scope, names: Iterator[str]) -> None:
    """Let each DFT compute in float64."""
    make = onnx.helper.make_node
    for at in reversed(range(len(scope.graph.node))):
        node = scope.graph.node[at]
        if is_op(node, "DFT"):
            given, made = node.input[0], node.output[0]
            node.input[0], node.output[0] = next(names), next(names)
            narrowed = make("CastLike", [node.output[0], given], [made])
            scope.graph.node.insert(at + 1, narrowed)
            widened = make("Cast", [given], [node.input[0]], to=onnx.TensorProto.DOUBLE)
            scope.graph.node.insert(at, widened)


def _raise_weights(scope: Scope, names: Iterator[str]) -> None:
    """Give int8 weights that multiply uint8 as uint8, 128 higher, and so their zero points."""
    if is_in_function(scope):  # those with such a product are inlined
        return
    types = _known_types(scope)
    for at in reversed(range(len(scope.graph.node))):
        node = scope.graph.node[at]
        new: list[onnx.NodeProto] = []
        for data, weights, zero, scale in _PRODUCTS.get((node.domain, node.op_type), ()):
            inputs = [*node.input, *[""] * (zero + 1 - len(node.input))]
            told = (types.get(inputs[each]) for each in data or ())
            is_unsigned = data is None or onnx.TensorProto.UINT8 in told
            if types.get(inputs[weights]) != onnx.TensorProto.INT8 or not is_unsigned:
                continue
            new += _raised(inputs[weights], names)
            inputs[weights] = new[-1].output[0]
            if inputs[zero]:
                new += _raised(inputs[zero], names)
            else:
                new += _middle("" if scale is None else inputs[scale], names)
            inputs[zero] = new[-1].output[0]
            node.ClearField("input")
            node.input.extend(inputs)
        for each in reversed(new):
            scope.graph.node.insert(at, each)


def _known_types(scope: Scope) -> dict[str, int]:
    """Return the types of stored tensors, of inputs, and of what is quantized, as far as known."""
    types = {} if scope.outer is None else _known_types(scope.outer)
    types |= {each.name: each.type.tensor_type.elem_type for each in scope.graph.input}
    types |= {each.name: each.data_type for each in scope.graph.initializer}
    for node in scope.graph.node:
        stored = next((each.t for each in node.attribute if each.name == "value"), None)
        if stored is not None and is_op(node, "Constant"):
            types[node.output[0]] = stored.data_type
        elif is_op(node, "DynamicQuantizeLinear"):
            types |= dict.fromkeys((node.output[0], node.output[2]), onnx.TensorProto.UINT8)
    return types


def _raised(name: str, names: Iterator[str]) -> list[onnx.NodeProto]:
    """Return nodes whose last output is an int8 value plus 128, as uint8."""
    wide, step, higher, new = (next(names) for _ in range(4))
    make, stored = onnx.helper.make_node, onnx.helper.make_tensor
    number = stored("", onnx.TensorProto.INT32, [], [128])
    return [
        make("Cast", [name], [wide], to=onnx.TensorProto.INT32),
        make("Constant", [], [step], value=number),
        make("Add", [wide, step], [higher]),
        make("Cast", [higher], [new], to=onnx.TensorProto.UINT8),
    ]


def _middle(scale: str, names: Iterator[str]) -> list[onnx.NodeProto]:
    """Return nodes whose last output is 128 as uint8, in the shape of a scale if there is one."""
    value = onnx.helper.make_tensor("", onnx.TensorProto.UINT8, [] if not scale else [1], [128])
    if not scale:
        return [onnx.helper.make_node("Constant", [], [next(names)], value=value)]
    shape = next(names)
    return [
        onnx.helper.make_node("Shape", [scale], [shape]),
        onnx.helper.make_node("ConstantOfShape", [shape], [next(names)], value=value),
    ]
