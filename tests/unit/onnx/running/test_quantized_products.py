"""Products of uint8 and int8 are exact, whose sums of two saturate in ONNX Runtime's own kernels.

They saturate on x86-64 without VNNI instructions only, where these tests can fail.
"""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from pluginkit.onnx.running.run_model import run_onnxruntime

DATA = np.full((2, 16), 250, np.uint8)
WEIGHTS = np.full((16, 8), 127, np.int8)
IMAGE, KERNEL = DATA.reshape(2, 16, 1, 1), WEIGHTS.T.reshape(8, 16, 1, 1).copy()
EXACT = 250 * 127 * 16
ONE, SCALE, NO_BYTE, NO_SIGNED = np.float32(1), np.float32(4000), np.uint8(0), np.int8(0)


def output_of(op_type, inputs, elem_type, *, domain="", data="x", in_body=False):
    """The output of a node, whose inputs are stored but for the data."""
    node = helper.make_node(op_type, [*inputs], ["y"], domain=domain)
    x = inputs[data]
    value = helper.make_tensor_value_info
    stored = [
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in inputs.items()
        if name and name != data
    ]
    made = value("y", elem_type, None)
    given = [value(data, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)]
    nodes, outputs = [node], [made]
    if in_body:
        body = helper.make_graph([node], "body", [], [made])
        truth = helper.make_node(
            "Constant", [], ["truth"], value=numpy_helper.from_array(np.array(True))
        )
        branch = helper.make_node("If", ["truth"], ["z"], then_branch=body, else_branch=body)
        nodes, outputs = [truth, branch], [value("z", elem_type, None)]
    graph = helper.make_graph(nodes, "g", given, outputs, stored)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (got,) = run_onnxruntime(model, {data: x}).values()
    return got


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize(
    "zero",
    [None, np.int8(-3), np.arange(-8, 0, dtype=np.int8)],
    ids=["none", "one", "of columns"],
)
def test_integers(zero, in_body):
    inputs = {"x": DATA, "w": WEIGHTS}
    if zero is not None:
        inputs |= {"xz": np.uint8(5), "wz": zero}
    got = output_of("MatMulInteger", inputs, TensorProto.INT32, in_body=in_body)
    low = 0 if zero is None else 5
    expected = (DATA.astype(int) - low) @ (WEIGHTS.astype(int) - (0 if zero is None else zero))
    np.testing.assert_array_equal(got, expected)


def test_convolutions_of_integers():
    got = output_of("ConvInteger", {"x": IMAGE, "w": KERNEL}, TensorProto.INT32)
    assert (got == EXACT).all()


@pytest.mark.parametrize(
    ("op_type", "data", "weights"),
    [("QLinearMatMul", DATA, WEIGHTS), ("QLinearConv", IMAGE, KERNEL)],
)
def test_quantized_products(op_type, data, weights):
    inputs = {"x": data, "xs": ONE, "xz": NO_BYTE, "w": weights, "ws": ONE, "wz": NO_SIGNED}
    inputs |= {"ys": SCALE, "yz": NO_BYTE}
    got = output_of(op_type, inputs, TensorProto.UINT8)
    assert (got == round(EXACT / 4000)).all()


def test_products_of_onnxruntime_alone():
    inputs = {"x": DATA, "xs": ONE, "xz": NO_BYTE, "w": WEIGHTS, "ws": ONE, "wz": NO_SIGNED}
    got = output_of("QGemm", inputs, TensorProto.FLOAT, domain="com.microsoft")
    np.testing.assert_array_equal(got, np.full((2, 8), EXACT, np.float32))
    inputs = {"x": DATA, "w": WEIGHTS, "xs": ONE, "ws": np.ones(8, np.float32)}
    got = output_of("MatMulIntegerToFloat", inputs, TensorProto.FLOAT, domain="com.microsoft")
    np.testing.assert_array_equal(got, np.full((2, 8), EXACT, np.float32))


@pytest.mark.parametrize("scale", [ONE, np.ones(8, np.float32)], ids=["one", "of columns"])
def test_products_of_what_is_quantized_in_the_run(scale):
    x = np.full((2, 16), 255, np.float32)  # in steps of 1
    inputs = {"x": x, "w": WEIGHTS, "ws": scale}
    got = output_of("DynamicQuantizeMatMul", inputs, TensorProto.FLOAT, domain="com.microsoft")
    np.testing.assert_array_equal(got, np.full((2, 8), 255 * 127 * 16, np.float32))


def test_signed_data_stay():
    inputs = {"x": np.full((2, 16), -120, np.int8), "w": WEIGHTS}
    got = output_of("MatMulInteger", inputs, TensorProto.INT32)
    assert (got == -120 * 127 * 16).all()


def test_integers_in_a_function():
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        g (uint8[2, 16] x, int8[16, 8] w) => (int32[2, 8] y) { y = local.F (x, w) }
        <domain: "local", opset_import: ["" : 17]>
        F (x, w) => (y) { y = MatMulInteger (x, w) }
    """)
    (got,) = run_onnxruntime(model, {"x": DATA, "w": WEIGHTS}).values()
    assert (got == EXACT).all()
