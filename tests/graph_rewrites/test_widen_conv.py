import numpy as np
import onnx
import pytest

from pluginkit.graph_rewrites.widen_conv import WidenConv
from pluginkit.onnx.rewriting.rewrite_choice import RewriteChoice
from pluginkit.onnx.rewriting.rewrite_model import rewrite_model
from pluginkit.onnx.running.run_model import run_onnxruntime
from tests.graph_rewrites.samples import node_model, normal

CHOSEN = RewriteChoice(also=["WidenConv"])


def widened(model: onnx.ModelProto):
    return rewrite_model(model, [WidenConv], CHOSEN)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 2], "strides": [2], "dilations": [2], "kernel_shape": [3]},
        {"auto_pad": "SAME_UPPER", "group": 2},
    ],
)
def test_signals_are_images_one_element_high(attributes, has_bias, opset):
    w = normal(4, 2 if "group" in attributes else 4, 3)
    inputs = {"x": normal(2, 4, 11), "w": w, "b": normal(4) if has_bias else None}
    stored = [name for name in ("w", "b") if inputs[name] is not None]
    dims = {"x": ("n", 4, "length")}
    model = node_model("Conv", inputs, stored=stored, dims=dims, opset=opset, **attributes)
    result = widened(model)
    assert [each.rewrite for each in result.applied] == ["WidenConv"]
    feeds = {"x": inputs["x"]}
    expected, got = run_onnxruntime(model, feeds)["y"], run_onnxruntime(result.model, feeds)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert widened(result.model).applied == []


def test_images_and_unnamed_rewrites_are_left():
    model = node_model("Conv", {"x": normal(1, 2, 5, 5), "w": normal(3, 2, 3, 3)})
    (refused,) = widened(model).refused
    assert refused.reason == "its input is not known to have three axes"
    model = node_model("Conv", {"x": normal(1, 2, 5), "w": normal(3, 2, 3)})
    result = rewrite_model(model, [WidenConv])
    assert (result.applied, result.opt_in) == ([], ["WidenConv"])
