import numpy as np
import pytest

from pluginkit.graph_rewrites.reshape_slice_bounds import ReshapeSliceBounds
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import node_model, normal

X = normal(7, 3)


def slice_model(start, end):
    inputs = {"x": X, "start": np.array(start), "end": np.array(end), "axes": np.array([0])}
    return node_model("Slice", inputs, stored=["end", "axes"], opset=17, ranks={"y": 2})


@pytest.mark.parametrize(("start", "end"), [(1, 5), (-3, 2**60), (2, [4])])
def test_scalars_are_bounds(start, end):
    feeds = {"x": X, "start": np.array(start)}
    (got,) = outputs_of(ReshapeSliceBounds, slice_model(start, end), feeds)
    np.testing.assert_array_equal(got, X[start : np.ravel(end)[0]])


def test_vectors_are_left():
    reason = reason_against(ReshapeSliceBounds, slice_model([1], [5]))
    assert reason == "TensorRT takes it: its bounds are not known to be scalars"
