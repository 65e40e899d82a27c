import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_hardmax import ExpandHardmax
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import integers, node_model


def model(x, dims, opset=13, **attributes):
    return node_model("Hardmax", {"x": x}, dims={"x": dims}, opset=opset, **attributes)


@pytest.mark.parametrize(
    ("opset", "dims", "attributes", "dtype"),
    [
        (13, (2, 3, "n"), {}, np.float32),
        (13, (2, "n", 4), {"axis": -2}, np.float16),
        (11, ("n", 3, "m"), {}, np.float32),
        (11, ("n", "m", 4), {"axis": 2}, np.float32),
        (11, ("n", 3, 4), {"axis": 0}, np.float32),
    ],
)
def test_the_first_of_the_largest_is_one(opset, dims, attributes, dtype):
    x = integers(2, 3, 4, dtype=dtype, high=3)
    made = model(x, dims, opset, **attributes)
    (got,) = outputs_of(ExpandHardmax, made, {"x": x})
    (expected,) = run(made, {"x": x})
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("opset", "dims", "reason"),
    [
        (13, ("n", 3, 4), "TensorRT takes it: it knows the size of its axis"),
        (11, ("n", 3, 4), "TensorRT takes it: it knows the size of its axis"),
        (10, ("n", 3, "m"), "ONNX has Range since opset 11; the model has 10"),
    ],
)
def test_others_are_left(opset, dims, reason):
    made = model(integers(2, 3, 4, dtype=np.float32), dims, opset)
    assert reason_against(ExpandHardmax, made) == reason
