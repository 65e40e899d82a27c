"""Put ONNX's operators in the place of Microsoft's, so that shape inference sees through them.

ONNX Runtime's optimizers and quantizers write models with operators of the domain com.microsoft,
and some of ONNX's own names that ONNX does not have in the model's opset. onnx infers nothing about
their outputs. On some operators its inference ends the process if an input has no type. A stand-in
has outputs of the same types and shapes; it computes something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import onnx
import onnx.helper

from pluginkit.onnx.model.graphs import Scope, defined_names, is_in_function, scopes
from pluginkit.onnx.model.stored_tensors import stored_tensors

_DOMAIN = "com.microsoft"

#: Operators whose first output has the type and shape of the first input.
_LIKE_FIRST = (
    *("BiasAdd", "BiasGelu", "FastGelu", "Gelu", "GroupNorm", "QLinearLeakyRelu"),
    *("QLinearSigmoid", "QLinearSoftmax", "QuickGelu"),
    *("RotaryEmbedding", "SimplifiedLayerNormalization"),
)
#: Operators whose outputs have the type and shape of an input: the input of each output.
_LIKE_INPUTS: Mapping[str, Mapping[int, int]] = {
    **{name: {0: 0} for name in _LIKE_FIRST},
    **{name: {} for name in ("GroupQueryAttention", "MultiHeadAttention")},
    "SkipGroupNorm": {0: 0, 1: 0},
    "SkipLayerNormalization": {0: 0, 3: 0},
    "SkipSimplifiedLayerNormalization": {0: 0, 3: 0},
}
#: Operators that ONNX has under another name, or without attributes: the name, and which inputs
#: it takes.
_SAME_SHAPES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "DequantizeLinear": ("DequantizeLinear", (0, 1, 2)),
    "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
    "FusedConv": ("Conv", (0, 1, 2)),
    "FusedGemm": ("Gemm", (0, 1, 2)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearWhere": ("Where", (0, 1, 4)),
    "QuantizeLinear": ("QuantizeLinear", (0, 1, 2)),
}
#: How many inputs an operator needs at least, where that is more than one.
_LEAST = {
    "Attention": 2,
    "DynamicQuantizeMatMul": 2,
    "EmbedLayerNormalization": 3,
    "FusedConv": 2,
    "FusedGemm": 2,
    "FusedMatMul": 2,
    "MatMulIntegerToFloat": 2,
    "QAttention": 2,
    "QGemm": 4,
    "QLinearAdd": 4,
    "QLinearConcat": 3,
    "QLinearMul": 4,
    "QLinearWhere": 5,
    "TransposeMatMul": 2,
}
#: Operators that ONNX Runtime has in ONNX's own domain in every opset: the first that has them.
_UNTIMELY = {"LayerNormalization": 17, "SimplifiedLayerNormalization": 2**31}
#: What a model without ONNX's own operators imports of them, by its IR version.
_OPSET, _IR_VERSION_OF_OPSET, _EARLIER_OPSET = 17, 8, 13


def import_onnx(model: onnx.ModelProto) -> bool:
    """Import ONNX's own operators, as which others are spelled out, into a model without them.

    Returns:
        Whether the model did not import them before.
    """
    if {"", "ai.onnx"} & {entry.domain for entry in model.opset_import}:
        return False
    opset = _OPSET if model.ir_version >= _IR_VERSION_OF_OPSET else _EARLIER_OPSET
    model.opset_import.append(onnx.helper.make_opsetid("", opset))
    return True


def put_stand_ins(light: onnx.ModelProto) -> None:
    """Replace the nodes that onnx does not know and that have stand-ins, in place."""
    import_onnx(light)
    opset = next((each.version for each in light.opset_import if not each.domain), 1)
    _replace(light, lambda node, scope: _stand_ins(node, opset, scope))
    kept_from_crashes(light)


def kept_from_crashes(light: onnx.ModelProto) -> onnx.ModelProto:
    """Replace the nodes on which onnx's inference may end the process, in place; return it."""
    _replace(light, lambda node, _: _harmless(node))
    return light


