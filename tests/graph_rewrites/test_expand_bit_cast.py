import numpy as np
import pytest
from onnx import TensorProto

from pluginkit.graph_rewrites.expand_bit_cast import ExpandBitCast
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model


@pytest.mark.parametrize(
    ("dtype", "to"),
    [
        (np.int8, TensorProto.UINT8),
        (np.uint8, TensorProto.INT8),
        (np.bool_, TensorProto.UINT8),
        (np.bool_, TensorProto.INT8),
    ],
)
def test_every_value_keeps_its_bits(dtype, to):
    bytes_ = np.arange(2 if dtype == np.bool_ else 256, dtype=np.uint8)
    x = bytes_.view(dtype)
    (got,) = outputs_of(ExpandBitCast, node_model("BitCast", {"x": x}, opset=26, to=to), {"x": x})
    assert got.dtype.name == {TensorProto.UINT8: "uint8", TensorProto.INT8: "int8"}[to]
    np.testing.assert_array_equal(got.view(np.uint8), bytes_)


def test_the_bits_of_floats_are_left():
    model = node_model("BitCast", {"x": np.ones(3, np.float32)}, opset=26, to=TensorProto.INT32)
    assert reason_against(ExpandBitCast, model) == (
        "the bits of one of its types cannot be computed from its values"
    )
