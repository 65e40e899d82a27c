import numpy as np
import pytest
from onnx import TensorProto

from pluginkit.graph_rewrites.expand_eye_like import ExpandEyeLike
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model


@pytest.mark.parametrize("k", [0, 2, -1])
@pytest.mark.parametrize("to", [TensorProto.FLOAT, TensorProto.INT64, None])
def test_ones_are_where_numpy_has_them(to, k):
    x = np.zeros((4, 6), np.float16)
    options = {} if to is None else {"dtype": to}
    model = node_model("EyeLike", {"x": x}, dims={"x": ("n", 6)}, k=k, **options)
    (got,) = outputs_of(ExpandEyeLike, model, {"x": x})
    expected = {None: np.float16, TensorProto.FLOAT: np.float32, TensorProto.INT64: np.int64}
    assert got.dtype == expected[to]
    np.testing.assert_array_equal(got, np.eye(4, 6, k))


def test_a_known_size_is_left_to_tensorrt():
    model = node_model("EyeLike", {"x": np.zeros((2, 3), np.float32)})
    assert reason_against(ExpandEyeLike, model) == "TensorRT takes it: its size is known"