def _replace(
    light: onnx.ModelProto,
    make: Callable[[onnx.NodeProto, Scope], Iterator[onnx.NodeProto] | None],
) -> None:
    for scope in scopes(light):
        if is_in_function(scope):
            continue
        found = {
            at: list(made)
            for at, node in enumerate(scope.graph.node)
            if (made := make(node, scope)) is not None
        }
        if not found:
            continue
        nodes = [new for at, node in enumerate(scope.graph.node) for new in found.get(at, (node,))]
        copies = [onnx.NodeProto.FromString(each.SerializeToString()) for each in nodes]
        del scope.graph.node[:]
        scope.graph.node.extend(copies)


def _stand_ins(node: onnx.NodeProto, opset: int, scope: Scope) -> Iterator[onnx.NodeProto] | None:
    """Return the nodes that stand in for a node; None if it has none, or onnx knows it."""
    if node.domain in ("", "ai.onnx"):
        if node.op_type == "SplitToSequence":
            return _elements(node, scope)
        if opset >= _UNTIMELY.get(node.op_type, 0):
            return None
        return _like_inputs(node, {0: 0})
    if node.domain != _DOMAIN:
        return None
    if not node.output or not node.output[0] or len(node.input) < _LEAST.get(node.op_type, 1):
        return None
    if node.op_type in _LIKE_INPUTS:
        return _like_inputs(node, _LIKE_INPUTS[node.op_type])
    if node.op_type in _SAME_SHAPES:
        return _renamed(node, *_SAME_SHAPES[node.op_type])
    make = _MAKERS.get(node.op_type)
    return None if make is None else make(node, _Attributes(node, opset))


def _harmless(node: onnx.NodeProto) -> Iterator[onnx.NodeProto] | None:
    make = _CRASHING.get((node.domain, node.op_type))
    is_complete = bool(node.input and node.output and node.output[0])
    return None if make is None or not is_complete else make(node, _Attributes(node))


class _Attributes(dict[str, Any]):
    """The attributes of a node, and the opset of the model."""

    def __init__(self, node: onnx.NodeProto, opset: int = 1) -> None:
        super().__init__(
            (each.name, onnx.helper.get_attribute_value(each)) for each in node.attribute
        )
        self.opset = opset


def _like_inputs(node: onnx.NodeProto, like: Mapping[int, int]) -> Iterator[onnx.NodeProto]:
    for output, at in like.items():
        if output < len(node.output) and node.output[output] and at < len(node.input):
            yield _node("Identity", [node.input[at]], [node.output[output]])


def _renamed(
    node: onnx.NodeProto, op_type: str, inputs: tuple[int, ...]
) -> Iterator[onnx.NodeProto]:
    if node.op_type == "QLinearGlobalAveragePool" and _Attributes(node).get("channels_last"):
        return
    made = _node(op_type, [node.input[at] for at in inputs if at < len(node.input)], node.output)
    known = {"axis", "dilations", "group", "kernel_shape", "pads", "strides", "auto_pad"}
    known |= {"transA", "transB", "ceil_mode", "count_include_pad"}
    made.attribute.extend(each for each in node.attribute if each.name in known)
    yield made


def _elements(node: onnx.NodeProto, scope: Scope) -> Iterator[onnx.NodeProto] | None:
    """SplitToSequence with keepdims=0: onnx keeps the axis with the length 1 of unbind too."""
    attributes = _Attributes(node)
    if len(node.input) < 2 or not node.input[1] or attributes.get("keepdims", 1):
        return None
    lengths = _stored(scope, node.input[1])
    if lengths is None:
        return iter(())
    same = _node("SplitToSequence", node.input[:1], node.output, **attributes)
    return None if lengths.dims else iter([same])


def _stored(scope: Scope | None, name: str) -> onnx.TensorProto | None:
    """Return a stored value of this scope or the next one around it that has the name."""
    while scope is not None and name not in defined_names(scope.graph):
        scope = scope.outer
    return None if scope is None else stored_tensors(scope.graph).get(name)


