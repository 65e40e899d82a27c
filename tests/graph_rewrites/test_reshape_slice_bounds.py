import numpy as np
import pytest

from pluginkit.graph_rewrites.reshape_slice_bounds import CompleteSlice, ReshapeSliceBounds
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


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("stored", [{}, {"axes": [1]}])
def test_axes_and_steps_are_completed(dtype, stored):
    bounds = {"start": [1], "end": [3], **stored}
    inputs = {"x": X} | {name: np.array(each, dtype) for name, each in bounds.items()}
    model = node_model("Slice", inputs, stored=list(bounds), opset=13)
    if dtype == np.int64 and stored:
        assert "it has axes, and steps" in reason_against(CompleteSlice, model)
        return
    (got,) = outputs_of(CompleteSlice, model, {"x": X})
    np.testing.assert_array_equal(got, X[:, 1:3] if stored else X[1:3])


def test_bounds_for_each_axis_are_left():
    inputs = {"x": X, "start": np.int32([1, 0]), "end": np.int32([3, 2])}
    model = node_model("Slice", inputs, stored=["start", "end"], opset=13)
    reason = "TensorRT takes it: it has bounds for each axis"
    assert reason_against(CompleteSlice, model) == reason
