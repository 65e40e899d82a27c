import numpy as np
import pytest
from onnx import TensorProto, helper

from pluginkit.graph_rewrites.drop_optional import DropOptional
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal


def test_a_tensor_is_its_own_element():
    x = normal(3)
    model = node_model("OptionalGetElement", {"x": x}, opset=18)
    np.testing.assert_array_equal(outputs_of(DropOptional, model, {"x": x})[0], x)


@pytest.mark.parametrize("inputs", [{"x": np.ones(3, np.float32)}, {"x": None}, {}])
def test_whether_there_is_one_is_known(inputs):
    model = node_model("OptionalHasElement", inputs, opset=18)
    feeds = {name: array for name, array in inputs.items() if array is not None}
    (got,) = outputs_of(DropOptional, model, feeds)
    assert got.tolist() is bool(feeds)


def test_an_optional_value_is_left():
    model = node_model("OptionalHasElement", {"x": np.ones(3, np.float32)}, opset=18)
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [3])
    model.graph.input[0].type.CopyFrom(helper.make_optional_type_proto(tensor))
    assert reason_against(DropOptional, model) == (
        "its input is an optional value, or of unknown type"
    )
