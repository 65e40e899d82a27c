"""Convolutions get weights in floating point where they have 4 bits."""

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pluginkit.graph_rewrites.expand_narrow_convolution import ExpandNarrowConvolution
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from tests.graph_rewrites.rewriting import run

RNG = np.random.default_rng(4)
X = RNG.standard_normal((1, 2, 6, 5)).astype(np.float32)


def convolution(dtype=ml_dtypes.int4, scales=(3,), op_type="Conv", opset=21, **attributes):
    """A convolution with a bias, of 3 channels, or of 2 with 3 outputs if it is transposed."""
    shape = (3, 2, 3, 3) if op_type == "Conv" else (2, 3, 3, 3)
    least = 0 if dtype == ml_dtypes.uint4 else -8
    arrays = {
        "w": RNG.integers(least, least + 16, shape).astype(dtype),
        "s": RNG.uniform(0.1, 0.2, scales).astype(np.float32),
        "z": RNG.integers(0, 8, scales).astype(dtype),
        "b": RNG.standard_normal(3).astype(np.float32),
    }
    domain = "" if opset > 20 else "com.microsoft"
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["d"], domain=domain, **attributes),
        helper.make_node(op_type, ["x", "d", "b"], ["y"], pads=[1, 1, 1, 1], strides=[2, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize("opset", [17, 21])
@pytest.mark.parametrize(
    ("dtype", "scales", "op_type", "axis"),
    [
        (ml_dtypes.int4, (), "Conv", 1),
        (ml_dtypes.uint4, (3,), "Conv", 0),
        (ml_dtypes.int4, (3,), "ConvTranspose", -3),
    ],
)
def test_weights_of_4_bits_are_stored_as_floats(dtype, scales, op_type, axis, opset):
    model = convolution(dtype, scales, op_type, opset, axis=axis)
    result = rewrite_model(model, [ExpandNarrowConvolution])
    assert [node.op_type for node in result.model.graph.node] == [op_type]
    (expected,), (got,) = run(model, {"x": X}), run(result.model, {"x": X})
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert rewrite_model(result.model, [ExpandNarrowConvolution]).applied == []


def test_weights_of_8_bits_are_left():
    (refused,) = rewrite_model(convolution(np.int8, axis=0), [ExpandNarrowConvolution]).refused
    assert refused.reason == "'w' is int8; expected int4 or uint4"


def test_weights_in_blocks_are_left():
    model = convolution(scales=(3, 1, 3, 3), axis=1, block_size=2)
    (refused,) = rewrite_model(model, [ExpandNarrowConvolution]).refused
    assert refused.reason == "its weights are quantized in blocks"