def _matrix_product(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    """FusedMatMul: the matrices have any rank, so that a transposed one has no stand-in."""
    if not any(attributes.get(each) for each in ("transA", "transB", "transBatchA", "transBatchB")):
        yield _node("MatMul", node.input[:2], node.output)


def _float_product(node: onnx.NodeProto, _: _Attributes) -> Iterator[onnx.NodeProto]:
    inner = f"{node.output[0]}::product"
    yield _node("MatMul", node.input[:2], [inner])
    yield _node("Cast", [inner], node.output, to=onnx.TensorProto.FLOAT)


def _quantized_gemm(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    inner = f"{node.output[0]}::product"
    flags = {each: attributes.get(each, 0) for each in ("transA", "transB")}
    yield _node("Gemm", [node.input[0], node.input[3]], [inner], **flags)
    if len(node.input) < 9 or not node.input[7]:
        yield _node("Cast", [inner], node.output, to=onnx.TensorProto.FLOAT)
    else:
        yield _node("Identity", [inner], node.output)


def _concatenation(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    yield _node("Concat", node.input[2::3], node.output, axis=attributes.get("axis", 0))


def _attention(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    """The product with the weights, of which the last part has the output's shape."""
    parts = [f"{node.output[0]}::part{number}" for number in range(2)]
    inner = f"{node.output[0]}::product"
    yield _node("MatMul", node.input[:2], [inner])
    sizes = attributes.get("qkv_hidden_sizes")
    if sizes:
        length = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [3], sizes)
        yield _node("Constant", [], [f"{inner}::sizes"], value=length)
        inputs = [inner, f"{inner}::sizes"]
    else:
        inputs = [inner]
    last = node.output[0] if node.op_type == "Attention" else f"{inner}::last"
    count = {"num_outputs": 3} if attributes.opset >= 18 and not sizes else {}
    yield _node("Split", inputs, [*parts, last], axis=-1, **count)
    if last != node.output[0]:
        yield _node("Cast", [last], node.output[:1], to=onnx.TensorProto.FLOAT)


def _embedding(node: onnx.NodeProto, _: _Attributes) -> Iterator[onnx.NodeProto]:
    yield _node("Gather", [node.input[2], node.input[0]], node.output[:1])
    if len(node.output) > 2 and node.output[2]:
        yield _node("Identity", node.output[:1], node.output[2:3])


_MAKERS: Mapping[str, Callable[[onnx.NodeProto, _Attributes], Iterator[onnx.NodeProto]]] = {
    "Attention": _attention,
    "EmbedLayerNormalization": _embedding,
    "FusedMatMul": _matrix_product,
    "MatMulIntegerToFloat": _float_product,
    "QAttention": _attention,
    "QGemm": _quantized_gemm,
    "QLinearConcat": _concatenation,
    "TransposeMatMul": _matrix_product,
}


def _label(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    """LabelEncoder: its first version has words or numbers, whichever the input has not."""
    types = {"values_int64s": 7, "values_floats": 1, "values_strings": 8}
    to = next((to for name, to in types.items() if name in attributes), None)
    values = attributes.get("values_tensor")
    if values is not None:
        to = values.data_type
    if to is not None:
        yield _node("Cast", node.input[:1], node.output, to=to)


def _identity(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    """EyeLike, which has the input's type where it has no attribute."""
    to = attributes.get("dtype")
    if to is None:
        yield _node("Identity", node.input, node.output)
    else:
        yield _node("Cast", node.input, node.output, to=to)


def _trees(node: onnx.NodeProto, attributes: _Attributes) -> Iterator[onnx.NodeProto]:
    """TreeEnsemble: a column for each target, of the type of the leaves' weights."""
    column, weights = f"{node.output[0]}::column", attributes.get("leaf_weights")
    yield _node("ArgMax", node.input[:1], [f"{column}::index"], axis=1)
    to = onnx.TensorProto.FLOAT if weights is None else weights.data_type
    yield _node("Cast", [f"{column}::index"], [column], to=to)
    sizes = [1, max(attributes.get("n_targets", 1), 0)]
    shape = onnx.helper.make_tensor("", onnx.TensorProto.INT64, [2], sizes)
    yield _node("Constant", [], [f"{column}::shape"], value=shape)
    yield _node("Expand", [column, f"{column}::shape"], node.output[:1])


#: Operators on which onnx's inference ends the process if their input has no type.
_CRASHING: Mapping[
    tuple[str, str], Callable[[onnx.NodeProto, _Attributes], Iterator[onnx.NodeProto]]
] = {
    ("", "EyeLike"): _identity,
    ("", "RegexFullMatch"): lambda node, _: iter([_node("Cast", node.input, node.output, to=9)]),
    ("ai.onnx.ml", "LabelEncoder"): _label,
    ("ai.onnx.ml", "TreeEnsemble"): _trees,
}


def _node(op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(op_type, list(inputs), list(outputs), **attributes)
