import numpy as np
import pytest

from pluginkit.graph_rewrites.expand_dilated_transpose import ExpandDilatedTranspose
from tests.graph_rewrites.rewriting import outputs_of, reason_against, run
from tests.graph_rewrites.samples import node_model, normal


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    "attributes",
    [
        {"group": 2, "pads": [1, 2], "output_padding": [1], "kernel_shape": [3]},
        {"auto_pad": "SAME_LOWER"},
        {"output_shape": [19]},
    ],
)
def test_zeros_between_the_weights_give_the_same(attributes, dtype):
    x, w = normal(2, 4, 7, dtype=dtype), normal(4, 3, 3, dtype=dtype)
    attributes = {"strides": [3], "dilations": [2]} | attributes
    dims = {"x": ("n", 4, "length")}
    model = node_model("ConvTranspose", {"x": x, "w": w}, stored=["w"], dims=dims, **attributes)
    (got,) = outputs_of(ExpandDilatedTranspose, model, {"x": x})
    (expected,) = run(model, {"x": x})
    tolerance = 1e-2 if dtype == np.float16 else 1e-5
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_weights_may_be_an_input():
    inputs = {"x": normal(2, 4, 7, 6), "w": normal(4, 3, 3, 2)}
    model = node_model("ConvTranspose", inputs, strides=[1, 2], dilations=[3, 1])
    (got,), (expected,) = outputs_of(ExpandDilatedTranspose, model, inputs), run(model, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("strides", "sizes", "reason"),
    [
        ([1], (4, 3, 3), "TensorRT takes it: it does not have both strides and dilations"),
        ([2], (4, 3, "size"), "the size of its weights is unknown"),
    ],
)
def test_others_are_left(strides, sizes, reason):
    inputs = {"x": normal(2, 4, 7), "w": normal(4, 3, 3)}
    given = {"strides": strides, "dilations": [2], "ranks": {"y": 3}}
    model = node_model("ConvTranspose", inputs, dims={"w": sizes}, **given)
    assert reason_against(ExpandDilatedTranspose, model) == reason
