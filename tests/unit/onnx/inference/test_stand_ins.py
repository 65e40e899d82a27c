"""Types are inferred through operators of ONNX Runtime's."""

import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper

from pluginkit.onnx.inference.annotations import verified_types
from pluginkit.onnx.inference.infer_types import infer_types
from pluginkit.onnx.inference.validate_model import check_rewritten
from pluginkit.onnx.model.graphs import scopes

F, U, I8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8
I64, TEXT = TensorProto.INT64, TensorProto.STRING
#: The operator, its inputs, its attributes, and the type and shape of the output.
CASES = [
    ("Gelu", [(F, (2, 3))], {}, F, (2, 3)),
    ("SkipLayerNormalization", [(F, (2, 3, 4))] * 2, {}, F, (2, 3, 4)),
    ("FusedMatMul", [(F, (2, 3)), (F, (3, 4))], {}, F, (2, 4)),
    ("FusedMatMul", [(F, (2, 3)), (F, (4, 3))], {"transB": 1}, 0, None),
    ("FusedConv", [(F, (1, 2, 5, 5)), (F, (4, 2, 3, 3))], {"pads": [1] * 4}, F, (1, 4, 5, 5)),
    ("Attention", [(F, (2, 5, 8)), (F, (8, 24)), (F, (24,))], {"num_heads": 2}, F, (2, 5, 8)),
    (
        "Attention",
        [(F, (2, 5, 8)), (F, (8, 28)), (F, (28,))],
        {"num_heads": 2, "qkv_hidden_sizes": [8, 8, 12]},
        F,
        (2, 5, 12),
    ),
    ("QAttention", [(U, (2, 5, 8)), (I8, (8, 24))], {"num_heads": 2}, F, (2, 5, 8)),
    ("EmbedLayerNormalization", [(6, (2, 5)), (6, (2, 5)), (F, (30, 8))], {}, F, (2, 5, 8)),
    ("QLinearAdd", [(U, (2, 3)), (F, ()), (U, ()), (U, (3,))], {}, U, (2, 3)),
    ("QGemm", [(U, (2, 3)), (F, ()), (U, ()), (I8, (3, 4))], {}, F, (2, 4)),
    ("QLinearConcat", [(F, ()), (U, ()), (U, (2, 3)), (F, ()), (U, ())], {"axis": 1}, U, (2, 3)),
    ("MatMulIntegerToFloat", [(U, (2, 3)), (I8, (3, 4))], {}, F, (2, 4)),
]


def type_of_output(op_type, inputs, attributes, opset):
    names = [f"x{at}" for at in range(len(inputs))]
    node = helper.make_node(op_type, names, ["h"], domain="com.microsoft", **attributes)
    reader = helper.make_node("Mystery", ["h"], ["y"], domain="elsewhere")
    given = zip(names, inputs, strict=True)
    graph = helper.make_graph(
        [node, reader],
        "t",
        [helper.make_tensor_value_info(name, *each) for name, each in given],
        [onnx.ValueInfoProto(name="y")],
    )
    opsets = [("", opset), ("com.microsoft", 1), ("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in opsets])
    return infer_types(model).find(next(scopes(model)), "h")


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize(("op_type", "inputs", "attributes", "dtype", "shape"), CASES)
def test_outputs_have_types(op_type, inputs, attributes, dtype, shape, opset):
    found = type_of_output(op_type, inputs, attributes, opset)
    if shape is None:
        assert found is None
        return
    assert found.tensor_type.elem_type == dtype
    assert tuple(dim.dim_value for dim in found.tensor_type.shape.dim) == shape


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "dtype", "shape"), CASES)
def test_missing_inputs_are_no_fault(op_type, inputs, attributes, dtype, shape):
    del dtype, shape
    for count in range(len(inputs)):
        found = type_of_output(op_type, inputs[:count], attributes, 18)
        assert found is None or found.HasField("tensor_type")


#: What onnx's inference ends the process on where an input has no type: the operator, its domain
#: and attributes, and the type of the output.
CRASHING = [
    ("LabelEncoder", "ai.onnx.ml", {"keys_floats": [1.0], "values_int64s": [3]}, I64),
    ("LabelEncoder", "ai.onnx.ml", {"keys_floats": [1.0], "values_strings": ["a"]}, TEXT),
    ("EyeLike", "", {"dtype": TensorProto.DOUBLE}, TensorProto.DOUBLE),
    ("RegexFullMatch", "", {"pattern": "a"}, TensorProto.BOOL),
    (
        "TreeEnsemble",
        "ai.onnx.ml",
        {"n_targets": 2, "leaf_weights": helper.make_tensor("w", TensorProto.DOUBLE, [1], [1.0])},
        TensorProto.DOUBLE,
    ),
]


@pytest.mark.parametrize(("op_type", "domain", "attributes", "dtype"), CRASHING)
def test_inputs_without_a_type_do_not_end_the_process(op_type, domain, attributes, dtype):
    nodes = [
        helper.make_node("Mystery", ["x"], ["h"], domain="elsewhere"),
        helper.make_node(op_type, ["h"], ["g"], domain=domain, **attributes),
        helper.make_node("Mystery", ["g"], ["y"], domain="elsewhere"),
    ]
    graph = helper.make_graph(
        nodes,
        "t",
        [helper.make_tensor_value_info("x", F, (2, 3))],
        [helper.make_tensor_value_info("y", F, (2, 3))],
    )
    opsets = [("", 20), ("ai.onnx.ml", 5), ("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*each) for each in opsets])
    found = infer_types(model).find(next(scopes(model)), "g")
    assert (found.tensor_type.elem_type if found else 0) == dtype
    check_rewritten(model.graph, model, model)


def test_a_model_of_other_operators_alone_gets_onnx_for_their_stand_ins():
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["ai.onnx.ml" : 3]> g (float[n, 2] x) => (int64[n, 2] y) {
            y = ai.onnx.ml.LabelEncoder<keys_floats = [1.0], values_int64s = [5]>(x) }"""
    )
    types = verified_types(model, ())
    assert types.elem_types() == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
