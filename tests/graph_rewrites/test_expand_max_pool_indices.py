import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_max_pool_indices import ExpandMaxPoolIndices
from pluginkit.graph_rewrites.expand_max_unpool import ExpandMaxUnpool
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.rewriting import outputs_of, reason_against
from tests.graph_rewrites.samples import i64, node_model, normal

BOTH = {"outputs": ("y", "places")}


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [2, 3], "dilations": [3, 2], "ceil_mode": 1, "strides": [2, 2]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [3, 2], "storage_order": 1, "pads": [1, 0, 0, 1]},
    ],
)
def test_values_and_places_are_those_of_onnxruntime(options):
    x = normal(2, 3, 9, 10)
    model = node_model("MaxPool", {"x": x}, **BOTH, **options)
    got = outputs_of(ExpandMaxPoolIndices, model, {"x": x})
    expected = run_onnxruntime(model, {"x": x})
    np.testing.assert_array_equal(got[0], expected["y"])
    np.testing.assert_array_equal(got[1], expected["places"])


def test_the_first_of_equals_is_the_place():
    x = np.zeros((1, 1, 4, 4), np.float32)
    model = node_model("MaxPool", {"x": x}, **BOTH, kernel_shape=[2, 2], strides=[2, 2])
    _, places = outputs_of(ExpandMaxPoolIndices, model, {"x": x})
    np.testing.assert_array_equal(places[0, 0], [[0, 2], [8, 10]])


def test_a_window_of_the_least_number_has_a_place_inside_of_it():
    x = np.full((1, 1, 4, 4), -np.inf, np.float32)
    options = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    model = node_model("MaxPool", {"x": x}, **BOTH, **options)
    y, places = outputs_of(ExpandMaxPoolIndices, model, {"x": x})
    assert np.isneginf(y).all()
    np.testing.assert_array_equal(places[0, 0], [[0, 1, 3], [4, 5, 7], [12, 13, 15]])


def test_volumes_have_places_too():
    x = normal(1, 2, 4, 5, 6)
    model = node_model("MaxPool", {"x": x}, **BOTH, kernel_shape=[2, 2, 3])
    got = outputs_of(ExpandMaxPoolIndices, model, {"x": x})
    np.testing.assert_array_equal(x.ravel()[got[1]], got[0])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "its indices are not used"),
        ({**BOTH, "dims": {"x": ["n", 1, 4, 4]}}, "the shape of its input is not known"),
    ],
)
def test_what_it_cannot_or_need_not_do_is_left(options, reason):
    model = node_model("MaxPool", {"x": normal(1, 1, 4, 4)}, kernel_shape=[2, 2], **options)
    assert reason_against(ExpandMaxPoolIndices, model) == reason


@pytest.mark.parametrize("larger", [False, True])
def test_unpooling_puts_the_greatest_back(larger):
    x = normal(2, 3, 6, 8)
    pool = node_model("MaxPool", {"x": x}, **BOTH, kernel_shape=[2, 2], strides=[2, 2])
    pooled = run_onnxruntime(pool, {"x": x})
    inputs = {"x": pooled["y"], "places": pooled["places"]}
    shape = {"shape": i64(2, 3, 7, 8)} if larger else {}
    model = node_model(
        "MaxUnpool",
        {**inputs, **shape},
        stored=list(shape),
        ranks={"y": 4},
        kernel_shape=[2, 2],
        strides=[2, 2],
    )
    (got,) = outputs_of(ExpandMaxUnpool, model, inputs)
    expected = np.zeros(x.size, np.float32)
    expected[pooled["places"].ravel()] = pooled["y"].ravel()
    np.testing.assert_array_equal(got[:, :, :6], expected.reshape(x.shape))
    assert not got[:, :, 6:].any()
    assert got.shape == ((2, 3, 7, 8) if larger else x.shape)


def test_unpooling_of_unknown_shapes_is_left():
    inputs = {"x": normal(1, 1, 2, 2), "places": np.zeros((1, 1, 2, 2), np.int64)}
    options = {"kernel_shape": [2, 2], "strides": [2, 2], "ranks": {"y": 4}}
    model = node_model("MaxUnpool", inputs, dims={"x": ["n", 1, 2, 2]}, **options)
    assert reason_against(ExpandMaxUnpool, model) == "the shape of its input is not known"
    model = node_model("MaxUnpool", {**inputs, "shape": i64(1, 1, 4, 4)}, **options)
    assert reason_against(ExpandMaxUnpool, model) == "its output shape is not stored in the model"
